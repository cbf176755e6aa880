//! How long users waited: by kind, over time, by percentile.

use touchstone_report::number::MISSING;
use touchstone_report::{Axis, Block, Cell, Column, Plot, Section, Table, Tone};

use super::ms;
use crate::record::{Distribution, Latency, Measured};
use crate::summary::{Interval, Summary};

/// Up to here the percentile curve is drawn; each further nine needs ten times the samples.
const QUANTILES: [f64; 16] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999,
];
/// A quantile is only drawn if this many values lie beyond it.
const VALUES_BEYOND: f64 = 5.0;

impl Summary {
    pub(super) fn latency_section(&self) -> Section {
        let named = self.named_latencies();
        let section = Section::new("Latency");
        if named.is_empty() {
            return section;
        }
        let section = section
            .text(
                "From the instant at which something was meant to happen, so that a server that stalls is charged for everyone \
                 it keeps waiting. A dash stands where there are too few values for such a percentile.",
            )
            .with(table(&named, |measured| &measured.latency))
            .with(self.explanations(&named));
        let section = self.talked_of().fold(section, |section, latency| {
            section.with(self.latency_over_time(latency))
        });
        match self.main_latency() {
            Some(latency) => section.with(self.percentiles(latency)),
            None => section,
        }
    }

    /// Kinds and acts that were measured. An act that is all there is of a kind (the only one that is confirmed) is told as
    /// that kind.
    fn named_latencies(&self) -> Vec<(&str, &Measured)> {
        let kinds = self.measured.iter();
        let kinds = kinds.map(|(latency, measured)| (latency.name(), measured));
        let is_a_kind = |act: &Measured| {
            let mut kinds = self.measured.iter();
            kinds.any(|(_, kind)| kind.latency.histogram() == act.latency.histogram())
        };
        let acts = self.acts.iter().filter(|(_, measured)| !is_a_kind(measured));
        let acts = acts.map(|(name, measured)| (name.as_str(), measured));
        let all = kinds.chain(acts);
        all.filter(|(_, measured)| measured.latency.count() > 0).collect()
    }

    /// What each row is, and what it would be if only the server's own time counted.
    fn explanations(&self, named: &[(&str, &Measured)]) -> Block {
        let mut meanings = Table::new([Column::text("latency"), Column::text("meaning")]);
        for (name, _) in named {
            let kind = Latency::ALL.iter().find(|latency| latency.name() == *name);
            meanings.push([
                Cell::plain(*name),
                Cell::plain(kind.map_or("an act of the workload, to its effect", |kind| kind.meaning())),
            ]);
        }
        let service_time: Vec<_> = named
            .iter()
            .copied()
            .filter(|(_, measured)| measured.service_time.count() > 0)
            .collect();
        Block::details(
            "What each of these is, and service times",
            Tone::Neutral,
            vec![
                meanings.into(),
                Block::Text(
                    "Service time starts when something really happened: it leaves out what had to wait because the generator, or \
                     the message before, was late."
                        .into(),
                ),
                table(&service_time, |measured| &measured.service_time).into(),
            ],
        )
    }

    /// What the users of this run waited for, messages only.
    fn talked_of(&self) -> impl Iterator<Item = Latency> + '_ {
        [Latency::Answer, Latency::Confirm, Latency::Delivery]
            .into_iter()
            .filter(|latency| self.latency(*latency).latency.count() > 0)
    }

    fn latency_over_time(&self, latency: Latency) -> Plot {
        let title = format!("Latency over time: {}", latency.name());
        let curve = |which: fn(&Interval) -> f64| {
            self.series
                .iter()
                .map(|figures| figures.interval(latency).map(which))
                .collect()
        };
        self.over_seconds(title, Axis::log("ms"))
            .series("p50", curve(|interval| interval.p50_ms))
            .series("p99", curve(|interval| interval.p99_ms))
            .series("slowest", curve(|interval| interval.max_ms))
    }

    fn percentiles(&self, latency: Latency) -> Plot {
        let measured = self.latency(latency);
        let values = measured.latency.count() as f64;
        let drawn: Vec<f64> = QUANTILES
            .into_iter()
            .filter(|q| *q < 0.99 || values * (1.0 - q) >= VALUES_BEYOND)
            .collect();
        let curve =
            |distribution: &Distribution| drawn.iter().map(|q| distribution.quantile_ms(*q)).collect();
        let (latencies, service_times) = (curve(&measured.latency), curve(&measured.service_time));
        Plot::new(
            format!("Latency by percentile: {}", latency.name()),
            Axis::quantile("percentile"),
            Axis::log("ms"),
            drawn,
        )
        .series("latency", latencies)
        .series("service time", service_times)
    }
}

fn table(named: &[(&str, &Measured)], which: fn(&Measured) -> &Distribution) -> Table {
    let mut table = Table::new(
        [Column::text("latency")]
            .into_iter()
            .chain(["count", "p50", "p90", "p99", "p99.9", "max"].map(Column::number)),
    );
    for (name, measured) in named {
        let distribution = which(measured);
        let quantiles = [0.5, 0.9, 0.99, 0.999, 1.0].map(|q| Cell::plain(quantile(distribution, q)));
        let start = [Cell::plain(*name), Cell::number(distribution.count())];
        table.push(start.into_iter().chain(quantiles));
    }
    table
}

/// A quantile beyond which there is at least one value, or the slowest of all. Of fifty values the p99 would be the slowest
/// again, and look as if a hundred had been seen.
fn quantile(distribution: &Distribution, q: f64) -> String {
    let beyond = distribution.count() as f64 * (1.0 - q) + 1e-9;
    if (0.5 < q && q < 1.0) && beyond < 1.0 {
        MISSING.to_owned()
    } else {
        ms(distribution.quantile_ms(q))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_a_value_beyond_it() {
        for (values, shown) in [
            (1, [true, false, false, false, true]),
            (9, [true, false, false, false, true]),
            (10, [true, true, false, false, true]),
            (100, [true, true, true, false, true]),
            (1_000, [true; 5]),
        ] {
            let mut all = Distribution::default();
            (1..=values).for_each(|ms| all.record(ms * 1_000_000));
            let is_shown = [0.5, 0.9, 0.99, 0.999, 1.0].map(|q| quantile(&all, q) != MISSING);
            assert_eq!(is_shown, shown, "{values}");
        }
    }
}
