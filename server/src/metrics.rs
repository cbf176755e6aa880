//! What is counted: one registry per server, and handles that are held by whoever counts.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The content type of [`Metrics::render`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters and gauges of one server. Those called `app_…` are the documented ones of `echo` (echo/12a, 12b).
#[derive(Debug, Default)]
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
    pub(crate) slow_consumers: Counter<u64, AtomicU64>,
    pub(crate) closes_sent: Counter<u64, AtomicU64>,
    pub(crate) handshakes_refused: Counter<u64, AtomicU64>,
    registry: Mutex<Registry>,
}

impl Metrics {
    /// Everything at zero.
    pub(crate) fn new() -> Self {
        let metrics = Self::default();
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
                "Internal errors: panics, and times the store went away",
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
            (
                "touchstone_slow_consumers",
                "Connections closed because their queue was full",
                &metrics.slow_consumers,
            ),
            (
                "touchstone_closes_sent",
                "Close frames sent",
                &metrics.closes_sent,
            ),
            (
                "touchstone_handshakes_refused",
                "Upgrades answered by an error status",
                &metrics.handshakes_refused,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        Self {
            registry: Mutex::new(registry),
            ..metrics
        }
    }

    /// All of them as OpenMetrics text.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let registry = self
            .registry
            .lock()
            .expect("the registry's lock is never poisoned: no code panics in it");
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}
