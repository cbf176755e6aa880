//! A foreign client as a child process: told what to do by a line of JSON, it answers with what it saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::page::Page;
use crate::support::house::House;

/// A browser takes seconds to start on a busy machine, and everything else less.
const PATIENCE: Duration = Duration::from_secs(60);

/// Far more than comes on one connection while another is listened to.
const UNHEARD_MAX: usize = 64;

/// How a client is installed where it is missing.
const INSTALL: &str = "`cargo xtask needs` installs it";

/// The clients that were not written with this server in mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    /// npm `ws`.
    Ws,
    /// Python `websockets`.
    Websockets,
    /// Python `aiohttp`.
    Aiohttp,
    /// The `WebSocket` of a page in Chromium.
    Browser,
}

/// A running client with any number of connections at a time. Dropped before its [`end`](Self::end) it is killed.
pub(crate) struct Driver {
    child: Child,
    mouth: Mouth,
    ears: Ears,
    next_number: AtomicUsize,
    _listening: JoinSet<()>,
}

/// How it is told what to do.
enum Mouth {
    Lines(tokio::sync::Mutex<ChildStdin>),
    Page(Page),
}

impl Driver {
    /// A client that believes the house's certificates.
    pub(crate) async fn start(library: Library, house: &House) -> Self {
        match library {
            Library::Ws => Self::with_lines(node("with_ws.cjs", house)),
            Library::Websockets => Self::with_lines(python("with_websockets.py", house)),
            Library::Aiohttp => Self::with_lines(python("with_aiohttp.py", house)),
            Library::Browser => {
                let ears = Ears::default();
                let page = Page::serve(ears.clone()).await;
                let child = spawn(chromium(&page));
                Self::new(Mouth::Page(page), ears, child, JoinSet::new())
            }
        }
    }

    fn with_lines(mut command: Command) -> Self {
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let stdin = child.stdin.take().expect("it is piped");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ears = Ears::default();
        let mut listening = JoinSet::new();
        let told = ears.clone();
        listening.spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                told.hear(&line);
            }
            told.nothing_more();
        });
        Self::new(Mouth::Lines(stdin.into()), ears, child, listening)
    }

    fn new(mouth: Mouth, ears: Ears, child: Child, listening: JoinSet<()>) -> Self {
        Self {
            child,
            mouth,
            ears,
            next_number: AtomicUsize::new(1),
            _listening: listening,
        }
    }

    /// Has it end by itself, so that it leaves nothing behind.
    pub(crate) async fn end(mut self) {
        // The page's listener and its profile stay until the browser has gone.
        let _page = match self.mouth {
            Mouth::Lines(stdin) => {
                drop(stdin);
                None
            }
            Mouth::Page(page) => {
                terminate(&self.child);
                Some(page)
            }
        };
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("it ends when it is told to").unwrap();
        assert!(status.success(), "{status}");
    }

    /// The origin of the page that connects; other clients name none.
    pub(crate) fn origin(&self) -> Option<String> {
        match &self.mouth {
            Mouth::Lines(_) => None,
            Mouth::Page(page) => Some(page.origin()),
        }
    }

    /// Begins to open a connection, which nobody listens to yet; `what` is for who reads a failure.
    pub(crate) async fn open(&self, what: &str, url: &str) -> Line<'_> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let name = format!("{what} ({number})");
        let seen = self.ears.listen_to(&name);
        let line = Line {
            driver: self,
            name,
            seen,
        };
        line.tell(json!({"act": "open", "url": url})).await;
        line
    }
}

/// One connection of a client: what it is told to do, and what it saw.
pub(crate) struct Line<'a> {
    driver: &'a Driver,
    pub(crate) name: String,
    seen: mpsc::Receiver<Value>,
}

impl Line<'_> {
    pub(crate) async fn tell(&self, mut act: Value) {
        act["name"] = json!(self.name);
        match &self.driver.mouth {
            Mouth::Lines(stdin) => {
                let line = act.to_string() + "\n";
                stdin.lock().await.write_all(line.as_bytes()).await.unwrap();
            }
            Mouth::Page(page) => page.tell(act).await,
        }
    }

    /// What is seen next.
    pub(crate) async fn saw(&mut self) -> Value {
        let seen = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
        let seen = seen.unwrap_or_else(|_| panic!("{} saw nothing more in {PATIENCE:?}", self.name));
        seen.expect("the client goes on until it is killed; why it has ended is on stderr")
    }
}

/// Where what is seen on each connection goes.
#[derive(Clone, Default)]
pub(crate) struct Ears(Arc<Mutex<BTreeMap<String, mpsc::Sender<Value>>>>);

impl Ears {
    fn listen_to(&self, name: &str) -> mpsc::Receiver<Value> {
        let (seen, see) = mpsc::channel(UNHEARD_MAX);
        self.0.lock().unwrap().insert(name.to_owned(), seen);
        see
    }

    /// One line of a client: JSON with the name of a connection.
    pub(crate) fn hear(&self, line: &str) {
        let mut seen: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON, not {line}"));
        let name = seen["name"].take();
        seen.as_object_mut().expect("it has a name").remove("name");
        let ears = self.0.lock().unwrap();
        let ear = ears.get(name.as_str().expect("a name is text"));
        match ear.expect("only what was opened is seen").try_send(seen) {
            Ok(()) => {}
            // Whoever asked for it has seen enough.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(seen)) => panic!("nobody listens to {name}: {seen}"),
        }
    }

    fn nothing_more(&self) {
        self.0.lock().unwrap().clear();
    }
}

fn spawn(mut command: impl std::borrow::BorrowMut<Command>) -> Child {
    let command = command.borrow_mut().kill_on_drop(true);
    let program = command.as_std().get_program().to_owned();
    command
        .spawn()
        .unwrap_or_else(|error| panic!("could not start {}: {error}; {INSTALL}", program.display()))
}

fn terminate(child: &Child) {
    let pid = child.id().expect("nobody has waited for it");
    // SAFETY: kill touches no memory of this process, and the child, not waited for yet, still has its id.
    let told = unsafe { libc::kill(pid as libc::pid_t, libc::SIGTERM) };
    assert_eq!(told, 0, "{}", std::io::Error::last_os_error());
}

fn node(script: &str, house: &House) -> Command {
    let mut command = Command::new("node");
    let modules = installed("package.json").join("node_modules");
    command.env("NODE_PATH", modules).arg(source(script));
    command.env("NODE_EXTRA_CA_CERTS", house.authority());
    command
}

fn python(script: &str, house: &House) -> Command {
    let mut command = Command::new("python3");
    let packages = installed("requirements.txt").join("python");
    // No bytecode beside the sources.
    command.arg("-B").env("PYTHONPATH", packages).arg(source(script));
    command.env("SSL_CERT_FILE", house.authority());
    command
}

fn chromium(page: &Page) -> Command {
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-sync",
            "--disable-background-networking",
        ])
        .args(["--disable-component-update", "--disable-dev-shm-usage"])
        // It has no list of authorities that could be added to from here.
        .arg("--ignore-certificate-errors")
        .arg(format!("--user-data-dir={}", page.profile().display()))
        .arg(page.origin())
        // It has more to leave lying than its profile.
        .env("TMPDIR", page.profile())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(file)
}

/// Where the libraries of this list are, which must be installed as the list says now: its copy there is the receipt.
fn installed(list: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients");
    let wanted = std::fs::read_to_string(source(list)).unwrap();
    let receipt = std::fs::read_to_string(folder.join(list).with_added_extension("installed"));
    let there = receipt.is_ok_and(|installed| installed == wanted);
    assert!(there, "what {list} lists is not in target/clients: {INSTALL}");
    folder
}
