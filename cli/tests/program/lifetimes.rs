//! A server that the program starts never outlives it, however it ends; and being told to stop is answered with a report.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::reports::has_key;
use crate::support::{
    ENDLESS, PROGRAM, QUIET_CASE, RIGHT, Running, WRONG, eventually, folder, listening, touchstone,
};

/// What /proc says of a process: its parent and its group. None once it has ended, also if nobody has reaped it yet.
pub(crate) fn looked_up(pid: u32) -> Option<(u32, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some((parent, group))
}

fn children_of(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| looked_up(*pid).is_some_and(|(of, _)| of == parent))
        .collect()
}

/// Everything that it started, at any remove.
fn descendants_of(parent: u32) -> Vec<u32> {
    let children = children_of(parent);
    let further = children.iter().flat_map(|child| descendants_of(*child));
    children.iter().copied().chain(further).collect()
}

#[track_caller]
fn await_end(pids: &[u32]) {
    assert!(!pids.is_empty(), "nothing was started");
    eventually("what was started has ended", || {
        pids.iter().all(|pid| looked_up(*pid).is_none()).then_some(())
    });
}

/// Sends a signal to a child of this test.
pub(crate) fn send(pid: u32, signal: i32) {
    // SAFETY: `kill` takes plain integers; the process is a child of this test that has not been reaped.
    let sent = unsafe { libc::kill(i32::try_from(pid).unwrap(), signal) };
    assert_eq!(sent, 0);
}

/// A server of its own behind `--spawn`.
fn foreign() -> String {
    format!("'{PROGRAM}' serve --dev --listen '127.0.0.1:${{port}}'")
}

/// The same behind a shell that does not end when it is asked to.
fn stubborn() -> String {
    let shell = format!(
        "trap : TERM; \"{PROGRAM}\" serve --dev --listen 127.0.0.1:${{port}} & while :; do sleep 0.1; done"
    );
    format!("sh -c '{shell}'")
}

/// A run of the suite that has had one failure and does not end by itself.
fn endless(folder: &Path, more: &[&str]) -> Running {
    let args = [
        "conform",
        "run",
        "--scenarios",
        ".",
        "--strict",
        "--report",
        "json=report.json",
    ];
    let running = Running::start(touchstone(folder, &[&args, more].concat()));
    eventually("the first case is judged", || {
        running.said().contains("failed wrong").then_some(())
    });
    running
}

fn report_in(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("report.json")).unwrap()).unwrap()
}

#[test]
fn it_ends_with_the_run() {
    for (files, code) in [([RIGHT, RIGHT], 0), ([RIGHT, WRONG], 1)] {
        for spawn in [&[][..], &["--spawn", &foreign()]] {
            let folder = folder(&files);
            let own = ["conform", "run", "--scenarios", ".", "--strict", "--trace"];
            let running = Running::start(touchstone(folder.path(), &[&own, spawn].concat()));
            let id = running.id();
            let started = eventually("the server is started", || {
                let started = descendants_of(id);
                (!started.is_empty()).then_some(started)
            });
            let ended = running.end();
            assert_eq!(ended.code, Some(code), "{ended:#?}");
            await_end(&started);
        }
    }
}

#[test]
fn one_ctrl_c_ends_the_run_early_with_its_report() {
    for spawn in [&[][..], &["--spawn", &foreign()]] {
        let folder = folder(&[WRONG, ENDLESS]);
        let running = endless(folder.path(), spawn);
        let started = descendants_of(running.id());
        send(running.id(), libc::SIGINT);
        let ended = running.end();
        assert_eq!(ended.code, Some(130), "{ended:#?}");
        assert!(ended.stdout.contains("FAILED wrong"), "{ended:#?}");
        let report = report_in(folder.path());
        assert_eq!(report["verdict"], "interrupted");
        assert_eq!(
            (&report["summary"]["failed"], &report["summary"]["skipped"]),
            (&1.into(), &1.into())
        );
        await_end(&started);
    }
}

#[test]
fn a_job_that_is_cancelled_ends_like_one_that_is_interrupted() {
    let folder = folder(&[WRONG, ENDLESS]);
    let running = endless(folder.path(), &["--spawn", &foreign()]);
    let started = descendants_of(running.id());
    send(running.id(), libc::SIGTERM);
    assert_eq!(running.end().code, Some(130));
    assert_eq!(report_in(folder.path())["verdict"], "interrupted");
    await_end(&started);
}

#[test]
fn ctrl_c_twice_ends_it_at_once() {
    let folder = folder(&[WRONG, ENDLESS]);
    let running = endless(folder.path(), &["--spawn", &stubborn()]);
    let shell = children_of(running.id());
    let all = descendants_of(running.id());
    let server = all.iter().find(|pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(PROGRAM.as_bytes())
    });
    send(running.id(), libc::SIGINT);
    // Only when the first is answered, and the server asked to stop, is there anything to cut short.
    await_end(&[*server.unwrap()]);
    assert!(looked_up(shell[0]).is_some(), "it does as it is asked");
    send(running.id(), libc::SIGINT);
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.stderr.contains("interrupted twice"), "{ended:#?}");
    await_end(&all);
}

#[test]
fn it_ends_when_the_program_is_killed() {
    for spawn in [&[][..], &["--spawn", &foreign()]] {
        let folder = folder(&[WRONG, ENDLESS]);
        let running = endless(folder.path(), spawn);
        let started = descendants_of(running.id());
        send(running.id(), libc::SIGKILL);
        await_end(&started);
        assert_eq!(running.end().code, None);
    }
}

#[test]
fn ctrl_c_is_for_the_suite_and_not_for_its_server() {
    // A terminal sends it to the whole group.
    for spawn in [&[][..], &["--spawn", &foreign()]] {
        let folder = folder(&[WRONG, ENDLESS]);
        let running = endless(folder.path(), spawn);
        let (_, own) = looked_up(running.id()).unwrap();
        for server in children_of(running.id()) {
            assert_ne!(looked_up(server).unwrap().1, own);
        }
    }
}

#[test]
fn sigusr1_begins_a_drain_and_the_program_goes_on() {
    let folder = folder(&[]);
    let args = ["serve", "--dialects", "echo", "--listen", "127.0.0.1:0"];
    let window = ["--set", "server.drain.window=10m"];
    let server = Running::start(touchstone(folder.path(), &[&args[..], &window].concat()));
    let address = listening(&server);
    let connect = || tungstenite::connect(format!("ws://{address}/ws/chat/"));
    let mut clients = [connect().unwrap().0, connect().unwrap().0];
    // Answered, so they are here.
    for client in &mut clients {
        client.send(Message::text("here")).unwrap();
        assert!(client.read().unwrap().is_text());
    }
    send(server.id(), libc::SIGUSR1);
    eventually("nobody new is let in", || match connect() {
        Err(tungstenite::Error::Http(refused)) => (refused.status() == 503).then_some(()),
        _ => None,
    });
    // Of two in ten minutes the first is closed at once; told to stop, the server sends the other away as ever.
    send(server.id(), libc::SIGTERM);
    let mut codes = clients.map(|mut client| {
        loop {
            if let Message::Close(close) = client.read().unwrap() {
                break close.map(|close| u16::from(close.code));
            }
        }
    });
    codes.sort_unstable();
    assert_eq!(codes, [Some(1001), Some(1012)]);
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn no_key_is_on_a_command_line_or_in_an_environment() {
    let folder = folder(&[WRONG, ENDLESS]);
    let running = endless(folder.path(), &["--trace"]);
    let server = children_of(running.id())[0];
    for file in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{server}/{file}")).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.is_empty() && !has_key(&text), "{file}: {text}");
    }
    send(running.id(), libc::SIGINT);
    let ended = running.end();
    for text in [ended.stdout, ended.stderr, report_in(folder.path()).to_string()] {
        assert!(!text.is_empty() && !has_key(&text), "{text}");
    }
}

#[test]
fn an_interrupted_check_still_reports_what_it_found() {
    let folder = folder(&[]);
    let running = Running::start(touchstone(
        folder.path(),
        &["check", QUIET_CASE, "--quick", "--duration", "10m"],
    ));
    eventually("the load run has begun", || {
        running.said().contains("load ").then_some(())
    });
    send(running.id(), libc::SIGINT);
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    let report = std::fs::read_to_string(folder.path().join("touchstone-report/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["verdict"], "interrupted");
    assert_eq!(report["conform"]["verdict"], "passed");
}

#[test]
fn a_server_that_is_told_to_stop_says_goodbye_and_ends_with_0() {
    let folder = folder(&[]);
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let running = Running::start(touchstone(
            folder.path(),
            &["serve", "--dev", "--listen", "127.0.0.1:0"],
        ));
        let address = eventually("it listens", || {
            let said = running.said();
            let rest = said.split_once("address=")?.1;
            Some(rest.split_once(char::is_whitespace)?.0.to_owned())
        });
        let mut peer = TcpStream::connect(&address).unwrap();
        let upgrade = "GET /ws/chat/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        peer.write_all(upgrade.as_bytes()).unwrap();
        let mut answer = [0; 12];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        send(running.id(), signal);
        // The rest of its answer, then a close frame with 1001, "going away".
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        while !heard.windows(2).any(|bytes| bytes == 1001_u16.to_be_bytes()) {
            let read = peer.read(&mut buffer).unwrap();
            assert!(read > 0, "it hung up without a word: {heard:?}");
            heard.extend_from_slice(&buffer[..read]);
        }
        drop(peer);
        assert_eq!(running.end().code, Some(0));
    }
}
