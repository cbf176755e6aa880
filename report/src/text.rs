//! Text that came from anywhere, made fit to be shown: no control characters, a known width, a limit.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A paragraph longer than this is a payload; its start is enough.
pub(crate) const PARAGRAPH_CHARACTERS_MAX: usize = 2_000;

/// What becomes of line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// They stay, as do tabs: a transcript.
    Keep,
    /// They become spaces: a cell, a heading.
    Flatten,
}

/// `text` with every character that could act instead of being seen shown by its number, `⟨U+001B⟩`: control characters,
/// bidirectional overrides, the byte order mark, line separators and other invisible ones.
pub(crate) fn visible(text: &str, lines: Lines) -> Cow<'_, str> {
    if !text.chars().any(|c| acts(c, lines)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if lines == Lines::Keep && characters.peek() == Some(&'\n') => {}
            '\r' | '\n' | '\t' if lines == Lines::Flatten => shown.push(' '),
            _ if !acts(c, lines) => shown.push(c),
            _ => write!(shown, "⟨U+{:04X}⟩", u32::from(c)).expect("writing to a string does not fail"),
        }
    }
    Cow::Owned(shown)
}

fn acts(c: char, lines: Lines) -> bool {
    match c {
        '\n' | '\t' => lines == Lines::Flatten,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        '\u{fffe}' | '\u{ffff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => c.is_control(),
    }
}

/// `text` line by line, each cut after `characters_max` characters with a word on how many were left out.
pub(crate) fn cut_lines(text: &str, characters_max: usize) -> Cow<'_, str> {
    if text
        .lines()
        .all(|line| line.len() <= characters_max || line.chars().count() <= characters_max)
    {
        return Cow::Borrowed(text);
    }
    let lines: Vec<Cow<'_, str>> = text.lines().map(|line| cut(line, characters_max)).collect();
    Cow::Owned(lines.join("\n"))
}

/// `line`, cut after `characters_max` characters with a word on how many were left out.
pub(crate) fn cut(line: &str, characters_max: usize) -> Cow<'_, str> {
    match line.char_indices().nth(characters_max) {
        None => Cow::Borrowed(line),
        Some((end, _)) => {
            let left_out = line[end..].chars().count();
            Cow::Owned(format!(
                "{} … ({} more characters)",
                &line[..end],
                crate::number::count(left_out as u64)
            ))
        }
    }
}

/// Columns that `text` takes on a terminal: East Asian wide characters and emoji two, combining marks none.
/// A table of ranges rather than of characters: enough to align what reports hold.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

fn character_width(c: char) -> usize {
    match u32::from(c) {
        0x20..=0x2ff => 1,
        0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x610..=0x61a | 0x64b..=0x65f => 0,
        0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200f
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f | 0x231a..=0x231b | 0x2e80..=0x303e | 0x3041..=0x33ff | 0x3400..=0x4dbf => 2,
        0x4e00..=0x9fff | 0xa000..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f900..=0x1f9ff => 2,
        0x20000..=0x3fffd => 2,
        0..=0x1f => 0,
        _ => 1,
    }
}

/// `text` in at most `columns_max` columns, its end replaced by `…` where it is longer.
pub(crate) fn fit(text: &str, columns_max: usize) -> Cow<'_, str> {
    if width(text) <= columns_max {
        return Cow::Borrowed(text);
    }
    let mut fitted = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += character_width(c);
        // One column stays free for the ellipsis.
        if taken >= columns_max {
            break;
        }
        fitted.push(c);
    }
    let kept = fitted.trim_end().len();
    fitted.truncate(kept);
    if columns_max > 0 {
        fitted.push('…');
    }
    Cow::Owned(fitted)
}

/// `text` broken at spaces into lines of at most `columns_max` columns; longer words are broken anywhere.
pub(crate) fn wrap(text: &str, columns_max: usize) -> Vec<String> {
    let columns_max = columns_max.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut taken = 0;
    for word in text.split_whitespace() {
        if taken > 0 && taken + 1 + width(word) > columns_max {
            lines.push(std::mem::take(&mut line));
            taken = 0;
        }
        if taken > 0 {
            line.push(' ');
            taken += 1;
        }
        for c in word.chars() {
            if taken > 0 && taken + character_width(c) > columns_max {
                lines.push(std::mem::take(&mut line));
                taken = 0;
            }
            line.push(c);
            taken += character_width(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` in lines of at most `columns_max` columns, of which all but the first begin with `indent` blanks. They are broken
/// after a blank or a comma, so that JSON without blanks breaks between its fields; what would leave two thirds of a line
/// empty by that is broken anywhere.
/// Nothing of the text is lost but the blanks at which it is broken.
#[must_use]
pub fn hanging(text: &str, columns_max: usize, indent: usize) -> String {
    // Less than this beside the indentation cannot be read.
    const ROOM_MIN: usize = 20;
    let columns_max = columns_max.max(indent + ROOM_MIN);
    let mut lines = Vec::new();
    let mut rest = text;
    let mut start = 0;
    while start + width(rest) > columns_max {
        let mut taken = start;
        let fitting = rest.char_indices().find(|(_, c)| {
            taken += character_width(*c);
            taken > columns_max
        });
        let end = fitting.map_or(rest.len(), |(at, _)| at);
        let breaks = rest[..end].rfind([' ', ',']).map(|at| at + 1);
        let fills =
            |at: &usize| 3 * (start + width(&rest[..*at])).saturating_sub(indent) > columns_max - indent;
        let end = if rest[end..].starts_with(' ') {
            end
        } else {
            breaks.filter(fills).unwrap_or(end)
        };
        let (line, left) = rest.split_at(end);
        lines.push(" ".repeat(start) + line.trim_end_matches(' '));
        rest = left.trim_start_matches(' ');
        start = indent;
    }
    lines.push(" ".repeat(start) + rest);
    lines.join("\n")
}

/// An anchor: lower-case ASCII letters and digits, dashes between them; `part` where nothing is left.
pub(crate) fn slug(text: &str) -> String {
    /// Longer anchors help nobody who has to paste them.
    const SLUG_CHARACTERS_MAX: usize = 60;
    let mut slug = String::new();
    for c in text.chars() {
        if slug.len() >= SLUG_CHARACTERS_MAX {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let kept = slug.trim_end_matches('-').len();
    slug.truncate(kept);
    if slug.is_empty() { "part".to_owned() } else { slug }
}

/// Text cut at its backticks: what is between a pair of them is code.
pub(crate) fn spans(text: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`')
        && let Some((code, tail)) = after.split_once('`')
    {
        if !before.is_empty() {
            spans.push(Span::Words(before));
        }
        if !code.is_empty() {
            spans.push(Span::Code(code));
        }
        rest = tail;
    }
    if !rest.is_empty() {
        spans.push(Span::Words(rest));
    }
    spans
}

/// A piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span<'a> {
    /// Ordinary words.
    Words(&'a str),
    /// Letter for letter.
    Code(&'a str),
}

impl<'a> Span<'a> {
    /// What it says, code or not.
    pub(crate) fn text(self) -> &'a str {
        match self {
            Self::Words(text) | Self::Code(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_is_shown_instead() {
        for (text, lines, expected) in [
            ("plain é 漢", Lines::Flatten, "plain é 漢"),
            ("\u{1b}[31mred\u{7}", Lines::Flatten, "⟨U+001B⟩[31mred⟨U+0007⟩"),
            ("a\r\nb\tc", Lines::Keep, "a\nb\tc"),
            ("a\r\nb\tc", Lines::Flatten, "a  b c"),
            ("a\rb", Lines::Keep, "a⟨U+000D⟩b"),
            ("nul\0del\u{7f}", Lines::Keep, "nul⟨U+0000⟩del⟨U+007F⟩"),
            (
                "evil\u{202e}txt.exe\u{85}",
                Lines::Keep,
                "evil⟨U+202E⟩txt.exe⟨U+0085⟩",
            ),
        ] {
            assert_eq!(visible(text, lines), expected, "{text:?} {lines:?}");
        }
    }

    #[test]
    fn text_is_measured_and_fitted_by_columns() {
        for (text, columns, fitted) in [
            ("plain", 5, "plain"),
            ("plainer", 5, "plai…"),
            ("漢字漢字", 5, "漢字…"),
            ("漢字", 4, "漢字"),
            ("a b c", 3, "a…"),
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
            ("anything", 0, ""),
        ] {
            assert_eq!(fit(text, columns), fitted, "{text:?} in {columns}");
            assert!(width(&fit(text, columns)) <= columns);
        }
    }

    #[test]
    fn lines_are_wrapped_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("a veryverylongword b", 6),
            ["a", "veryve", "rylong", "word b"]
        );
        assert_eq!(wrap("  ", 6), Vec::<String>::new());
        assert_eq!(wrap("漢字漢字", 3), ["漢", "字", "漢", "字"]);
    }

    #[test]
    fn a_hanging_line_is_broken_between_words_and_fields_and_loses_nothing() {
        for (text, columns, expected) in [
            ("  in  short", 30, "  in  short"),
            (
                "  in  one two three four five six seven",
                30,
                "  in  one two three four five\n      six seven",
            ),
            (
                "  in  {\"a\":\"bcdefghi\",\"g\":\"hijklmno\"}",
                30,
                "  in  {\"a\":\"bcdefghi\",\n      \"g\":\"hijklmno\"}",
            ),
            (
                "  in  xxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                30,
                "  in  xxxxxxxxxxxxxxxxxxxxxxxx\n      xxxxx",
            ),
            ("", 30, ""),
        ] {
            let hung = hanging(text, columns, 6);
            assert_eq!(hung, expected);
            assert!(hung.lines().all(|line| width(line) <= columns), "{hung}");
            let letters = |text: &str| text.replace([' ', '\n'], "");
            assert_eq!(letters(&hung), letters(text));
        }
    }

    #[test]
    fn anchors_hold_only_letters_digits_and_dashes() {
        for (text, expected) in [
            ("Latency over time", "latency-over-time"),
            ("  <script>/ä ", "script"),
            ("漢", "part"),
        ] {
            assert_eq!(slug(text), expected);
        }
        assert!(slug(&"x".repeat(1_000)).len() <= 60);
    }

    #[test]
    fn long_lines_say_how_much_is_missing() {
        assert_eq!(
            cut_lines("short\nlonger line", 6),
            "short\nlonger … (5 more characters)"
        );
        assert_eq!(cut_lines("äää", 3), "äää");
    }

    #[test]
    fn only_closed_backticks_make_code() {
        use Span::{Code, Words};
        assert_eq!(
            spans("run `touchstone check` again"),
            [Words("run "), Code("touchstone check"), Words(" again")]
        );
        assert_eq!(spans("a ` b"), [Words("a ` b")]);
        assert_eq!(spans("``"), []);
    }
}
