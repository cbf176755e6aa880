//! A report as one HTML file: no network, no dependency, readable without JavaScript.
//!
//! The style sheet, the template and the few lines of script (a filter for long tables) are compiled in. Every text is
//! escaped by the template engine; only the plots are inserted as they are, and those escape their own text. A content
//! security policy forbids the page to load anything, whatever it holds.

mod view;

use minijinja::Environment;
use minijinja::value::Serde;

use self::view::Report;
use crate::document::Document;

/// The page could not be made: a template and this module disagree.
#[derive(Debug, thiserror::Error)]
#[error("the HTML report cannot be made: {0}")]
pub struct Unrenderable(#[from] minijinja::Error);

/// `document` as a complete HTML page.
pub fn render(document: &Document) -> Result<String, Unrenderable> {
    let mut environment = Environment::new();
    // The name ends in `.html`, which switches the escaping on.
    environment.add_template("report.html", include_str!("html/report.html"))?;
    Ok(environment
        .get_template("report.html")?
        .render(Serde(Report::new(document)))?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::view::{UNFOLDED_MAX, tile_columns};
    use super::*;
    use crate::samples::{hostile, sample};
    use crate::{Axis, Block, Cell, Column, Plot, Section, Table, Tone, Verdict};

    /// Elements that have no end tag.
    const VOID: [&str; 3] = ["meta", "link", "input"];

    /// A tag as written: `p class="x"`, `/p`.
    fn tags(html: &str) -> Vec<&str> {
        let mut tags = Vec::new();
        let mut rest = html;
        while let Some((_, after)) = rest.split_once('<') {
            let (tag, tail) = after.split_once('>').expect("every tag ends");
            tags.push(tag);
            // What is inside of these is no markup, until their end tag.
            rest = match tag {
                "script" | "style" => {
                    let end = tail.find(&format!("</{tag}>")).expect("a raw element ends");
                    &tail[end..]
                }
                _ => tail,
            };
        }
        tags
    }

    /// Checks that what is opened is closed, in order, and that attributes are quoted; answers how often each element occurs.
    fn well_formed(html: &str) -> std::collections::BTreeMap<String, usize> {
        let mut open: Vec<&str> = Vec::new();
        let mut count = std::collections::BTreeMap::new();
        for tag in tags(html) {
            if tag == "!doctype html" {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(
                    open.pop(),
                    Some(name),
                    "</{name}> closes something else, open are {open:?}"
                );
                continue;
            }
            let name = tag.split([' ', '/']).next().unwrap();
            assert!(
                name.chars().all(|c| c.is_ascii_alphanumeric()),
                "{tag:?} is no element"
            );
            assert_eq!(
                tag.matches('"').count() % 2,
                0,
                "{tag:?} has an attribute without end"
            );
            *count.entry(name.to_owned()).or_insert(0) += 1;
            if !VOID.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "never closed");
        count
    }

    #[test]
    fn the_page_is_well_formed_and_holds_all_parts() {
        let html = render(&sample()).unwrap();
        let count = well_formed(&html);
        for (element, expected) in [
            ("h1", 1),
            ("h2", 2),
            ("section", 2),
            ("nav", 1),
            ("main", 1),
            ("table", 1),
            ("th", 4),
            ("td", 56),
            ("details", 2),
            ("figure", 2),
            ("script", 1),
            ("style", 1),
        ] {
            assert_eq!(count.get(element), Some(&expected), "<{element}>");
        }
        for part in [
            "✘",
            "<strong>Failed</strong>",
            "12 &#x2f; 14",
            r##"<a href="#conformance">"##,
            r#"<th scope="col" class="number">time</th>"#,
            r#"<details id="conformance-echo-3a-plain-an-empty-message-is-answered" class="bad" open>"#,
            "Nothing was measured.",
        ] {
            assert!(html.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let html = render(&hostile()).unwrap();
        let count = well_formed(&html);
        assert_eq!(count.get("script"), Some(&1));
        assert_eq!(count.get("img"), None);
        assert!(
            !html.contains("<!--") && !html.contains("onerror=y>"),
            "a comment or an element came through"
        );
        assert!(html.contains("{{ 7*7 }}"), "text is not a template");
        assert!(html.chars().all(|c| "\n\t".contains(c) || !c.is_control()));
        assert!(!html.contains('\u{202e}'));
        let longest = html.split('<').map(str::len).max();
        assert!(
            longest < Some(20_000),
            "a payload of 100,000 characters is not for reading: {longest:?}"
        );
    }

    #[test]
    fn nothing_refers_to_a_network() {
        let html = render(&sample()).unwrap();
        for reference in [
            "http:", "https:", "//", "@import", "url(", "src=", "<iframe", "<object", "<form",
        ] {
            let found = html
                .match_indices(reference)
                .filter(|(at, _)| !html[..*at].ends_with("\n"))
                .count();
            assert_eq!(found, 0, "{reference}");
        }
        let links: Vec<&str> = html
            .split("href=\"")
            .skip(1)
            .map(|link| link.split('"').next().unwrap())
            .collect();
        assert!(
            !links.is_empty()
                && links
                    .iter()
                    .all(|link| link.starts_with('#') || *link == "data:,"),
            "{links:?}"
        );
    }

    #[test]
    fn every_anchor_exists_once_and_every_link_has_one() {
        for document in [
            sample(),
            hostile(),
            Document::join("twice", vec![sample(), sample()]),
        ] {
            let html = render(&document).unwrap();
            let values = |attribute: &str| -> Vec<String> {
                html.split(attribute)
                    .skip(1)
                    .map(|rest| rest.split('"').next().unwrap().to_owned())
                    .collect()
            };
            let ids = values(" id=\"");
            let unique: HashSet<&String> = ids.iter().collect();
            assert_eq!(unique.len(), ids.len(), "{ids:?}");
            assert!(values("href=\"#").iter().all(|link| ids.contains(link)));
        }
    }

    #[test]
    fn a_name_in_a_table_leads_to_what_is_folded_under_it() {
        let html = render(&sample()).unwrap();
        let anchor = "conformance-echo-3a-plain-an-empty-message-is-answered";
        assert!(html.contains(&format!(
            r##"<a href="#{anchor}"><code class="short">echo&#x2f;3a-plain</code></a>"##
        )));
        assert_eq!(
            html.matches("<td class=\"short\"><a ").count(),
            1,
            "the others have nothing folded"
        );
    }

    #[test]
    fn only_the_first_failures_lie_open() {
        let failure = || Block::details("it fails", Tone::Bad, Vec::new());
        let section = (0..5).fold(Section::new("s"), |section, _| section.with(failure()));
        let html = render(&Document::new("t", Verdict::Failed, "h").section(section)).unwrap();
        assert_eq!(html.matches(" open>").count(), UNFOLDED_MAX);
    }

    #[test]
    fn tiles_never_leave_one_alone_in_its_row() {
        let columns: Vec<usize> = [0, 1, 4, 6, 7, 8, 12, 13].into_iter().map(tile_columns).collect();
        assert_eq!(columns, [3, 3, 4, 6, 4, 4, 6, 5]);
    }

    #[test]
    fn long_tables_can_be_filtered_and_plots_stand_side_by_side() {
        let table = |rows: u64| {
            (0..rows).fold(Table::new([Column::number("n")]), |table, n| {
                table.row([Cell::number(n)])
            })
        };
        let plot =
            || Plot::new("p", Axis::linear("x"), Axis::linear("y"), vec![0.0, 1.0]).curve("c", [1.0, 2.0]);
        let section = Section::new("s")
            .with(table(15))
            .with(table(16))
            .with(plot())
            .with(plot())
            .text("between")
            .with(plot());
        let html = render(&Document::new("t", Verdict::Passed, "h").section(section)).unwrap();
        assert_eq!(html.matches(r#"class="table long""#).count(), 1);
        assert_eq!(html.matches(r#"class="plots""#).count(), 2);
        assert!(!html.contains("<nav"), "one section needs no list of sections");
    }
}
