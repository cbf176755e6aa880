//! What a message carries so that whoever hears it knows which it is, and how long it took.

use std::fmt;

/// Names one message of a run: who sent it, and as which of theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Unique among all generators that may reach one server: the run's tag above the session's number.
    pub sender: u64,
    /// Counts the sender's messages from 1.
    pub sequence: u32,
}

impl Key {
    /// The tag of the run, which all keys of one generator's run share: the upper half of the sender.
    #[must_use]
    pub fn run(self) -> u32 {
        u32::try_from(self.sender >> 32).expect("half of 64 bits are 32")
    }
}

/// What a message carries of the run it belongs to: its key, and when it was to leave and did.
///
/// Whoever hears it, in whichever thread or process, knows by it how long it was on its way. Its written form,
/// `~sender.sequence.intended.lag~` in hexadecimal, survives JSON and every dialect's content rules unchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Which message.
    pub key: Key,
    /// When it was meant to be sent, in µs since the run began.
    pub intended_micros: u64,
    /// How much later it was sent, in µs.
    pub lag_micros: u64,
}

impl Stamp {
    /// The longest written form of a run of up to 30 days, in bytes; a content cannot be shorter.
    pub const BYTES_MAX: usize = 48;

    /// Reads the stamp at the start of a content; whatever follows it is padding.
    ///
    /// `None` for a content that no simulated session wrote.
    #[must_use]
    pub fn read(content: &str) -> Option<Self> {
        let numbers = content.as_bytes().strip_prefix(b"~")?;
        let (sender, rest) = number(numbers, b'.')?;
        let (sequence, rest) = number(rest, b'.')?;
        let (intended_micros, rest) = number(rest, b'.')?;
        let (lag_micros, _padding) = number(rest, b'~')?;
        let sequence = u32::try_from(sequence).ok()?;
        Some(Self {
            key: Key { sender, sequence },
            intended_micros,
            lag_micros,
        })
    }

    /// Appends the stamp and then padding until the content has `content_bytes`; a stamp is never cut.
    pub fn write(self, content_bytes: usize, content: &mut String) {
        const PADDING: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

        let start = content.len();
        self.append(content);
        let mut missing = content_bytes.saturating_sub(content.len() - start);
        while missing > 0 {
            let more = &PADDING[..missing.min(PADDING.len())];
            content.push_str(more);
            missing -= more.len();
        }
    }

    /// Every message has one: digit by digit it takes a third of what formatting would.
    fn append(self, content: &mut String) {
        let Self {
            key: Key { sender, sequence },
            intended_micros,
            lag_micros,
        } = self;
        let numbers = [sender, u64::from(sequence), intended_micros, lag_micros];
        for (before, number) in ['~', '.', '.', '.'].into_iter().zip(numbers) {
            content.push(before);
            push_hexadecimal(number, content);
        }
        content.push('~');
    }
}

fn push_hexadecimal(number: u64, text: &mut String) {
    const BITS_OF_A_DIGIT: u32 = 4;

    let digits = (u64::BITS - number.leading_zeros())
        .div_ceil(BITS_OF_A_DIGIT)
        .max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (place * BITS_OF_A_DIGIT)) & 0xf;
        text.push(char::from(b"0123456789abcdef"[digit as usize]));
    }
}

/// The hexadecimal number before the first `end`, and what comes after that.
fn number(bytes: &[u8], end: u8) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == end {
            return (at > 0).then_some((number, &bytes[at + 1..]));
        }
        let digit = char::from(*byte).to_digit(16)?;
        number = number.checked_mul(16)? | u64::from(digit);
    }
    None
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(Self::BYTES_MAX);
        self.append(&mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_its_content_whatever_the_padding() {
        let stamp = Stamp {
            key: Key {
                sender: 0xdead_beef_0000_002a,
                sequence: 300,
            },
            intended_micros: 1_000_000,
            lag_micros: 17,
        };
        for (content_bytes, expected) in [
            (0, "~deadbeef0000002a.12c.f4240.11~"),
            (34, "~deadbeef0000002a.12c.f4240.11~xxx"),
            (
                200,
                &format!("~deadbeef0000002a.12c.f4240.11~{}", "x".repeat(169)),
            ),
        ] {
            let mut content = String::new();
            stamp.write(content_bytes, &mut content);
            assert_eq!(content, expected);
            assert_eq!(Stamp::read(&content), Some(stamp));
        }
    }

    #[test]
    fn no_stamp_of_thirty_days_is_longer_than_it_says() {
        let stamp = Stamp {
            key: Key {
                sender: u64::MAX,
                sequence: u32::MAX,
            },
            intended_micros: 30 * 24 * 3_600_000_000,
            lag_micros: 3_600_000_000,
        };
        assert_eq!(stamp.to_string().len(), Stamp::BYTES_MAX);
    }

    #[test]
    fn other_contents_have_no_stamp() {
        for content in [
            "",
            "hello",
            "~1.2.3.4",
            "~...~",
            "~1.2.3~",
            "~1.2.3.4.5~",
            "~1.x.3.4~",
            "x~1.2.3.4~",
            "~1.100000000.3.4~",
        ] {
            assert_eq!(Stamp::read(content), None, "{content}");
        }
    }
}
