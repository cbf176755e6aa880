//! From when until when a certificate is valid: the one thing of it that the TLS library does not tell, read from its
//! DER (RFC 5280, 4.1).

/// Seconds of the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    from: u64,
    until: u64,
}

/// Where a time lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Before,
    Within,
    After,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

impl Validity {
    /// What a certificate says; `None` if it is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (mut fields, _) = element(certificate, SEQUENCE)?;
        if let Some((_, rest)) = element(fields, VERSION) {
            fields = rest;
        }
        for passed_over in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, fields) = element(fields, passed_over)?;
        }
        let (validity, _) = element(fields, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (until, _) = time(rest)?;
        Some(Self { from, until })
    }

    pub(super) fn at(self, second: u64) -> At {
        if second < self.from {
            At::Before
        } else if second <= self.until {
            At::Within
        } else {
            At::After
        }
    }
}

/// The contents of the element of this kind that `der` begins with, and what comes behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A time (RFC 5280, 4.1.2.5), always in UTC and to the second.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    let (year_digits, text, rest) = if let Some((text, rest)) = element(der, UTC_TIME) {
        (2, text, rest)
    } else {
        let (text, rest) = element(der, GENERALIZED_TIME)?;
        (4, text, rest)
    };
    let digits = text.strip_suffix(b"Z")?;
    if digits.len() != year_digits + 10 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, digits) = digits.split_at(year_digits);
    let year = match (year_digits, number(year)) {
        (2, short) if short >= 50 => 1_900 + short,
        (2, short) => 2_000 + short,
        (_, year) => year,
    };
    let mut fields = digits.chunks(2).map(number);
    let mut next = || fields.next();
    let (month, day) = (next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let seconds = (days(year, month, day)? * 24 + hour) * 3_600 + minute * 60 + second;
    Some((seconds, rest))
}

fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Days from the epoch to a date of the Gregorian calendar; a date before the epoch is its first day.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let in_year = BEFORE_MONTH.get(usize::try_from(month.checked_sub(1)?).ok()?)? + day.checked_sub(1)?;
    let leap_day = u64::from(month > 2 && is_leap(year));
    let before_year =
        year.saturating_sub(1_970) * 365 + leap_days(year.saturating_sub(1)).saturating_sub(leap_days(1_969));
    Some(if year < 1_970 {
        0
    } else {
        before_year + in_year + leap_day
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_of_the_epoch() {
        for (year, month, day, expected) in [
            (1950, 5, 5, 0),
            (1970, 1, 1, 0),
            (1970, 12, 31, 364),
            (1972, 3, 1, 790),
            (2000, 2, 29, 11_016),
            (2000, 3, 1, 11_017),
            (2026, 11, 28, 20_785),
            (2100, 3, 1, 47_541),
            (9999, 12, 31, 2_932_896),
        ] {
            assert_eq!(days(year, month, day), Some(expected), "{year}-{month}-{day}");
        }
        for (month, day) in [(0, 1), (13, 1), (1, 0)] {
            assert_eq!(days(2026, month, day), None);
        }
    }

    #[test]
    fn a_certificate_says_how_long_it_is_valid() {
        let key = rcgen::KeyPair::generate().unwrap();
        for (from, until, expected) in [
            (
                (2023, 1, 1),
                (2049, 12, 31),
                Validity {
                    from: 1_672_531_200,
                    until: 2_524_521_600,
                },
            ),
            (
                (1999, 12, 31),
                (2050, 1, 1),
                Validity {
                    from: 946_598_400,
                    until: 2_524_608_000,
                },
            ),
        ] {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
            let certificate = params.self_signed(&key).unwrap();
            let validity = Validity::of(certificate.der());
            assert_eq!(validity, Some(expected));
            assert_eq!(expected.at(expected.from - 1), At::Before);
            assert_eq!(expected.at(expected.from), At::Within);
            assert_eq!(expected.at(expected.until), At::Within);
            assert_eq!(expected.at(expected.until + 1), At::After);
            // However it is cut, it is none.
            let der: &[u8] = certificate.der();
            for end in 0..120.min(der.len()) {
                assert_eq!(Validity::of(&der[..end]), None);
            }
        }
    }
}
