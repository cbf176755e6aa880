//! A report read back: what it takes to put several together. Keys that are missing count as nothing measured; another
//! schema is refused.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use serde_json::Value;
use touchstone_report::document::Verdict;
use touchstone_report::timestamp;

use super::reader::{At, KeyError};
use super::{SCHEMA, decoded, pages};
use crate::ledger::Totals;
use crate::ledger::reckon::Beside;
use crate::observe::Observed;
use crate::record::{Bytes, Distribution, ErrorKind, Errors, Latency, Measured, Second, Traffic};
use crate::schedule::Nanos;
use crate::summary::{Figures, Interval, Judged, PhaseSpan, Sessions, Storm, Subject, Summary};
use crate::thresholds::Threshold;
use crate::watch::Generator;
use crate::workload::Compression;

impl Summary {
    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// If it has another schema, or a value that will not do.
    pub fn from_json(report: &Value) -> Result<Self, KeyError> {
        let report = At::root(report);
        let schema = report.key("schema")?;
        if schema.text()? != SCHEMA {
            return Err(schema.wrong(format!("is `{}`, but must be `{SCHEMA}`", schema.text()?)));
        }
        let summary = report.key("summary")?;
        let messages = summary.optional("messages");
        let generator = report.optional("generator");
        let generator = generator.as_ref();
        Ok(Self {
            commit: match report.key("tool")?.optional("commit") {
                Some(commit) => Some(commit.text()?.to_owned()),
                None => None,
            },
            plan: subject(&report)?,
            target: report.key("target")?.text()?.to_owned(),
            started_at: moment(&report.key("started_at")?)?,
            duration: duration(&report.key("duration_ms")?)?,
            verdict: verdict(&report.key("verdict")?)?,
            sessions: sessions(&summary.key("sessions")?)?,
            storm: storm(&summary)?,
            errors: errors(&summary)?,
            delivery: totals(&report)?,
            beside: beside(&report)?,
            ledger: pages::read(&report)?,
            measured: measured(&report)?,
            acts: acts(&report)?,
            messages_per_second: match messages.as_ref().and_then(|all| all.optional("per_second")) {
                Some(rate) => rate.number()?,
                None => 0.0,
            },
            heartbeats: summary.count("heartbeats")?,
            pushes: summary.count("pushes")?,
            skipped_sends: match &messages {
                Some(messages) => messages.count("skipped_while_away")?,
                None => 0,
            },
            unsent: match &messages {
                Some(messages) => messages.count("unsent")?,
                None => 0,
            },
            traffic: traffic(&summary)?,
            generator: generator.map_or(Ok(Generator::default()), self::generator)?,
            send_lag: distribution_of(generator, "send_lag")?,
            loop_lag: distribution_of(generator, "loop_lag")?,
            late_sends: generator.map_or(Ok(0), |generator| generator.count("late_sends"))?,
            thresholds: report.list("thresholds", |at| judged(&at))?,
            series: report.list("series", |at| figures(&at))?,
        })
    }
}

fn subject(report: &At<'_>) -> Result<Subject, KeyError> {
    let workload = report.key("workload")?;
    Ok(Subject {
        name: workload.key("name")?.text()?.to_owned(),
        title: match workload.optional("title") {
            Some(title) => title.text()?.to_owned(),
            None => String::new(),
        },
        protocol: workload.key("dialect")?.text()?.to_owned(),
        sessions: workload.count("sessions")?,
        seed: report.key("seed")?.whole()?,
        compression: match workload.optional("compression") {
            Some(at) => compression(&at)?,
            None => Compression::None,
        },
        phases: report.list("phases", |phase| {
            Ok(PhaseSpan {
                name: phase.key("name")?.text()?.to_owned(),
                start: nanoseconds(&phase.key("start_ms")?)?,
                end: nanoseconds(&phase.key("end_ms")?)?,
            })
        })?,
    })
}

fn compression(at: &At<'_>) -> Result<Compression, KeyError> {
    serde_json::from_value(at.text()?.into()).map_err(|error| at.wrong(error))
}

fn nanoseconds(at: &At<'_>) -> Result<Nanos, KeyError> {
    Ok(crate::schedule::nanos(duration(at)?))
}

fn duration(at: &At<'_>) -> Result<Duration, KeyError> {
    let ms = at.number()?;
    Duration::try_from_secs_f64(ms / 1e3).map_err(|error| at.wrong(format!("is {ms}: {error}")))
}

fn moment(at: &At<'_>) -> Result<SystemTime, KeyError> {
    let text = at.text()?;
    timestamp::moment(text)
        .ok_or_else(|| at.wrong(format!("is `{text}`, which is no time as RFC 3339 writes it")))
}

fn verdict(at: &At<'_>) -> Result<Verdict, KeyError> {
    let all = [
        Verdict::Passed,
        Verdict::Failed,
        Verdict::Undecided,
        Verdict::Interrupted,
    ];
    let text = at.text()?;
    let found = all.into_iter().find(|verdict| verdict.word() == text);
    found.ok_or_else(|| at.wrong(format!("is `{text}`, which is no verdict")))
}

fn sessions(at: &At<'_>) -> Result<Sessions, KeyError> {
    Ok(Sessions {
        attempted: at.count("attempted")?,
        connected: at.count("connected")?,
        failed: at.count("failed")?,
        reconnects: at.count("reconnects")?,
        unexpected_closes: at.count("unexpected_closes")?,
    })
}

fn traffic(summary: &At<'_>) -> Result<Traffic, KeyError> {
    let Some(all) = summary.optional("bytes") else {
        return Ok(Traffic::default());
    };
    let bytes = |key| match all.optional(key) {
        Some(bytes) => Ok(Bytes {
            payload: bytes.count("payload")?,
            wire: bytes.count("wire")?,
        }),
        None => Ok(Bytes::default()),
    };
    Ok(Traffic {
        sent: bytes("sent")?,
        heard: bytes("received")?,
        compressed_sessions: all.count("compressed_sessions")?,
    })
}

fn storm(summary: &At<'_>) -> Result<Storm, KeyError> {
    let Some(storm) = summary.optional("storm") else {
        return Ok(Storm::default());
    };
    Ok(Storm {
        dropped: storm.count("dropped")?,
        back: storm.count("back")?,
        recovery: distribution_of(Some(&storm), "recovery")?,
    })
}

fn errors(summary: &At<'_>) -> Result<Errors, KeyError> {
    let mut errors = Errors::default();
    let Some(written) = summary.optional("errors") else {
        return Ok(errors);
    };
    for (name, count) in written.entries()? {
        let kind = ErrorKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| count.wrong("is no kind of error"))?;
        errors.add(kind, count.whole()?);
    }
    Ok(errors)
}

fn totals(report: &At<'_>) -> Result<Totals, KeyError> {
    let delivery = report.key("delivery")?;
    let sent = match report.key("summary")?.optional("messages") {
        Some(messages) => messages.count("sent")?,
        None => 0,
    };
    // Here messages stand beside sessions, and not among what is owed.
    Ok(Totals {
        sent,
        ..pages::totals(&delivery)?
    })
}

fn beside(report: &At<'_>) -> Result<Beside, KeyError> {
    let Some(beside) = report.key("delivery")?.optional("beside") else {
        return Ok(Beside::default());
    };
    Ok(Beside {
        unconfirmed: beside.count("of_unconfirmed")?,
        not_owed: beside.count("not_owed")?,
        stray: beside.count("stray")?,
    })
}

fn measured(report: &At<'_>) -> Result<Vec<(Latency, Measured)>, KeyError> {
    let latencies = report.optional("latency");
    let service_times = report.optional("service_time");
    let of = |latency: Latency| {
        let measured = Measured {
            latency: distribution_of(latencies.as_ref(), latency.name())?,
            service_time: distribution_of(service_times.as_ref(), latency.name())?,
        };
        Ok((latency, measured))
    };
    Latency::ALL.into_iter().map(of).collect()
}

/// Whatever else has a latency is an act.
fn acts(report: &At<'_>) -> Result<Vec<(String, Measured)>, KeyError> {
    let Some(latencies) = report.optional("latency") else {
        return Ok(Vec::new());
    };
    let service_times = report.optional("service_time");
    let is_act = |name: &str| Latency::ALL.iter().all(|known| known.name() != name);
    latencies
        .entries()?
        .filter(|(name, _)| is_act(name))
        .map(|(name, _)| {
            let measured = Measured {
                latency: distribution_of(Some(&latencies), name)?,
                service_time: distribution_of(service_times.as_ref(), name)?,
            };
            Ok((name.to_owned(), measured))
        })
        .collect()
}

fn distribution_of(parent: Option<&At<'_>>, key: &str) -> Result<Distribution, KeyError> {
    let written = parent.and_then(|parent| parent.optional(key));
    let Some(text) = written.and_then(|written| written.optional("histogram")) else {
        return Ok(Distribution::default());
    };
    let all = histogram(&text)?;
    Distribution::restore(all).ok_or_else(|| other_bounds(&text))
}

/// A histogram in base64.
fn histogram(text: &At<'_>) -> Result<Histogram<u32>, KeyError> {
    decoded(text.text()?).map_err(|why| text.wrong(why))
}

fn generator(generator: &At<'_>) -> Result<Generator, KeyError> {
    Ok(Generator {
        cpu_seconds: match generator.optional("cpu_seconds") {
            Some(seconds) => seconds.number()?,
            None => 0.0,
        },
        peak_rss_bytes: match generator.optional("peak_rss_bytes") {
            Some(bytes) => Some(bytes.whole()?),
            None => None,
        },
        loops: generator.count("loops")?,
        saturated: match generator.optional("saturated") {
            Some(saturated) => saturated.yes_or_no()?,
            None => false,
        },
        reasons: generator.list("reasons", |reason| Ok(reason.text()?.to_owned()))?,
    })
}

fn judged(at: &At<'_>) -> Result<Judged, KeyError> {
    let expression = at.key("expression")?;
    let threshold: Threshold = expression
        .text()?
        .parse()
        .map_err(|error| expression.wrong(error))?;
    Ok(Judged {
        threshold,
        actual: match at.optional("actual") {
            Some(actual) => Some(actual.number()?),
            None => None,
        },
        verdict: verdict(&at.key("verdict")?)?,
    })
}

fn figures(at: &At<'_>) -> Result<Figures, KeyError> {
    Ok(Figures {
        at_seconds: at.key("at_s")?.whole()?,
        sent: at.count("sent")?,
        answered: at.count("answered")?,
        delivered: at.count("delivered")?,
        heartbeats: at.count("heartbeats")?,
        connected: at.count("connected")?,
        reconnects: at.count("reconnects")?,
        errors: at.count("errors")?,
        intervals: match at.optional("latency") {
            Some(latencies) => intervals(&latencies)?,
            None => Vec::new(),
        },
        target: match at.optional("target") {
            Some(target) => Some(observed(&target)?),
            None => None,
        },
    })
}

fn observed(at: &At<'_>) -> Result<Observed, KeyError> {
    let whole = |key| at.optional(key).map(|value| value.whole()).transpose();
    Ok(Observed {
        cpu_percent: at
            .optional("cpu_percent")
            .map(|value| value.number())
            .transpose()?,
        rss_bytes: whole("rss_bytes")?,
        connections: whole("connections")?,
    })
}

fn intervals(latencies: &At<'_>) -> Result<Vec<Interval>, KeyError> {
    let mut intervals = Vec::new();
    for latency in Latency::ALL {
        let written = latencies.optional(latency.name());
        if let Some(text) = written.and_then(|written| written.optional("histogram")) {
            let all = histogram(&text)?;
            if !Second::fits(&all) {
                return Err(other_bounds(&text));
            }
            intervals.push(Interval::of(latency, &all));
        }
    }
    Ok(intervals)
}

fn other_bounds(at: &At<'_>) -> KeyError {
    at.wrong("has other bounds than this program's histograms")
}
