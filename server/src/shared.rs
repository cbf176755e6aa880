//! What the server's parts share, put together from the configuration. This is where store and bus are chosen.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use touchstone_storage::{EmbeddedSessions, LocalBus};
use touchstone_wire as wire;

use crate::clock::Clock;
use crate::config::Config;
use crate::connection::{OwnAnswers, QueueLimits, Terms};
use crate::dialects::echo::{Echo, Sessions};
use crate::dialects::raw_echo::RawEcho;
use crate::faults::{Faults, Faulty};
use crate::heartbeat::Heartbeats;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::route::Route;
use crate::slots::Slots;
use crate::stop::Stopping;

/// What the raw echo may hold back for one peer beside the longest message: the answers to what one read brings.
const RAW_ECHO_QUEUE_BYTES: usize = 1 << 20;

/// How long a peer of the raw echo may take nothing of what waits for it: longer than a suite pauses between two reads.
const RAW_ECHO_PATIENCE: Duration = Duration::from_secs(30);

/// The store and the bus of this build.
pub(crate) type EchoServer = Echo<Faulty<EmbeddedSessions>, LocalBus>;

/// What the server's parts share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) stopping: Arc<Stopping>,
    pub(crate) slots: Arc<Slots>,
    /// Owns the tasks of all WebSocket connections.
    pub(crate) conversations: TaskTracker,
    pub(crate) echo: Arc<Route<EchoServer>>,
    pub(crate) raw_echo: Option<Arc<Route<RawEcho>>>,
}

impl Shared {
    /// Everything at its beginning.
    pub(crate) fn new(config: Config, mut random: fastrand::Rng) -> Self {
        let metrics = Arc::new(Metrics::new());
        let faults = Arc::new(Faults::default());
        let stopping = Arc::new(Stopping::new(random.usize(0..10)));
        let limits = &config.limits;
        let queue = QueueLimits {
            bytes: limits.queue_bytes,
            frames: limits.queue_frames,
        };
        let terms = |message_bytes_max, rate, queue, own_answers| {
            Arc::new(Terms {
                rules: wire::Rules {
                    message_bytes_max,
                    binary: wire::Binary::Accepted,
                },
                queue,
                rate,
                close_deadline: config.deadlines.close,
                own_answers,
                metrics: Arc::clone(&metrics),
            })
        };
        let store = EmbeddedSessions::new(config.echo.session_ttl, config.echo.embedded);
        let store = Faulty::new(store, Arc::clone(&faults));
        let (deadline, ttl) = (config.echo.store_deadline, config.echo.session_ttl);
        let echo = Arc::new(Route {
            dialect: Arc::new(Echo {
                sessions: Arc::new(Sessions::new(store, deadline, ttl, Arc::clone(&metrics))),
                bus: LocalBus::default(),
                clock: Clock::start(),
                metrics: Arc::clone(&metrics),
                faults: Arc::clone(&faults),
                session_id_chars_max: config.echo.session_id_chars,
                log_messages: config.log_messages,
            }),
            hub: Hub::new(),
            heartbeats: Some(Arc::new(Heartbeats::new(
                config.echo.heartbeat_interval,
                random.fork(),
            ))),
            terms: terms(limits.message_bytes, config.echo.rate, queue, OwnAnswers::Limited),
        });
        let raw_bytes = limits.raw_echo_bytes;
        let raw_queue = QueueLimits {
            bytes: raw_bytes + RAW_ECHO_QUEUE_BYTES,
            frames: usize::MAX,
        };
        let own_answers = OwnAnswers::HeldBack {
            patience: RAW_ECHO_PATIENCE,
        };
        let raw_echo = config.raw_echo.as_ref().map(|_| {
            Arc::new(Route {
                dialect: Arc::new(RawEcho),
                hub: Hub::new(),
                heartbeats: None,
                terms: terms(raw_bytes, None, raw_queue, own_answers),
            })
        });
        let slots = Slots::new(limits.connections);
        let conversations = TaskTracker::new();
        Self {
            config,
            metrics,
            faults,
            stopping,
            slots,
            conversations,
            echo,
            raw_echo,
        }
    }
}
