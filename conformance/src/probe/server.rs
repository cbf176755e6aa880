//! A look at what the target file says of the server as a whole: its metrics, how long it waits for a handshake, how it is
//! made to fail, how it is stopped and started. A server that we did not start is only made to fail in ways that pass.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use touchstone_report::number;
use touchstone_sut::{Origin, Sut};

use super::{ARRIVAL_DEADLINE, Outcome, TIMING_WAIT_MAX, Tried};
use crate::client::{Address, Connection, Manners};
use crate::tap::{Log, Record};

/// How long its store is made to fail: long enough to be asked for, too short for anybody to mind.
const STORE_FAILS_FOR: Duration = Duration::from_millis(100);

/// When a handshake is given up.
const HANDSHAKE: &str = "server.handshake.deadline";

/// Tries what the target file says of the server as a whole; last, if it is ours, that it stops and comes back.
pub async fn probe_server(sut: &Sut) -> Vec<Tried> {
    let mut tried = Vec::new();
    let mut note = |key: &str, outcome| {
        tried.push(Tried {
            dialect: None,
            key: key.to_owned(),
            outcome,
        });
    };
    if sut.target().has("metrics") {
        note("capabilities.metrics", metrics(sut).await);
    }
    let timing = format!("timings.{HANDSHAKE}");
    if let Some(deadline) = sut
        .target()
        .timing(HANDSHAKE)
        .filter(|_| sut.target().has(&timing))
    {
        note(&timing, handshake(sut, deadline).await);
    }
    if sut.target().has("faults.store") {
        note("faults.store", store(sut).await);
    }
    if sut.target().has("faults.handler") {
        note("faults.handler", handler(sut).await);
    }
    if sut.target().is_spawned() {
        let (key, outcome) = stopped_and_started(sut).await;
        note(key, outcome);
    }
    tried
}

async fn metrics(sut: &Sut) -> Outcome {
    const OR_NONE: &str = "say `false` if there are none";
    match sut.metrics().await {
        Ok(metrics) if metrics.count() > 0 => Outcome::Works(format!("{} at /metrics", metrics.count())),
        Ok(_) => Outcome::Fails(format!("there is no sample at /metrics; {OR_NONE}")),
        Err(error) => Outcome::Fails(format!("{error}; {OR_NONE}")),
    }
}

/// A connection that says nothing has to be dropped by then.
async fn handshake(sut: &Sut, deadline: Duration) -> Outcome {
    if deadline > TIMING_WAIT_MAX {
        return too_long(deadline);
    }
    let mut tasks = JoinSet::new();
    let log = Log::default();
    let address = Address::new(sut.transport(), &sut.addresses()[0], "/");
    let began = Instant::now();
    let until = began + deadline + ARRIVAL_DEADLINE;
    let opened = Connection::open_raw(&address, b"", log.clone(), until, Manners::Silent, &mut tasks).await;
    let connection = match opened {
        Ok(connection) => connection,
        Err(error) => return Outcome::Fails(error.to_string()),
    };
    let given_up = |record: &Record| {
        let ended = record.server_end.as_ref().map(|(_, at)| *at);
        ended.or(record.response_at)
    };
    let outcome = match log.wait_for(until, given_up).await {
        Some(at) => Outcome::Works(format!(
            "a connection that says nothing is given up after {}",
            number::duration(at.saturating_duration_since(began))
        )),
        None => Outcome::Fails(format!(
            "a connection that says nothing is still open after {}; say `capabilities: {{timings.{HANDSHAKE}: false}}` if it \
             stays so",
            number::duration(began.elapsed())
        )),
    };
    connection.leave().await;
    tasks.join_all().await;
    outcome
}

async fn store(sut: &Sut) -> Outcome {
    match sut.break_store("down", STORE_FAILS_FOR).await {
        Ok(()) => Outcome::Works(format!(
            "accepted for {}; what follows from it is for the cases",
            number::duration(STORE_FAILS_FOR)
        )),
        Err(error) => Outcome::Fails(error.to_string()),
    }
}

async fn handler(sut: &Sut) -> Outcome {
    if !sut.target().is_spawned() {
        return Outcome::Untried(
            "the next message of anybody would fail; only a server that `spawn` starts anew is tried"
                .to_owned(),
        );
    }
    match sut.break_handler(1).await {
        Ok(()) => Outcome::Works("accepted; what follows from it is for the cases".to_owned()),
        Err(error) => Outcome::Fails(error.to_string()),
    }
}

/// The key that it is about, and how it went.
async fn stopped_and_started(sut: &Sut) -> (&'static str, Outcome) {
    let Origin::Spawned { stop, deadline, .. } = &sut.target().origin else {
        return (
            "spawn",
            Outcome::Untried("the built-in server is started by us".to_owned()),
        );
    };
    let asked = sut.signal(*stop).await;
    let ended = match asked {
        Ok(()) => sut.wait_exit(*deadline).await,
        Err(error) => Err(error),
    };
    let status = match ended {
        Ok(Some(status)) => status,
        Ok(None) => {
            let why = format!(
                "it still runs {} after it was told to stop",
                number::duration(*deadline)
            );
            return ("spawn.stop", Outcome::Fails(why));
        }
        Err(error) => return ("spawn.stop", Outcome::Fails(error.to_string())),
    };
    let began = Instant::now();
    match sut.restart().await {
        Ok(()) => {
            let took = number::duration(began.elapsed());
            let seen = format!("it stopped ({status}), and was ready again after {took}");
            ("spawn", Outcome::Works(seen))
        }
        Err(error) => (
            "spawn",
            Outcome::Fails(format!("it stopped ({status}), and then: {error}")),
        ),
    }
}

/// What is not waited for.
pub(super) fn too_long(timing: Duration) -> Outcome {
    Outcome::Untried(format!(
        "{} is longer than a look waits: the cases see it",
        number::duration(timing)
    ))
}
