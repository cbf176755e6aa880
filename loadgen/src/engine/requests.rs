//! What sessions ask over HTTP, and what programs do for them, from the loop itself: a few connections per loop that are kept, a queue with a limit, and a
//! deadline for every request. A crowd of users would each keep their own connection; that the generator lends them a
//! few spares the machine, and costs a request at most its turn, which its latency includes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use super::backstage::{About, NotAsked, Program};
use super::connect::Connector;

/// Connections that one loop keeps for requests. With answers within 1 ms that is 16,000 requests a second.
pub(super) const REQUEST_CONNECTIONS: usize = 16;
/// Requests that may be open at once; more are not sent, and counted. Far more than a server that keeps up lets pile up.
const REQUESTS_OPEN_MAX: usize = 10_000;
/// A longer answer is cut off, and no answer: a page of history is a tenth of it.
const BODY_BYTES_MAX: usize = 8 << 20;

/// Who is answered, and what is done for it.
pub(super) struct Question {
    pub(super) slot: usize,
    pub(super) about: About,
    pub(super) errand: Errand,
}

/// What is done.
pub(super) enum Errand {
    /// The server is asked.
    Request(Asking),
    /// A program is run that makes the server emit.
    Program(Program),
}

/// A request, and where it goes.
#[derive(Debug)]
pub(super) struct Asking {
    /// The number of the session's node.
    pub(super) node: usize,
    pub(super) host: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Reply {
    /// The server answered.
    Answered { status: u16, body: Bytes },
    /// There was no whole answer in time.
    Failed,
}

/// What a program that ends well stands for.
const DONE: Reply = Reply::Answered {
    status: StatusCode::OK.as_u16(),
    body: Bytes::new(),
};

/// Questions that wait for a connection. Those of one session always wait for the same one, and so keep their order.
pub(super) struct Requests {
    lanes: [Lane; REQUEST_CONNECTIONS],
    /// Asked, and neither answered nor failed yet.
    open: Cell<usize>,
}

#[derive(Default)]
struct Lane {
    waiting: RefCell<VecDeque<Question>>,
    came: Notify,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            lanes: std::array::from_fn(|_| Lane::default()),
            open: Cell::default(),
        }
    }
}

impl Lane {
    async fn next(&self) -> Question {
        loop {
            // Bound before it is looked at: the borrow must end before the wait.
            let next = self.waiting.borrow_mut().pop_front();
            match next {
                Some(question) => return question,
                None => self.came.notified().await,
            }
        }
    }
}

impl Requests {
    /// Takes a question, unless too many wait already.
    pub(super) fn ask(&self, question: Question) -> Result<(), NotAsked> {
        if self.open.get() >= REQUESTS_OPEN_MAX {
            return Err(NotAsked);
        }
        let lane = &self.lanes[question.slot % REQUEST_CONNECTIONS];
        lane.waiting.borrow_mut().push_back(question);
        self.open.set(self.open.get() + 1);
        lane.came.notify_one();
        Ok(())
    }

    /// Whether any question still waits for its answer.
    pub(super) fn is_open(&self) -> bool {
        self.open.get() > 0
    }

    /// Asks what there is to ask in lane number `lane`, one after the other over a connection that is kept, for as long as it is
    /// polled.
    pub(super) async fn carry<K: Connector>(
        &self,
        lane: usize,
        connector: &K,
        deadline: Duration,
        answer: impl Fn(&Question, Reply),
    ) {
        let mut kept = None;
        loop {
            let mut question = self.lanes[lane].next().await;
            // Whoever is cut off in between leaves no question open: the count goes down in any case.
            let reply = match &mut question.errand {
                Errand::Program(program) => match tokio::time::timeout(deadline, program).await {
                    Ok(Ok(())) => DONE,
                    Ok(Err(_)) | Err(_) => Reply::Failed,
                },
                Errand::Request(asking) => {
                    let exchanged = exchange(connector, &mut kept, asking);
                    match tokio::time::timeout(deadline, exchanged).await {
                        Ok(Ok(reply)) => reply,
                        Ok(Err(_)) | Err(_) => {
                            kept = None;
                            Reply::Failed
                        }
                    }
                }
            };
            self.open.set(self.open.get() - 1);
            answer(&question, reply);
        }
    }
}

type Body = Full<Bytes>;

/// A connection to one node, and the future that moves its bytes.
struct Kept<S: AsyncRead + AsyncWrite + Unpin> {
    node: usize,
    sender: SendRequest<Body>,
    connection: Connection<TokioIo<S>, Body>,
}

/// Over the kept connection if it leads there and still stands, else over a new one.
async fn exchange<K: Connector>(
    connector: &K,
    kept: &mut Option<Kept<K::Stream>>,
    question: &Asking,
) -> io::Result<Reply> {
    if let Some(old) = kept.take().filter(|old| old.node == question.node) {
        match over(old, question).await {
            // The server may end an idle connection whenever it likes: what it never read is asked again.
            Err(error) if error.is_canceled() || error.is_closed() => {}
            Err(error) => return Err(io::Error::other(error)),
            Ok((reply, stands)) => {
                *kept = stands;
                return Ok(reply);
            }
        }
    }
    let stream = connector.open(question.node).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let new = Kept {
        node: question.node,
        sender,
        connection,
    };
    let (reply, stands) = over(new, question).await.map_err(io::Error::other)?;
    *kept = stands;
    Ok(reply)
}

/// The reply, and the connection if it is good for another question.
async fn over<S: AsyncRead + AsyncWrite + Unpin>(
    mut kept: Kept<S>,
    question: &Asking,
) -> hyper::Result<(Reply, Option<Kept<S>>)> {
    let mut request = Request::new(Full::new(question.body.clone()));
    *request.method_mut() = question.method.clone();
    // Both were read as such before the run, or are made of numbers and ids.
    *request.uri_mut() = question.path.parse().unwrap_or_default();
    request.headers_mut().clone_from(&question.headers);
    if let Ok(host) = HeaderValue::from_str(&question.host) {
        request.headers_mut().insert(header::HOST, host);
    }
    let asking = async {
        kept.sender.ready().await?;
        let response = kept.sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        Ok::<_, hyper::Error>((head, Limited::new(body, BODY_BYTES_MAX).collect().await))
    };
    let ((head, body), stands) = {
        let mut asking = std::pin::pin!(asking);
        tokio::select! {
            answered = &mut asking => (answered?, true),
            // It ends when the server closes; what it has read by then is the answer's to give.
            _ = &mut kept.connection => (asking.await?, false),
        }
    };
    Ok(match body {
        Ok(body) => {
            let reply = Reply::Answered {
                status: head.status.as_u16(),
                body: body.to_bytes(),
            };
            (reply, stands.then_some(kept))
        }
        // Cut off in the middle: the rest of it would be taken for the next answer.
        Err(_) => (Reply::Failed, None),
    })
}
