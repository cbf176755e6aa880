//! What the system knows of this process, read when somebody looks.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// Gauges of the whole process. Where the system does not tell, they stay at zero.
#[derive(Debug)]
pub(super) struct Process {
    resident_bytes: Gauge,
    descriptors: Gauge,
    uptime_seconds: Gauge,
    started: Instant,
}

impl Process {
    /// One that starts now.
    pub(super) fn new() -> Self {
        Self {
            resident_bytes: Gauge::default(),
            descriptors: Gauge::default(),
            uptime_seconds: Gauge::default(),
            started: Instant::now(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            (
                "process_resident_memory_bytes",
                "Resident memory",
                &self.resident_bytes,
            ),
            ("process_open_fds", "Open descriptors", &self.descriptors),
            (
                "touchstone_uptime_seconds",
                "Time since the server was made",
                &self.uptime_seconds,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// Reads what the system says now.
    pub(super) fn look(&self) {
        self.uptime_seconds.set(self.started.elapsed().as_secs() as i64);
        if cfg!(target_os = "linux") {
            self.resident_bytes.set(resident_kib() * 1_024);
            let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            self.descriptors.set(descriptors as i64);
        }
    }
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
