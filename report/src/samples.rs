//! Documents for the tests of the renderers: a usual one and a hostile one.

use crate::document::{Axis, Bar, Block, Cell, Column, Document, Plot, Section, Table, Tile, Tone, Verdict};

/// A small run with every kind of block.
pub(crate) fn sample() -> Document {
    let mut cases = Table::new([
        Column::text("case"),
        Column::text("requirement"),
        Column::text("verdict"),
        Column::number("time"),
    ]);
    for at in 1..=14 {
        let verdict = match at {
            3 => Cell::bad("failed"),
            9 => Cell::warn("non-strict"),
            _ => Cell::good("passed"),
        };
        let requirement = "Each client message that is not empty is answered by one text frame";
        cases.push([
            Cell::plain(format!("`echo/{at}a-plain`")),
            Cell::plain(requirement),
            verdict,
            Cell::plain(format!("{at}.5 ms")),
        ]);
    }
    let failure = Block::details(
        "`echo/3a-plain` an empty message is answered",
        Tone::Bad,
        vec![
            Block::Text("Expected `2`, got 1.".into()),
            Block::Code("0.5 ms  alice  > text \"\"\n0.9 ms  alice  < close 1000".into()),
        ],
    );
    let seconds = vec![0.0, 1.0, 2.0, 3.0];
    Document::new(
        "check · built-in server",
        Verdict::Failed,
        "12 of 14 scenarios hold and 1 fails; nothing was lost.",
    )
    .fact("target", "built-in server")
    .fact("seed", "42")
    .tile(Tile::new("Scenarios", "12 / 14").note("1 failed").tone(Tone::Bad))
    .tile(Tile::new("Throughput", "4,011/s"))
    .section(
        Section::new("Conformance")
            .with(
                Bar::new("14 scenarios")
                    .part("passed", 12, Tone::Good)
                    .part("failed", 1, Tone::Bad)
                    .part("skipped", 0, Tone::Neutral),
            )
            .with(failure)
            .with(Block::details(
                "a quiet one",
                Tone::Neutral,
                vec![Block::Text("nobody looks".into())],
            ))
            .with(cases),
    )
    .section(
        Section::new("Load")
            .text("2,000 sessions, steadily.")
            .with(
                Plot::new(
                    "Latency over time",
                    Axis::linear("seconds"),
                    Axis::log("ms"),
                    seconds.clone(),
                )
                .curve("p50", [1.0, 2.0, 4.0, 2.0])
                .series("p99", vec![Some(8.0), None, Some(90.0), Some(0.0)]),
            )
            .with(
                Plot::new(
                    "Never measured",
                    Axis::linear("seconds"),
                    Axis::linear("ms"),
                    seconds,
                )
                .series("p50", vec![None; 4]),
            ),
    )
}

/// What a foreign server or a careless scenario could put into every text there is.
pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script>\u{1b}[31m\u{202e}\u{0}\r\n]]>`code` ``` | @someone #1 <!-- <img src=x onerror=y> \"'&amp; {{ 7*7 }} {% endif %} https://evil.example/";

/// A document made of [`HOSTILE`] text, with lines as long as a payload.
pub(crate) fn hostile() -> Document {
    let text = || HOSTILE.to_owned();
    let long = format!("{HOSTILE}{}漢字", "x".repeat(100_000));
    let table = Table::new([Column::text(text()), Column::number(text()), Column::text("")])
        .row([Cell::bad(text()), Cell::plain(long.clone()), Cell::plain("")])
        .row([Cell::plain("`"), Cell::good("``"), Cell::warn("")]);
    let mut wide = Table::new((0..90).map(|at| Column::number(format!("column {at}"))));
    wide.push((0..90).map(Cell::number));
    let plot = Plot::new(
        text(),
        Axis::linear(text()),
        Axis::quantile(text()),
        vec![0.0, f64::NAN, f64::INFINITY],
    )
    .series(text(), vec![Some(f64::NAN), Some(1.0), Some(-1.0)])
    .curve(text(), [0.5; 3]);
    let nested = (0..30).fold(Block::Code(long.clone()), |inner, _| {
        Block::details(text(), Tone::Bad, vec![inner])
    });
    let section = Section {
        id: text(),
        title: text(),
        blocks: vec![
            Block::Text(long.clone()),
            table.into(),
            wide.into(),
            plot.into(),
            nested,
        ],
    };
    Document::new(text(), Verdict::Failed, long)
        .fact(text(), text())
        .tile(Tile::new(text(), text()).note(text()).tone(Tone::Warn))
        .section(section.clone())
        .section(section.with(Bar::new(text()).part(text(), u64::MAX, Tone::Good)))
}
