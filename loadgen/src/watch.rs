//! The generator watches itself: a starved generator must not be read as a slow server.
//!
//! **The rule.** A run is saturated when sends left more than [`LAG_P99_MAX_MS`] after their intended instant at p99, or
//! the loops' own timers came that late at p99, or when sends were never made for want of time. Only lateness decides: a process can
//! be starved without being busy, and busy without being late. How busy loops and machine were, how long tasks waited for a core,
//! what was stolen, and which descriptors and ports were nearly used up is told as the likely cause, each with its limit. There is
//! one thing besides: connections that fail while descriptors or ports are used up are the generator's failures.

use std::time::{Duration, Instant};

use touchstone_report::number;

use crate::record::{ErrorKind, Recorder};

/// Later than this at p99, and times say more about the generator than about the server: several times what a timer of a healthy
/// loop needs, a fifth of the shortest threshold people set (100 ms).
pub const LAG_P99_MAX_MS: f64 = 20.0;
/// A loop busier than this has no reserve for a burst.
const BUSY_MAX: f64 = 0.9;
/// Stolen time beyond this is felt as lag.
const STOLEN_MAX: f64 = 0.05;
/// Tasks that wait for a core for more of the time than this are felt as lag.
const WAITING_MAX: f64 = 0.2;
/// Of what there is only so much, more than this is nearly all: connections come and go between two looks.
const TAKEN_MAX: f64 = 0.95;

/// What the generator knows about itself.
#[derive(Debug, Clone, Default)]
pub struct Generator {
    /// User and system time of this process during the run, connects included, in seconds.
    pub cpu_seconds: f64,
    /// The most memory this process had resident at once during the run, what it had kept from before included. `None` where
    /// the system does not tell, or tells only that it was more some time before.
    pub peak_rss_bytes: Option<u64>,
    /// Event loops the sessions were spread over.
    pub loops: u32,
    /// Whether times and rates of this run are worth nothing.
    pub saturated: bool,
    /// Why it is saturated, in sentences; empty if it is not.
    pub reasons: Vec<String>,
}

/// A reading of the process's and the machine's counters. What the system does not tell is zero or `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    cpu: Duration,
    /// The most this process ever had resident, or had since [`Reading::start`] where that can be told.
    peak_rss_bytes: Option<u64>,
    machine: Option<Ticks>,
    at: Option<Instant>,
    /// How long some task of the machine has waited for a core.
    waited: Option<Duration>,
    /// Open descriptors of this process.
    descriptors: Option<u64>,
}

/// The most that connections of a run took at once of what there is only so much of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Of this process's descriptors.
    pub descriptors: Option<Part>,
    /// Of the ports to one node, of all processes of the run.
    pub ports: Option<Part>,
}

/// So much of so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Taken at most at once.
    pub taken: u64,
    /// All there is.
    pub of: u64,
}

impl Part {
    fn is_nearly_all(self) -> bool {
        self.taken as f64 > TAKEN_MAX * self.of as f64
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    total: u64,
    idle: u64,
    stolen: u64,
}

impl Reading {
    /// Reads at the start of a run. Where the system can forget the peak of this process's memory, it is made to: whoever ran
    /// something larger before would otherwise read that instead of the run.
    #[must_use]
    pub fn start() -> Self {
        // proc_pid_clear_refs(5). Where it is missing or forbidden, `judge` can tell a new peak from an old one.
        let _kept = std::fs::write("/proc/self/clear_refs", "5");
        Self::now()
    }

    /// Reads now.
    #[must_use]
    pub fn now() -> Self {
        let usage = system::process_usage();
        Self {
            cpu: usage.map_or(Duration::ZERO, |usage| usage.0),
            // What getrusage(2) calls the peak counts the program that started this one, too: its memory until exec.
            peak_rss_bytes: std::fs::read_to_string("/proc/self/status")
                .ok()
                .and_then(|status| peak_rss_bytes(&status))
                .or(usage.map(|usage| usage.1)),
            machine: std::fs::read_to_string("/proc/stat")
                .ok()
                .and_then(|text| ticks(&text)),
            at: Some(Instant::now()),
            waited: std::fs::read_to_string("/proc/pressure/cpu")
                .ok()
                .and_then(|text| waited(&text)),
            descriptors: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|all| all.count() as u64),
        }
    }

    /// Open descriptors of this process; `None` where the system does not tell.
    #[must_use]
    pub fn descriptors(&self) -> Option<u64> {
        self.descriptors
    }
}

/// What one loop's thread has used of its core.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoopUse {
    /// User and system time of the thread.
    pub cpu: Duration,
    /// How long it ran.
    pub wall: Duration,
}

/// User and system time of the calling thread so far; zero where the system does not tell.
#[must_use]
pub fn thread_cpu() -> Duration {
    system::thread_cpu().unwrap_or_default()
}

/// Judges a run from the readings around it.
#[must_use]
pub fn judge(
    before: &Reading,
    after: &Reading,
    loops: &[LoopUse],
    recorder: &Recorder,
    taken: Taken,
) -> Generator {
    let mut reasons = Vec::new();
    for (what, lag) in [
        ("sends left", &recorder.send_lag),
        ("timers of the event loops came", &recorder.loop_lag),
    ] {
        if let Some(p99) = lag.quantile_ms(0.99).filter(|p99| *p99 > LAG_P99_MAX_MS) {
            reasons.push(format!(
                "{what} {p99:.0} ms late at p99, the limit is {LAG_P99_MAX_MS:.0} ms"
            ));
        }
    }
    if recorder.unsent > 0 {
        reasons.push(format!(
            "{} sends were still due one deadline after the end, and were not sent",
            number::count(recorder.unsent)
        ));
    }
    let scarce = scarce(taken);
    let failed = recorder.errors.of(ErrorKind::Connect);
    if failed > 0 && !scarce.is_empty() {
        let failed = number::count(failed);
        reasons.push(format!(
            "{failed} connections failed while something was used up here"
        ));
    }
    let saturated = !reasons.is_empty();
    if saturated {
        reasons.extend(causes(before, after, loops));
        reasons.extend(scarce);
    }
    Generator {
        cpu_seconds: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
        peak_rss_bytes: after
            .peak_rss_bytes
            .filter(|peak| Some(*peak) > before.peak_rss_bytes),
        loops: u32::try_from(loops.len()).unwrap_or(u32::MAX),
        saturated,
        reasons,
    }
}

fn causes(before: &Reading, after: &Reading, loops: &[LoopUse]) -> Vec<String> {
    let mut causes = Vec::new();
    let busiest = loops
        .iter()
        .filter(|used| !used.wall.is_zero())
        .map(|used| used.cpu.as_secs_f64() / used.wall.as_secs_f64())
        .fold(0.0, f64::max);
    if busiest > BUSY_MAX {
        causes.push(format!(
            "the busiest event loop used {:.0} % of a core, the limit is {:.0} %",
            busiest * 100.0,
            BUSY_MAX * 100.0
        ));
    }
    if let (Some(before), Some(after)) = (before.machine, after.machine) {
        let total = after.total.saturating_sub(before.total).max(1) as f64;
        let busy = 1.0 - after.idle.saturating_sub(before.idle) as f64 / total;
        let stolen = after.stolen.saturating_sub(before.stolen) as f64 / total;
        if busy > BUSY_MAX {
            causes.push(format!(
                "the cores of this machine were {:.0} % busy, the limit is {:.0} %",
                busy * 100.0,
                BUSY_MAX * 100.0
            ));
        }
        if stolen > STOLEN_MAX {
            causes.push(format!(
                "{:.0} % of this machine's time was stolen by its host, the limit is {:.0} %",
                stolen * 100.0,
                STOLEN_MAX * 100.0
            ));
        }
    }
    if let Some(waiting) = waiting(before, after).filter(|waiting| *waiting > WAITING_MAX) {
        causes.push(format!(
            "tasks of this machine waited for a core {:.0} % of the time, the limit is {:.0} %",
            waiting * 100.0,
            WAITING_MAX * 100.0
        ));
    }
    causes
}

/// The share of the time in which some task of the machine waited for a core.
fn waiting(before: &Reading, after: &Reading) -> Option<f64> {
    let passed = after.at?.duration_since(before.at?);
    let waited = after.waited?.saturating_sub(before.waited?);
    (!passed.is_zero()).then(|| waited.as_secs_f64() / passed.as_secs_f64())
}

/// What was nearly used up.
fn scarce(taken: Taken) -> Vec<String> {
    let rows = [
        (
            taken.descriptors,
            "descriptors that this process may open were in use at once",
        ),
        (
            taken.ports,
            "local ports to a node of the target were in use at once",
        ),
    ];
    let nearly_all = rows.into_iter().filter_map(|(part, what)| {
        let Part { taken, of } = part.filter(|part| part.is_nearly_all())?;
        Some(format!(
            "{} of the {} {what}",
            number::count(taken),
            number::count(of)
        ))
    });
    nearly_all.collect()
}

/// Reads `total` of the line `some`, which is in µs (the kernel's Documentation/accounting/psi.rst).
fn waited(pressure: &str) -> Option<Duration> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some
        .split_whitespace()
        .find_map(|field| field.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}

/// Reads the first line of `/proc/stat`: user nice system idle iowait irq softirq steal (proc_stat(5)).
fn ticks(stat: &str) -> Option<Ticks> {
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .take(8)
        .filter_map(|n| n.parse().ok())
        .collect();
    let [.., stolen] = fields[..] else { return None };
    (fields.len() == 8).then(|| Ticks {
        total: fields.iter().sum(),
        idle: fields[3] + fields[4],
        stolen,
    })
}

/// Reads `VmHWM` of `/proc/self/status`, which is in KiB (proc_pid_status(5)).
fn peak_rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1_024)
}

/// How many descriptors this process may have open, and how many it could be allowed; `None` where there is no such limit.
#[must_use]
pub fn descriptor_limit() -> Option<(u64, u64)> {
    system::descriptor_limit()
}

#[cfg(unix)]
mod system {
    use std::mem::MaybeUninit;
    use std::time::Duration;

    fn usage(who: libc::c_int) -> Option<libc::rusage> {
        let mut usage = MaybeUninit::uninit();
        // SAFETY: the kernel fills the struct it is given the address of, and says so by returning 0.
        (unsafe { libc::getrusage(who, usage.as_mut_ptr()) } == 0).then(|| unsafe { usage.assume_init() })
    }

    fn cpu(usage: &libc::rusage) -> Duration {
        [usage.ru_utime, usage.ru_stime]
            .iter()
            .map(|time| {
                Duration::new(
                    time.tv_sec.unsigned_abs(),
                    time.tv_usec.unsigned_abs() as u32 * 1_000,
                )
            })
            .sum()
    }

    pub(super) fn process_usage() -> Option<(Duration, u64)> {
        // Kilobytes everywhere but on Apple's systems, where it is bytes (getrusage(2)).
        let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
        usage(libc::RUSAGE_SELF).map(|usage| (cpu(&usage), usage.ru_maxrss.unsigned_abs() * unit))
    }

    pub(super) fn thread_cpu() -> Option<Duration> {
        #[cfg(target_os = "linux")]
        return usage(libc::RUSAGE_THREAD).map(|usage| cpu(&usage));
        #[cfg(not(target_os = "linux"))]
        None
    }

    pub(super) fn descriptor_limit() -> Option<(u64, u64)> {
        let mut limit = MaybeUninit::<libc::rlimit>::uninit();
        // SAFETY: as above.
        (unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) } == 0).then(|| {
            let limit = unsafe { limit.assume_init() };
            (limit.rlim_cur, limit.rlim_max)
        })
    }
}

#[cfg(not(unix))]
mod system {
    use std::time::Duration;

    pub(super) fn process_usage() -> Option<(Duration, u64)> {
        None
    }
    pub(super) fn thread_cpu() -> Option<Duration> {
        None
    }
    pub(super) fn descriptor_limit() -> Option<(u64, u64)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Timing;

    const STAT: &str = "cpu  100 5 20 800 10 0 5 60 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";

    fn lagging(milliseconds: u64) -> Recorder {
        let mut recorder = Recorder::default();
        recorder.sent(Timing {
            intended: 0,
            sent: milliseconds * 1_000_000,
        });
        recorder
    }

    fn reading(stat: &str) -> Reading {
        Reading {
            machine: ticks(stat),
            ..Reading::default()
        }
    }

    #[test]
    fn the_machines_counters_are_read() {
        assert_eq!(
            ticks(STAT),
            Some(Ticks {
                total: 1_000,
                idle: 810,
                stolen: 60
            })
        );
        for text in ["", "cpu ", "cpu 1 2 3", "intr 1"] {
            assert_eq!(ticks(text), None, "{text}");
        }
    }

    #[test]
    fn the_peak_of_this_process_is_read() {
        let status = "VmPeak:\t   90 kB\nVmHWM:\t   13640 kB\nVmRSS:\t   13000 kB\n";
        assert_eq!(peak_rss_bytes(status), Some(13_640 << 10));
        assert_eq!(peak_rss_bytes("VmRSS:\t 1 kB\n"), None);
    }

    #[test]
    fn only_lateness_makes_a_run_saturated() {
        let busy = LoopUse {
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(10),
        };
        let prompt = judge(
            &Reading::default(),
            &Reading::default(),
            &[busy],
            &lagging(19),
            Taken::default(),
        );
        assert!(!prompt.saturated && prompt.reasons.is_empty());
        let late = judge(
            &Reading::default(),
            &Reading::default(),
            &[LoopUse::default()],
            &lagging(40),
            Taken::default(),
        );
        assert!(late.saturated);
        assert_eq!(late.reasons, ["sends left 40 ms late at p99, the limit is 20 ms"]);
    }

    #[test]
    fn a_saturated_run_names_the_likely_causes() {
        let after = "cpu  1000 5 20 900 10 0 5 1060 0 0\n";
        let busy = LoopUse {
            cpu: Duration::from_millis(9_500),
            wall: Duration::from_secs(10),
        };
        let late = judge(
            &reading(STAT),
            &reading(after),
            &[LoopUse::default(), busy],
            &lagging(40),
            Taken::default(),
        );
        assert_eq!(
            late.reasons[1..],
            [
                "the busiest event loop used 95 % of a core, the limit is 90 %",
                "the cores of this machine were 95 % busy, the limit is 90 %",
                "50 % of this machine's time was stolen by its host, the limit is 5 %",
            ]
        );
    }

    const PRESSURE: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";

    #[test]
    fn what_waits_for_a_core_is_told_with_its_limit() {
        assert_eq!(waited(PRESSURE), Some(Duration::from_millis(2_500)));
        for text in ["", "full total=1", "some avg10=1"] {
            assert_eq!(waited(text), None, "{text}");
        }
        let begun = Instant::now();
        let reading = |seconds, waited| Reading {
            at: Some(begun + Duration::from_secs(seconds)),
            waited: Some(Duration::from_millis(waited)),
            ..Reading::default()
        };
        let before = reading(0, 1_000);
        for (waited, expected) in [
            (2_900, &[][..]),
            (
                3_500,
                &["tasks of this machine waited for a core 25 % of the time, the limit is 20 %"],
            ),
        ] {
            let after = reading(10, waited);
            let late = judge(&before, &after, &[], &lagging(40), Taken::default());
            assert_eq!(late.reasons[1..], *expected);
        }
    }

    #[test]
    fn what_is_nearly_used_up_is_a_cause_and_with_failed_connections_a_reason() {
        let part = |taken, of| Some(Part { taken, of });
        let plenty = Taken {
            descriptors: part(950, 1_000),
            ports: part(0, 28_232),
        };
        let scarce = Taken {
            descriptors: part(1_023, 1_024),
            ports: part(28_000, 28_232),
        };
        let told = |recorder: &Recorder, taken| {
            let nothing = Reading::default();
            judge(&nothing, &nothing, &[], recorder, taken).reasons
        };
        assert_eq!(told(&lagging(40), plenty).len(), 1);
        let causes = [
            "1,023 of the 1,024 descriptors that this process may open were in use at once",
            "28,000 of the 28,232 local ports to a node of the target were in use at once",
        ];
        assert_eq!(told(&lagging(40), scarce)[1..], causes);
        let mut failing = Recorder::default();
        failing.error(ErrorKind::Connect, 3);
        assert!(
            told(&failing, plenty).is_empty(),
            "whoever fails then, it is not for want of them"
        );
        let reason = "3 connections failed while something was used up here";
        assert_eq!(told(&failing, scarce), [&[reason][..], &causes].concat());
        assert!(told(&Recorder::default(), scarce).is_empty(), "all went well");
    }

    #[test]
    fn a_peak_from_before_the_run_is_not_the_runs() {
        let reading = |peak_rss_bytes| Reading {
            peak_rss_bytes,
            ..Reading::default()
        };
        for (before, after, expected) in [
            (Some(50), Some(60), Some(60)),
            (Some(50), Some(50), None),
            (None, None, None),
        ] {
            let generator = judge(
                &reading(before),
                &reading(after),
                &[],
                &Recorder::default(),
                Taken::default(),
            );
            assert_eq!(generator.peak_rss_bytes, expected, "{before:?} {after:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_this_process_has_given_back_before_the_run_is_forgotten() {
        const LARGE: usize = 64 << 20;
        let large = std::hint::black_box(vec![1_u8; LARGE]);
        // While it lives: another test may have the peak forgotten at any time.
        let with_large = Reading::now().peak_rss_bytes.unwrap();
        drop(large);
        let start = Reading::start().peak_rss_bytes.unwrap();
        assert!(start + (LARGE as u64) / 2 < with_large, "{start} {with_large}");
    }

    #[test]
    fn this_process_has_used_some_memory_and_has_a_limit_of_descriptors() {
        if cfg!(unix) {
            assert!(Reading::now().peak_rss_bytes.unwrap() > 1 << 20);
            assert!(Reading::now().descriptors() > Some(2) || cfg!(not(target_os = "linux")));
            let (soft, hard) = descriptor_limit().unwrap();
            assert!(soft > 0 && soft <= hard);
        }
    }
}
