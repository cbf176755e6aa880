//! Starting the program and awaiting what it does, never for longer than [`PATIENCE`].

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_touchstone");

/// Whatever is awaited comes within this time, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at another process, which gives no event to await.
const POLL: Duration = Duration::from_millis(5);

/// A scenario that the built-in server passes.
pub(crate) const RIGHT: (&str, &str) = (
    "right.yaml",
    "title: the first answer counts one\ndialect: echo\nrule: echo/2c\nsteps:\n  - connect: {as: c}\n  - c.send: x\n  \
     - c.expect: {count: 1, echo: x}\n",
);
/// One that it fails, because it asks for something else.
pub(crate) const WRONG: (&str, &str) = (
    "wrong.yaml",
    "title: the first answer counts two\ndialect: echo\nrule: echo/2c\nsteps:\n  - connect: {as: c}\n  - c.send: x\n  \
     - c.expect: {count: 2, echo: x}\n",
);
/// One that needs what no server of this version has.
pub(crate) const SKIPPED: (&str, &str) = (
    "skipped.yaml",
    "title: small\ndialect: echo\nrule: echo/2c\nrequires: [faults.network]\nsteps:\n  - connect: {as: c}\n  - c.send: x\n  \
     - c.expect: {count: 1, echo: x}\n",
);
/// A case of the suite in which nothing has to come by a time of its own: it passes on a machine that is busy with all
/// other tests, too. The whole suite is run by itself, in a release build (`.ci/run`).
pub(crate) const QUIET_CASE: &str = "echo/2c-starts-at-one";
/// One that takes longer than any test.
#[cfg(target_os = "linux")]
pub(crate) const ENDLESS: (&str, &str) = (
    "endless.yaml",
    "title: silence\ndialect: echo\nrule: echo/1a\nsteps:\n  - connect: {as: c}\n  - nothing: {on: [c], for: 2m}\n",
);

/// A folder with these files in it.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Writes `chain.pem` and `key.pem` of a server on this machine, and `ca.pem` of who vouches for it, who is returned.
pub(crate) fn issue(folder: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
    let key = KeyPair::generate().unwrap();
    let issued = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    std::fs::write(folder.join("chain.pem"), issued.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    authority
}

/// The program with these arguments, in this folder, untouched by the environment of whoever runs the tests.
pub(crate) fn touchstone(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).current_dir(folder).env("RUST_BACKTRACE", "1");
    for (name, _) in std::env::vars_os() {
        let documented = ["REDIS_SESSION_TTL", "JWT_SECRET", "SECRET_KEY", "REDIS_HOST"];
        if name.to_string_lossy().starts_with("TOUCHSTONE_") || documented.iter().any(|known| name == *known)
        {
            command.env_remove(name);
        }
    }
    command
}

/// How it ended, and all that it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run of the program. Dropping it ends it.
pub(crate) struct Running {
    child: Child,
    stdout: Output,
    stderr: Output,
}

struct Output {
    so_far: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Output {
    fn collect(mut pipe: impl std::io::Read + Send + 'static) -> Self {
        let so_far = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&so_far);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read) = pipe.read(&mut buffer) {
                if read == 0 {
                    return;
                }
                kept.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self { so_far, reader }
    }

    fn text(&self) -> String {
        String::from_utf8(self.so_far.lock().unwrap().clone()).unwrap()
    }
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Output::collect(child.stdout.take().unwrap());
        let stderr = Output::collect(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    #[cfg(unix)]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed on stdout.
    #[cfg(target_os = "linux")]
    pub(crate) fn printed(&self) -> String {
        self.stdout.text()
    }

    /// What it has said on stderr.
    pub(crate) fn said(&self) -> String {
        self.stderr.text()
    }

    /// Awaits its end.
    pub(crate) fn end(mut self) -> Ended {
        let child = &mut self.child;
        let status = eventually("the program ends", || child.try_wait().unwrap());
        eventually("its output ends", || {
            (self.stdout.reader.is_finished() && self.stderr.reader.is_finished()).then_some(())
        });
        Ended {
            code: status.code(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it to its end.
pub(crate) fn run(command: Command) -> Ended {
    Running::start(command).end()
}

/// `HOST:PORT` at which a `serve` listens.
pub(crate) fn listening(server: &Running) -> String {
    eventually("the server listens", || {
        let said = server.said();
        let (_, address) = said
            .lines()
            .find(|line| line.contains("listening"))?
            .split_once("address=")?;
        Some(address.split_whitespace().next()?.to_owned())
    })
}

/// What `look` finds at last.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        pause(POLL);
    }
}

/// Lets time pass between two looks at another process, or two signals to it.
#[expect(
    clippy::disallowed_methods,
    reason = "another process gives no event: it is looked at again and again, with a bound"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}
