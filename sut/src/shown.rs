//! Times as this crate's errors write them.

use std::time::Duration;

/// Whole seconds as seconds, anything else as whole milliseconds: `20 s`, `1500 ms`, as the rest of the program writes what
/// is below a minute. The reports' own form cannot be used here: this crate does without them.
pub(crate) fn shown(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_seconds_are_seconds_and_the_rest_milliseconds() {
        for (millis, text) in [(20_000, "20 s"), (0, "0 s"), (1_500, "1500 ms"), (200, "200 ms")] {
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
    }
}
