//! What is counted: one registry per server, and handles that are held by whoever counts.

mod latency;
mod process;
mod route;

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub(crate) use latency::Latency;
use process::Process;
use route::Families;
pub(crate) use route::{Refused, RouteMetrics, Spoken};

/// The content type of [`Metrics::render`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted of one server. What is called `app_…` is documented for `echo` and counts nothing but `echo` (echo/12a,
/// 12b).
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) active_connections: Gauge,
    pub(crate) messages_received: Counter<u64, AtomicU64>,
    pub(crate) messages_sent: Counter<u64, AtomicU64>,
    pub(crate) connections_opened: Counter<u64, AtomicU64>,
    pub(crate) connections_closed: Counter<u64, AtomicU64>,
    pub(crate) errors: Counter<u64, AtomicU64>,
    pub(crate) sessions_tracked: Gauge,
    pub(crate) store_unavailable: Counter<u64, AtomicU64>,
    pub(crate) unsaved_dropped: Counter<u64, AtomicU64>,
    /// 1 while the store of the dialects with users answers, else 0.
    pub(crate) store_available: Gauge,
    /// One call of it each.
    pub(crate) store_calls: Latency,
    families: Families,
    process: Process,
    registry: Mutex<Registry>,
}

impl Metrics {
    /// Everything at zero.
    pub(crate) fn new() -> Self {
        let metrics = Self {
            active_connections: Gauge::default(),
            messages_received: Counter::default(),
            messages_sent: Counter::default(),
            connections_opened: Counter::default(),
            connections_closed: Counter::default(),
            errors: Counter::default(),
            sessions_tracked: Gauge::default(),
            store_unavailable: Counter::default(),
            unsaved_dropped: Counter::default(),
            store_available: Gauge::default(),
            store_calls: Latency::default(),
            families: Families::default(),
            process: Process::new(),
            registry: Mutex::default(),
        };
        metrics.store_available.set(1);
        let mut registry = Registry::default();
        let gauges = [
            (
                "app_active_connections",
                "Open WebSocket connections",
                &metrics.active_connections,
            ),
            (
                "app_sessions_tracked",
                "Sessions with an open connection on this node",
                &metrics.sessions_tracked,
            ),
            (
                "touchstone_store_available",
                "Whether the last call of the store was answered in time",
                &metrics.store_available,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let counters = [
            ("app_messages", "Messages received", &metrics.messages_received),
            ("app_messages_sent", "Messages sent", &metrics.messages_sent),
            (
                "app_connections_opened",
                "WebSocket connections opened",
                &metrics.connections_opened,
            ),
            (
                "app_connections_closed",
                "WebSocket connections closed",
                &metrics.connections_closed,
            ),
            (
                "app_errors",
                "Internal errors of echo: panics, and times its store went away",
                &metrics.errors,
            ),
            (
                "touchstone_store_unavailable",
                "Times the store went away",
                &metrics.store_unavailable,
            ),
            (
                "touchstone_unsaved_dropped",
                "Messages not kept because the store was away for too long",
                &metrics.unsaved_dropped,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let store_calls = "Calls of the store, until they were answered or given up";
        registry.register(
            "touchstone_store_call_seconds",
            store_calls,
            metrics.store_calls.clone(),
        );
        metrics.families.register(&mut registry);
        metrics.process.register(&mut registry);
        Self {
            registry: Mutex::new(registry),
            ..metrics
        }
    }

    /// The handles for one dialect.
    pub(crate) fn of(&self, dialect: Spoken) -> RouteMetrics {
        self.families.of(dialect)
    }

    /// All of them as OpenMetrics text.
    pub(crate) fn render(&self) -> String {
        self.process.look();
        let mut text = String::new();
        let registry = self
            .registry
            .lock()
            .expect("the registry's lock is never poisoned: no code panics in it");
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}
