//! What the workers of a run are told and when, and what is shown of what they tell.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_report::{Tone, number};

use super::super::worker::{self, News, Order, Second};
use crate::progress::Progress;

/// From the moment at which all are prepared to the first phase: every worker has been told by then.
const NOTICE: Duration = Duration::from_millis(250);

/// What is heard of a worker.
pub(super) enum Heard {
    News(News),
    /// Nothing more comes.
    End,
}

/// What is known of one.
struct Worker {
    orders: ChildStdin,
    latest: Second,
    is_prepared: bool,
    /// What it has sent to others; nothing once it has ended without having said.
    sent: Option<Value>,
}

/// Begins when all are prepared, hands on what each has sent and that they are to stop, and shows how they get on.
pub(super) struct Conductor {
    workers: Vec<Worker>,
    progress: Progress,
    seconds: u64,
    start_at: Option<SystemTime>,
    phase: String,
    is_stopped: bool,
}

impl Conductor {
    pub(super) fn new(progress: Progress, seconds: u64, start_at: Option<SystemTime>) -> Self {
        Self {
            workers: Vec::new(),
            progress,
            seconds,
            start_at,
            phase: String::new(),
            is_stopped: false,
        }
    }

    /// Takes a worker on and gives it its first order.
    pub(super) async fn engage(&mut self, orders: ChildStdin, first: &Order) {
        let mut worker = Worker {
            orders,
            latest: Second::default(),
            is_prepared: false,
            sent: None,
        };
        order(&mut worker, first).await;
        self.workers.push(worker);
    }

    /// Until nothing more comes of any.
    pub(super) async fn conduct(
        mut self,
        mut news: mpsc::Receiver<(usize, Heard)>,
        stop: &CancellationToken,
    ) {
        loop {
            let heard = tokio::select! {
                () = stop.cancelled(), if !self.is_stopped => {
                    self.stop().await;
                    continue;
                }
                heard = news.recv() => heard,
            };
            match heard {
                Some((number, heard)) => self.hear(number, heard).await,
                None => break,
            }
        }
        self.progress.finish();
    }

    async fn hear(&mut self, number: usize, heard: Heard) {
        match heard {
            Heard::End => {
                if !self.are_all_prepared() && !self.is_stopped {
                    // Without it there is no run: the others need not wait.
                    self.stop().await;
                }
                self.sent(number, Value::Array(Vec::new())).await;
            }
            Heard::News(News::Prepared) => self.prepared(number).await,
            Heard::News(News::Phase(name)) => {
                self.phase = name;
                self.show();
            }
            Heard::News(News::Second(second)) => {
                self.workers[number].latest = second;
                self.show();
            }
            Heard::News(News::Sent(sent)) => self.sent(number, sent).await,
            Heard::News(News::Report(_)) => {}
        }
    }

    fn are_all_prepared(&self) -> bool {
        self.workers.iter().all(|worker| worker.is_prepared)
    }

    async fn prepared(&mut self, number: usize) {
        self.workers[number].is_prepared = true;
        let prepared = self.workers.iter().filter(|worker| worker.is_prepared).count();
        let shown = format!("{prepared} of {} processes are prepared", self.workers.len());
        self.progress.at(0, vec![(Tone::Neutral, shown)]);
        if self.are_all_prepared() {
            let soon = SystemTime::now() + NOTICE;
            let at = self.start_at.map_or(soon, |at| at.max(soon));
            self.order_all(&Order::Begin(worker::nanoseconds(at))).await;
        }
    }

    /// Takes in what a worker has sent. When it is known of all, each is told what the others have.
    async fn sent(&mut self, number: usize, sent: Value) {
        if self.workers[number].sent.is_some() {
            return;
        }
        self.workers[number].sent = Some(sent);
        let known: Option<Vec<&Value>> = self.workers.iter().map(|worker| worker.sent.as_ref()).collect();
        let Some(known) = known else { return };
        let others = |number| {
            let others = known.iter().enumerate().filter(|(other, _)| *other != number);
            Order::Sent(others.map(|(_, sent)| Value::clone(sent)).collect())
        };
        let orders: Vec<Order> = (0..self.workers.len()).map(others).collect();
        for (worker, sent) in self.workers.iter_mut().zip(&orders) {
            order(worker, sent).await;
        }
    }

    async fn stop(&mut self) {
        self.is_stopped = true;
        self.order_all(&Order::Stop).await;
    }

    async fn order_all(&mut self, all: &Order) {
        for worker in &mut self.workers {
            order(worker, all).await;
        }
    }

    /// What all workers told last, together.
    fn show(&mut self) {
        let latest = || self.workers.iter().map(|worker| &worker.latest);
        let sum = |which: fn(&Second) -> u64| latest().map(which).sum::<u64>();
        let slowest = latest().map(|second| second.at_seconds).min();
        let at = u64::from(slowest.unwrap_or_default()).min(self.seconds);
        let neutral = |text: String| (Tone::Neutral, text);
        let mut notes = Vec::new();
        if !self.phase.is_empty() {
            notes.push(neutral(self.phase.clone()));
        }
        notes.extend([
            neutral(format!("{} processes", self.workers.len())),
            neutral(format!(
                "{} sessions",
                number::count(sum(|second| second.connected))
            )),
            neutral(format!(
                "{} answers/s",
                number::count(sum(|second| second.answered))
            )),
        ]);
        let delivered = sum(|second| second.delivered);
        if delivered > 0 {
            notes.push(neutral(format!("{} delivered/s", number::count(delivered))));
        }
        let errors = sum(|second| second.errors);
        if errors > 0 {
            notes.push((Tone::Warn, format!("{} errors", number::count(errors))));
        }
        self.progress.at(at, notes);
    }
}

async fn order(worker: &mut Worker, order: &Order) {
    let order = serde_json::to_string(order).expect("an order is plain data");
    // One that has ended says so by its end.
    let _ended = worker.orders.write_all(format!("{order}\n").as_bytes()).await;
}
