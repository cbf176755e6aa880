//! Opening a connection as a client, over any stream of tokio's.

use crate::handshake::{Answer, ClientRequest, HEAD_BYTES_MAX, RequestError, ResponseError, check_response};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// What is read at a time before the connection is a WebSocket. Nearly every answer fits at once.
const READ_BYTES: usize = 1024;

/// The most bytes of a refusal's body that are kept: enough for what an error page says first.
pub const REFUSAL_BODY_BYTES_MAX: usize = 4 * 1024;

/// How long a refusal's body is waited for when its length is not known: it is a courtesy to the reader of the error.
const REFUSAL_BODY_WAIT: Duration = Duration::from_millis(250);

/// An open connection.
#[derive(Debug)]
pub struct Connected<S> {
    /// The stream, at the first byte after `leftover`.
    pub stream: S,
    /// Frames that came together with the response; empty without allocation if none did.
    pub leftover: Bytes,
    /// Status and headers of the response.
    pub response: Response<()>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The request cannot be written; another try will not help.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The stream failed.
    #[error("the connection failed during the upgrade: {0}")]
    Io(#[from] std::io::Error),
    /// The server ended the stream before it had answered.
    #[error("the server closed the connection before it had answered the upgrade")]
    Closed,
    /// No complete answer in time.
    #[error("no answer to the upgrade within {}", shown(*.0))]
    Timeout(Duration),
    /// The server answered with another status than 101.
    #[error("the server refused the upgrade: {}", .0.status)]
    Refused(Box<Refused>),
    /// What the server answered does not open a WebSocket.
    #[error(transparent)]
    Response(#[from] ResponseError),
}

/// A time as the rest of the program writes what is below a minute: `10 s`, `1500 ms`. This crate does without the reports' form.
fn shown(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

/// The answer of a server that refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its status, which is not 101.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The beginning of its body as it was sent, up to [`REFUSAL_BODY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Opens a WebSocket on a stream that is connected; gives up after `within`.
///
/// Holds about a kilobyte while it waits and nothing afterwards, apart from what it returns.
///
/// # Errors
/// If the connection does not become a WebSocket in time; the variant says what to do about it.
pub async fn connect<S>(
    mut stream: S,
    request: &ClientRequest<'_>,
    within: Duration,
) -> Result<Connected<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = Instant::now() + within;
    let head = request.encode()?;
    let exchange = async {
        stream.write_all(&head).await?;
        stream.flush().await?;
        drop(head);
        read_answer(&mut stream, request).await
    };
    let (answer, mut received) = tokio::time::timeout_at(deadline, exchange)
        .await
        .map_err(|_| ConnectError::Timeout(within))??;
    match answer {
        Answer::Switched { response, head_bytes } => {
            let leftover = Bytes::copy_from_slice(&received[head_bytes..]);
            Ok(Connected {
                stream,
                leftover,
                response,
            })
        }
        Answer::Refused { response, head_bytes } => {
            received.drain(..head_bytes);
            read_refusal(&mut stream, response.headers(), &mut received, deadline).await;
            let (parts, ()) = response.into_parts();
            let refused = Refused {
                status: parts.status,
                headers: parts.headers,
                body: received,
            };
            Err(ConnectError::Refused(Box::new(refused)))
        }
    }
}

/// Reads until the head of the response is complete.
async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    request: &ClientRequest<'_>,
) -> Result<(Answer, Vec<u8>), ConnectError> {
    let mut received = Vec::with_capacity(READ_BYTES);
    loop {
        if received.capacity() - received.len() < READ_BYTES / 2 {
            received.reserve(READ_BYTES);
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Err(ConnectError::Closed);
        }
        if let Some(answer) = check_response(&received, request)? {
            return Ok((answer, received));
        }
        debug_assert!(received.len() <= HEAD_BYTES_MAX, "a longer head is an error");
    }
}

/// Reads on for the body of a refusal. Whatever ends this is not an error: the refusal is known already.
async fn read_refusal<S: AsyncRead + Unpin>(
    stream: &mut S,
    headers: &HeaderMap,
    body: &mut Vec<u8>,
    deadline: Instant,
) {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.trim().parse::<usize>().ok());
    let wanted = declared
        .unwrap_or(REFUSAL_BODY_BYTES_MAX)
        .min(REFUSAL_BODY_BYTES_MAX);
    let deadline = deadline.min(Instant::now() + REFUSAL_BODY_WAIT);
    while body.len() < wanted {
        body.reserve(READ_BYTES);
        match tokio::time::timeout_at(deadline, stream.read_buf(body)).await {
            Ok(Ok(bytes)) if bytes > 0 => {}
            Ok(Ok(_) | Err(_)) | Err(_) => break,
        }
    }
    body.truncate(wanted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_written_with_a_blank_before_its_unit() {
        for (millis, text) in [(10_000, "10 s"), (1_500, "1500 ms")] {
            let error = ConnectError::Timeout(Duration::from_millis(millis));
            assert_eq!(
                error.to_string(),
                format!("no answer to the upgrade within {text}")
            );
        }
    }
}
