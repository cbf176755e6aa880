//! What is printed: Markdown, to be put into a document as it is.

#![expect(clippy::print_stdout, reason = "a measurement's output is what it is for")]

use std::fs;

use anyhow::Result;

/// The machine, as far as figures depend on it.
pub(crate) fn machine() -> Result<()> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<_> = processors
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .collect();
    let cores = models.len();
    let model = models.first().map_or("an unnamed processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("{cores} cores, {model}, Linux {}\n", kernel.trim());
    Ok(())
}

/// A heading, and what the figures under it are.
pub(crate) fn heading(title: &str, columns: &[&str]) {
    println!("### {title}\n");
    row(columns);
    println!("|{}", "---|".repeat(columns.len()));
}

/// A row of a table.
pub(crate) fn row<T: AsRef<str>>(cells: &[T]) {
    let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
    println!("| {} |", cells.join(" | "));
}

/// What does not fit into a table.
pub(crate) fn note(text: &str) {
    println!("{text}\n");
}

/// The end of a table.
pub(crate) fn end() {
    println!();
}

/// Figures of several rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(pub(crate) Vec<f64>);

impl Rounds {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The one in the middle.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// `median (least to most)`.
    pub(crate) fn shown(&self) -> String {
        let sorted = self.sorted();
        match (sorted.first(), sorted.last()) {
            (Some(least), Some(most)) => format!("{:.2} ({least:.2} to {most:.2})", self.median()),
            (_, _) => "none".to_owned(),
        }
    }

    /// Round by round, these over those.
    pub(crate) fn over(&self, those: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&those.0)
                .map(|(this, that)| this / that)
                .collect(),
        )
    }
}
