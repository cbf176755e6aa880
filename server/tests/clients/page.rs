//! The page that a browser opens, and the listener it talks to: what it shall do it is sent as server-sent events, and
//! what it saw it posts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use futures_util::Stream;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::driver::Ears;

/// Far more than one conversation has under way.
const ACTS_MAX: usize = 64;

/// A page that is being served until this is dropped.
pub(crate) struct Page {
    address: SocketAddr,
    acts: mpsc::Sender<Value>,
    /// Where the browser keeps what it keeps.
    profile: TempDir,
    _listener: JoinSet<()>,
}

#[derive(Clone)]
struct Shared {
    /// Taken by the one page there is.
    acts: Arc<Mutex<Option<mpsc::Receiver<Value>>>>,
    ears: Ears,
}

impl Page {
    pub(crate) async fn serve(ears: Ears) -> Self {
        let (acts, acts_told) = mpsc::channel(ACTS_MAX);
        let shared = Shared {
            acts: Arc::new(Mutex::new(Some(acts_told))),
            ears,
        };
        let router = Router::new()
            .route("/", get(async || Html(include_str!("page.html"))))
            .route("/acts", get(acts_as_events))
            .route("/saw", post(note))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            acts,
            profile: tempfile::tempdir().unwrap(),
            _listener: tasks,
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn profile(&self) -> &Path {
        self.profile.path()
    }

    pub(crate) async fn tell(&self, act: Value) {
        self.acts.send(act).await.unwrap();
    }
}

async fn acts_as_events(State(shared): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let acts = shared.acts.lock().unwrap().take();
    let acts = acts.expect("the page asks once: its stream does not end before the test");
    Sse::new(futures_util::stream::unfold(acts, async |mut acts| {
        let act = acts.recv().await?;
        Some((Ok(Event::default().data(act.to_string())), acts))
    }))
}

async fn note(State(shared): State<Shared>, line: String) {
    shared.ears.hear(&line);
}
