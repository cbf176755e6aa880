//! PostgreSQL servers for tests: each has its own folder and port, and ends with the test.
//!
//! `initdb` runs once; a server starts from a copy of what it made. As root, for which PostgreSQL does not run, it runs as
//! nobody.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

/// The user `nobody`, and his group.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// What the server says when it takes connections.
const READY: &str = "ready to accept connections";

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fsync {
    On,
    Off,
}

pub(crate) struct Server {
    folder: TempDir,
    settings: Vec<String>,
    port: u16,
    process: Child,
    /// What it says from when it takes connections, to its end.
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// A server that takes everybody as whom he says he is, except `guarded`, who needs a password.
    pub(crate) fn start(fsync: Fsync) -> Self {
        Self::start_with(fsync, |_| Vec::new())
    }

    /// The same with settings, made by whoever may put files into the server's folder first.
    pub(crate) fn start_with(fsync: Fsync, settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        copy(&template(), &data);
        let rules = "host all guarded all scram-sha-256\nhost all all all trust\n";
        fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let mut settings = settings(&data);
        let fsync = match fsync {
            Fsync::On => "fsync=on",
            Fsync::Off => "fsync=off",
        };
        settings.push(fsync.to_owned());
        if is_root() {
            let (user, group) = NOBODY;
            let owner = format!("{user}:{group}");
            run(Command::new("chown").args(["-R", &owner]).arg(folder.path()));
        }
        let port = free_port();
        let (process, log) = spawn(&data, port, &settings);
        Self {
            folder,
            settings,
            port,
            process,
            log: Some(log),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The empty database that every server has.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Kills every process of it at once, as a machine that fails would.
    pub(crate) fn kill(&mut self) {
        let postmaster = self.process.id().to_string();
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &postmaster])
            .output()
            .unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        // A child may end by itself meanwhile.
        let _ = Command::new("kill")
            .args(["-KILL", &postmaster])
            .args(children.split_whitespace())
            .stderr(Stdio::null())
            .status();
        self.process.wait().unwrap();
    }

    /// Starts it again, on the same port with the same data.
    pub(crate) fn start_again(&mut self) {
        let (process, log) = spawn(&self.folder.path().join("data"), self.port, &self.settings);
        self.process = process;
        self.log = Some(log);
    }

    /// Ends it. Returns all that it has said.
    pub(crate) fn end(mut self) -> String {
        self.stop();
        let log = self.log.take().expect("it is taken here alone");
        log.join().unwrap()
    }

    /// Immediate shutdown: what it wrote is not needed any more.
    fn stop(&mut self) {
        // One that was killed has been waited for: its number may be somebody else's by now.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = Command::new("kill")
                .args(["-QUIT", &self.process.id().to_string()])
                .stderr(Stdio::null())
                .status();
            let _ = self.process.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The database of a server, or of what stands before it, at a port.
pub(crate) fn url(port: u16) -> String {
    format!("postgres://touchstone@127.0.0.1:{port}/postgres?sslmode=disable")
}

fn spawn(data: &Path, port: u16, settings: &[String]) -> (Child, JoinHandle<String>) {
    let mut command = unprivileged(&binary("postgres"));
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    let own = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "shared_buffers=16MB",
        "max_connections=60",
        "huge_pages=off",
        "jit=off",
    ];
    let settings = own.into_iter().chain(settings.iter().map(String::as_str));
    for setting in settings {
        command.args(["-c", setting]);
    }
    let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().expect("it is piped"));
    let (mut said, mut line) = (String::new(), String::new());
    while !line.contains(READY) {
        line.clear();
        let length = log.read_line(&mut line).unwrap();
        assert!(length > 0, "the server did not start:\n{said}");
        said.push_str(&line);
    }
    // Read on, so that it never waits for somebody to read.
    let reading = std::thread::spawn(move || {
        let mut rest = Vec::new();
        // The server's end is the end of that, and not always a tidy one.
        let _ = log.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    });
    (process, reading)
}

/// What `initdb` makes, made once for all tests.
fn template() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(home).unwrap();
    let version = Command::new(binary("postgres"))
        .arg("--version")
        .output()
        .unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let version = version
        .split_whitespace()
        .nth(2)
        .expect("postgres (PostgreSQL) 15.1");
    let template = home.join(format!("postgres-{version}"));
    let lock = File::create(home.join("postgres-lock")).unwrap();
    lock.lock().unwrap();
    if !template.is_dir() {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            let (user, group) = NOBODY;
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        run(unprivileged(&binary("initdb"))
            .args([
                "--username=touchstone",
                "--auth=trust",
                "--no-locale",
                "--encoding=UTF8",
            ])
            .args(["--no-sync", "--pgdata"])
            .arg(&data));
        // Whole or not at all: the copy of a run that was broken off is not taken for one.
        let unfinished = home.join("postgres-unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        copy(&data, &unfinished);
        fs::rename(&unfinished, &template).unwrap();
    }
    template
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-R").arg(from).arg(to));
    run(Command::new("chmod").arg("700").arg(to));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A command that does not run as root, in a folder that everybody may enter.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir("/");
    if is_root() {
        command.uid(NOBODY.0).gid(NOBODY.1);
    }
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// In `PATH`, or where Debian has it; of several versions the newest.
fn binary(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    let version = |place: &PathBuf| -> Option<u32> { place.parent()?.file_name()?.to_str()?.parse().ok() };
    places.sort_by_key(version);
    let places = places.into_iter().rev().chain(std::env::split_paths(&path));
    let mut programs = places.map(|place| place.join(name));
    programs
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("`{name}` of PostgreSQL is missing: `cargo xtask needs` installs it"))
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
