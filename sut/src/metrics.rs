//! A server's `/metrics`, read as far as the suite needs it: the sum of each metric's samples.

use std::collections::BTreeMap;

/// The samples of a Prometheus or OpenMetrics text, summed over labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads the exposition text. Lines that are no samples are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut sums = BTreeMap::new();
        for (name, value) in text.lines().filter_map(sample) {
            *sums.entry(name.to_owned()).or_insert(0.0) += value;
        }
        Self(sums)
    }

    /// How many metrics there are, by name.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The sum of the metric's samples, if it has any.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

fn sample(line: &str) -> Option<(&str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (name, rest) = match line.find('{') {
        Some(open) => (&line[..open], &line[line.rfind('}')? + 1..]),
        None => line.split_once(' ')?,
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_over_their_labels() {
        let metrics = Metrics::parse(
            "# HELP a counts\n# TYPE a counter\na_total 3\nb{x=\"1\"} 2\nb{x=\"} 9\"} 0.5 1700000000\n\nnonsense\n# EOF\n",
        );
        assert_eq!(metrics.get("a_total"), Some(3.0));
        assert_eq!(metrics.get("b"), Some(2.5));
        assert_eq!(metrics.get("nonsense"), None);
    }
}
