//! A report of a run that never was: `cargo run -p touchstone-report --example sample -- sample.html` writes the page,
//! `-- markdown`, `-- terminal` and `-- brief` print the other looks.

use touchstone_report::terminal::{Detail, Options};
use touchstone_report::{
    Axis, Bar, Block, Cell, Column, Document, Palette, Plot, Section, Table, Tile, Tone, Verdict, html,
    markdown, number, terminal,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let document = Document::join("touchstone check · built-in server", vec![conform(), load()]);
    let wanted = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "sample.html".to_owned());
    let columns = 80;
    let text = |detail| {
        terminal::render(
            &document,
            Options {
                columns,
                palette: Palette::Colour,
                detail,
            },
        )
    };
    let shown = match wanted.as_str() {
        "markdown" => markdown::render(&document, markdown::STEP_SUMMARY_BYTES_MAX),
        "terminal" => text(Detail::Full),
        "brief" => text(Detail::Brief),
        path => {
            std::fs::write(path, html::render(&document)?)?;
            format!("wrote {path}\n")
        }
    };
    std::io::Write::write_all(&mut std::io::stdout(), shown.as_bytes())?;
    Ok(())
}

const RULES: [(&str, &str, &str); 8] = [
    (
        "echo/2a",
        "doc",
        "Each message is answered by one text frame with the message verbatim",
    ),
    ("echo/2b", "doc", "N grows by 1 with each message"),
    ("echo/5a", "doc", "With a session the count goes on where it was"),
    (
        "echo/8a",
        "doc",
        "Heartbeat frames carry the time in milliseconds as a string",
    ),
    (
        "echo/10a",
        "doc",
        "On a graceful stop every connection is told its total",
    ),
    (
        "rfc6455/5.1-1",
        "doc",
        "An unmasked frame from a client closes 1002",
    ),
    (
        "rfc6455/5.4-3",
        "doc",
        "Control frames may come between fragments",
    ),
    (
        "common/4c",
        "ours",
        "A message above the limit closes 1009 before it is stored",
    ),
];

const TRANSCRIPT: &str = "   0.0 ms  alice  connects to ws:/echo/ws/chat/?session=s-41
   0.4 ms  alice  < 101 Switching Protocols
   0.5 ms  alice  > text  \"hello\"
   0.9 ms  alice  < text  {\"count\":1,\"echo\":\"hello\"}
   1.0 ms  alice  > text  \"</script><script>alert(1)</script>\"
   1.6 ms  alice  < text  {\"count\":1,\"echo\":\"</script><script>alert(1)</script>\"}
                          expected /count to be 2, got 1
   1.7 ms  alice  > close 1000
   2.1 ms  alice  < close 1000
   2.2 ms  alice  TCP ended cleanly";

fn conform() -> Document {
    let mut cases = Table::new([
        Column::text("case"),
        Column::text("requirement"),
        Column::text("basis"),
        Column::text("verdict"),
        Column::number("time"),
    ]);
    for at in 0..118_usize {
        let (rule, basis, requirement) = if at == 41 {
            RULES[1]
        } else {
            RULES[at * 7 % RULES.len()]
        };
        let name = match at {
            41 => "count".to_owned(),
            _ => format!(
                "{}-{}",
                ["plain", "binary", "reconnect", "fragmented"][at % 4],
                at / 4 + 1
            ),
        };
        let verdict = match at {
            41 => Cell::bad("failed"),
            77 => Cell::warn("non-strict"),
            90 => Cell::new("skipped", Tone::Neutral),
            _ => Cell::good("passed"),
        };
        cases.push([
            Cell::plain(format!("`{rule}-{name}`")),
            Cell::plain(requirement),
            Cell::plain(basis),
            verdict,
            Cell::plain(number::millis(1.3 + (at * 37 % 101) as f64 / 3.0)),
        ]);
    }
    let failure = Block::details(
        "`echo/2b-count` N grows by 1 with each message",
        Tone::Bad,
        vec![
            Block::Text("The second answer of a session that was resumed counts from where the first one did. Rule `echo/2b`, expected `2`, got `1`.".into()),
            Block::Code(TRANSCRIPT.into()),
            Block::Text("Again: `touchstone conform run echo/2b-count --seed 20261121`".into()),
        ],
    );
    let skipped = Block::details(
        "`echo/7c-redis` is skipped: the target has no `faults.store`",
        Tone::Neutral,
        vec![Block::Text(
            "Set `faults.store` in the target file to have it tried.".into(),
        )],
    );
    let coverage = Table::new([
        Column::text("dialect"),
        Column::text("what"),
        Column::number("seen"),
        Column::number("of"),
    ])
    .row([
        Cell::plain("echo"),
        Cell::plain("message types"),
        Cell::good("6"),
        Cell::number(6),
    ])
    .row([
        Cell::plain("echo"),
        Cell::plain("close codes"),
        Cell::warn("7"),
        Cell::number(8),
    ])
    .row([
        Cell::plain("echo"),
        Cell::plain("clauses"),
        Cell::good("41"),
        Cell::number(41),
    ]);
    Document::new(
        "conform",
        Verdict::Failed,
        "115 of 118 scenarios hold; 1 fails, 1 holds only non-strictly, 1 was skipped",
    )
    .fact("target", "built-in server")
    .fact("version", "touchstone 0.1.0 (3f2c1ab)")
    .fact("seed", "20261121")
    .fact("started", "2026-11-21 11:40:07 UTC")
    .fact("duration", "14.2 s")
    .tile(
        Tile::new("Scenarios", "115 / 118")
            .note("1 failed, 1 skipped")
            .tone(Tone::Bad),
    )
    .tile(
        Tile::new("Clauses covered", "41 / 41")
            .note("echo, RFC 6455")
            .tone(Tone::Good),
    )
    .tile(
        Tile::new("Clean closes", "100 %")
            .note("of 240 connections")
            .tone(Tone::Good),
    )
    .section(
        Section::new("Conformance")
            .with(
                Bar::new("118 scenarios")
                    .part("passed", 115, Tone::Good)
                    .part("failed", 1, Tone::Bad)
                    .part("non-strict", 1, Tone::Warn)
                    .part("skipped", 1, Tone::Neutral),
            )
            .with(failure)
            .with(skipped),
    )
    .section(Section::new("All scenarios").with(cases))
    .section(
        Section::new("Coverage")
            .text("What the scenarios made the server send.")
            .with(coverage),
    )
}

fn load() -> Document {
    let seconds: Vec<f64> = (0..=100).map(|tenth| f64::from(tenth) / 10.0).collect();
    let wave = |level: f64, storm: f64| {
        seconds
            .iter()
            .map(move |second| {
                let noise = ((second * 3.7).sin() + (second * 8.3).cos()) * 0.05 + 1.0;
                let bump = if (6.0..7.4).contains(second) {
                    storm * (1.0 - (second - 6.7).abs() / 0.7)
                } else {
                    0.0
                };
                (level + bump) * noise
            })
            .collect::<Vec<_>>()
    };
    let quantiles: Vec<f64> = (0..=64)
        .map(|step| 1.0 - 10f64.powf(-f64::from(step) / 16.0))
        .collect();
    let tail = |base: f64, slope: f64| -> Vec<f64> {
        quantiles.iter().map(|q| base * (1.0 - q).powf(-slope)).collect()
    };
    let latencies = Table::new(
        ["latency", "count", "p50", "p90", "p99", "p99.9", "max"]
            .into_iter()
            .enumerate()
            .map(|(at, title)| {
                if at == 0 {
                    Column::text(title)
                } else {
                    Column::number(title)
                }
            }),
    )
    .row(
        [
            "connect", "2,000", "410 µs", "1.1 ms", "6.2 ms", "9.8 ms", "11.2 ms",
        ]
        .map(Cell::plain),
    )
    .row(
        [
            "answer", "40,112", "380 µs", "920 µs", "4.1 ms", "8.6 ms", "12.9 ms",
        ]
        .map(Cell::plain),
    )
    .row(
        [
            "resume", "500", "620 µs", "2.2 ms", "9.4 ms", "10.1 ms", "10.1 ms",
        ]
        .map(Cell::plain),
    );
    let thresholds = Table::new([
        Column::text("threshold"),
        Column::number("actual"),
        Column::text("verdict"),
    ])
    .row([
        Cell::plain("`delivery.lost == 0`"),
        Cell::number(0),
        Cell::good("passed"),
    ])
    .row([
        Cell::plain("`sessions.failed == 0`"),
        Cell::number(0),
        Cell::good("passed"),
    ]);
    Document::new(
        "load",
        Verdict::Passed,
        "2,000 sessions sent 40,112 messages in 10 s and lost none",
    )
    .fact("target", "built-in server")
    .fact("version", "touchstone 0.1.0 (3f2c1ab)")
    .fact("seed", "20261121")
    .fact("started", "2026-11-21 11:40:22 UTC")
    .fact("duration", "12.6 s")
    .tile(
        Tile::new("Lost messages", "0")
            .note("of 40,112 confirmed")
            .tone(Tone::Good),
    )
    .tile(Tile::new("Throughput", "4,011/s").note("messages, over 10 s"))
    .tile(Tile::new("p99 answer", "4.1 ms").note("p50 380 µs, max 12.9 ms"))
    .tile(Tile::new("Reconnect storm", "740 ms").note("500 sessions, to the last one"))
    .section(
        Section::new("Load")
            .with(thresholds)
            .with(
                Plot::new(
                    "Latency of answers over time",
                    Axis::linear("seconds"),
                    Axis::log("ms"),
                    seconds.clone(),
                )
                .curve("p50", wave(0.38, 0.3))
                .curve("p99", wave(3.2, 4.5))
                .curve("max", wave(7.0, 6.0)),
            )
            .with(
                Plot::new(
                    "Throughput and sessions",
                    Axis::linear("seconds"),
                    Axis::linear("per second"),
                    seconds.clone(),
                )
                .curve("answers", wave(4_011.0, -900.0))
                .series(
                    "reconnects",
                    seconds
                        .iter()
                        .map(|s| (5.5..8.0).contains(s).then_some((s - 5.5) * 300.0))
                        .collect(),
                ),
            )
            .with(
                Plot::new(
                    "Latency by quantile",
                    Axis::quantile("share of answers that are at least as fast"),
                    Axis::log("ms"),
                    quantiles.clone(),
                )
                .curve("answer", tail(0.32, 0.36))
                .curve("resume", tail(0.5, 0.31)),
            )
            .with(latencies),
    )
    .section(Section::new("Generator").text(
        "The generator used 41 % of one core, sent 3 messages late by at most 2.1 ms, and was not saturated.",
    ))
}
