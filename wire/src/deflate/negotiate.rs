//! Agreeing on permessage-deflate (RFC 7692 5 and 7.1).

use super::{EXTENSION, Half, Takeover, WindowBits};
use crate::handshake::extensions::{Extension, Parameter, extensions};
use http::{HeaderMap, HeaderValue};
use std::fmt::Write as _;

const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_WINDOW: &str = "server_max_window_bits";
const CLIENT_WINDOW: &str = "client_max_window_bits";

/// What both sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Agreement {
    /// What the server sends.
    pub server: Half,
    /// What the client sends.
    pub client: Half,
}

/// What a server grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Whether messages may refer to earlier ones, in both directions. `Dropped` is answered to every offer.
    pub takeover: Takeover,
    /// The largest window the server compresses with; at least [`WindowBits::COMPRESS_MIN`].
    pub server_window: WindowBits,
    /// The largest window a client is asked to compress with, if it lets itself be asked.
    pub client_window: WindowBits,
}

/// An offer that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// What follows from it.
    pub agreement: Agreement,
    /// The value of `Sec-WebSocket-Extensions` that says so.
    pub answer: HeaderValue,
}

impl Policy {
    /// The first offer that can be served; `None` if there is none, and then the connection is not compressed.
    ///
    /// An offer with a parameter that is unknown, repeated or has a wrong value is declined (RFC 7692 7), and so is one
    /// that asks for a window of the server's that zlib cannot do. Answered are what was offered and, if this policy
    /// wants it, that contexts are dropped, which RFC 7692 7.1.1 allows unasked.
    #[must_use]
    pub fn negotiate(&self, request: &HeaderMap) -> Option<Negotiated> {
        extensions(request)
            .filter_map(Result::ok)
            .filter(is_deflate)
            .filter_map(|extension| Parameters::read(&extension.parameters).ok())
            .find_map(|offered| self.serve(&offered))
    }

    fn serve(&self, offered: &Parameters) -> Option<Negotiated> {
        let server_window = match offered.server_window {
            None => self.server_window,
            Some(Window::AtMost(window)) => self.server_window.min(window),
            // The value may be left out by a client about its own window only.
            Some(Window::Any) => return None,
        };
        if server_window < WindowBits::COMPRESS_MIN {
            return None;
        }
        let takeover = |dropped| {
            if dropped { Takeover::Dropped } else { self.takeover }
        };
        // Without the parameter in the answer a client goes up to what it has offered.
        let client_limit = match offered.client_window {
            None | Some(Window::Any) => WindowBits::MAX,
            Some(Window::AtMost(window)) => window,
        };
        let client_window = match offered.client_window {
            None => client_limit,
            Some(Window::Any | Window::AtMost(_)) => client_limit.min(self.client_window),
        };
        let agreement = Agreement {
            server: Half {
                takeover: takeover(offered.server_no_takeover),
                window: server_window,
            },
            client: Half {
                takeover: takeover(offered.client_no_takeover),
                window: client_window,
            },
        };
        let answered = Parameters {
            server_no_takeover: agreement.server.takeover == Takeover::Dropped,
            client_no_takeover: agreement.client.takeover == Takeover::Dropped,
            server_window: offered.server_window.map(|_| Window::AtMost(server_window)),
            client_window: (client_window < client_limit).then_some(Window::AtMost(client_window)),
        };
        Some(Negotiated {
            agreement,
            answer: answered.header_value(),
        })
    }
}

/// What a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Offer {
    /// `Dropped` asks the server not to refer to earlier messages.
    pub server_takeover: Takeover,
    /// `Dropped` tells the server that the client will not.
    pub client_takeover: Takeover,
    /// The largest window the server may use, if it is limited.
    pub server_window: Option<WindowBits>,
    /// What is said of the client's window.
    pub client_window: ClientWindow,
}

/// What an offer says of the client's own window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientWindow {
    /// Nothing: the server must not limit it.
    NotLimitable,
    /// The server may limit it.
    Limitable,
    /// The client uses at most this, and the server may limit it further.
    AtMost(WindowBits),
}

/// An answer that does not fit the offer: the client fails the connection (RFC 7692 7.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The header breaks its grammar.
    #[error("the response's Sec-WebSocket-Extensions header is malformed")]
    Malformed,
    /// The extension was answered twice.
    #[error("the response agrees to permessage-deflate more than once")]
    Repeated,
    /// A parameter that is unknown, repeated, or has a wrong value.
    #[error("the response's permessage-deflate parameter {0:?} is unknown, repeated or has a wrong value")]
    Parameter(String),
    /// A promise that was asked for and not given.
    #[error("the response to permessage-deflate lacks {0}, which was asked for")]
    Missing(&'static str),
    /// A limit on the client's window that it did not offer to keep.
    #[error("the response limits the client's window, which was not offered")]
    Unasked,
    /// A window beyond what was offered.
    #[error("the response's {parameter} is {answered}, more than the {offered} offered")]
    Window {
        /// Whose window.
        parameter: &'static str,
        /// What the server answered.
        answered: WindowBits,
        /// What the client offered.
        offered: WindowBits,
    },
}

impl Offer {
    /// The value of `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        Parameters {
            server_no_takeover: self.server_takeover == Takeover::Dropped,
            client_no_takeover: self.client_takeover == Takeover::Dropped,
            server_window: self.server_window.map(Window::AtMost),
            client_window: match self.client_window {
                ClientWindow::NotLimitable => None,
                ClientWindow::Limitable => Some(Window::Any),
                ClientWindow::AtMost(window) => Some(Window::AtMost(window)),
            },
        }
        .header_value()
    }

    /// What the server's response makes of this offer; `None` if it declined.
    ///
    /// # Errors
    /// If the response agrees to something that does not follow from the offer.
    pub fn check(&self, response: &HeaderMap) -> Result<Option<Agreement>, AnswerError> {
        let mut answers = Vec::new();
        for extension in extensions(response) {
            answers.push(extension.map_err(|_| AnswerError::Malformed)?);
        }
        answers.retain(is_deflate);
        let answered = match &answers[..] {
            [] => return Ok(None),
            [answer] => Parameters::read(&answer.parameters).map_err(AnswerError::Parameter)?,
            [_, _, ..] => return Err(AnswerError::Repeated),
        };
        if self.server_takeover == Takeover::Dropped && !answered.server_no_takeover {
            return Err(AnswerError::Missing(SERVER_NO_TAKEOVER));
        }
        let server_window = match (answered.server_window, self.server_window) {
            (None, None) => WindowBits::MAX,
            (None, Some(_)) => return Err(AnswerError::Missing(SERVER_WINDOW)),
            (Some(window), offered) => narrowed(SERVER_WINDOW, window, offered.unwrap_or(WindowBits::MAX))?,
        };
        let client_window = match (answered.client_window, self.client_window) {
            (None, ClientWindow::NotLimitable | ClientWindow::Limitable) => WindowBits::MAX,
            (None, ClientWindow::AtMost(window)) => window,
            (Some(_), ClientWindow::NotLimitable) => return Err(AnswerError::Unasked),
            (Some(window), ClientWindow::Limitable) => narrowed(CLIENT_WINDOW, window, WindowBits::MAX)?,
            (Some(window), ClientWindow::AtMost(offered)) => narrowed(CLIENT_WINDOW, window, offered)?,
        };
        let takeover = |dropped| {
            if dropped {
                Takeover::Dropped
            } else {
                Takeover::Kept
            }
        };
        Ok(Some(Agreement {
            server: Half {
                takeover: takeover(answered.server_no_takeover),
                window: server_window,
            },
            client: Half {
                takeover: takeover(answered.client_no_takeover || self.client_takeover == Takeover::Dropped),
                window: client_window,
            },
        }))
    }
}

fn narrowed(
    parameter: &'static str,
    answered: Window,
    offered: WindowBits,
) -> Result<WindowBits, AnswerError> {
    match answered {
        Window::Any => Err(AnswerError::Parameter(parameter.to_owned())),
        Window::AtMost(answered) if answered > offered => Err(AnswerError::Window {
            parameter,
            answered,
            offered,
        }),
        Window::AtMost(answered) => Ok(answered),
    }
}

fn is_deflate(extension: &Extension) -> bool {
    extension.name.eq_ignore_ascii_case(EXTENSION)
}

/// The parameters of one offer or answer.
#[derive(Debug, Clone, Copy, Default)]
struct Parameters {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_window: Option<Window>,
    client_window: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
enum Window {
    /// The parameter stands without a value.
    Any,
    AtMost(WindowBits),
}

impl Parameters {
    /// Reads them; the error names the one that is unknown, repeated or has a wrong value.
    fn read(parameters: &[Parameter]) -> Result<Self, String> {
        let mut read = Self::default();
        for Parameter { name, value } in parameters {
            let window = match value.as_deref() {
                None => Some(Window::Any),
                Some(value) => WindowBits::parse(value).map(Window::AtMost),
            };
            let fits = match name.as_str() {
                SERVER_NO_TAKEOVER => {
                    value.is_none() && !std::mem::replace(&mut read.server_no_takeover, true)
                }
                CLIENT_NO_TAKEOVER => {
                    value.is_none() && !std::mem::replace(&mut read.client_no_takeover, true)
                }
                SERVER_WINDOW => {
                    window.is_some() && std::mem::replace(&mut read.server_window, window).is_none()
                }
                CLIENT_WINDOW => {
                    window.is_some() && std::mem::replace(&mut read.client_window, window).is_none()
                }
                _ => false,
            };
            if !fits {
                return Err(name.clone());
            }
        }
        Ok(read)
    }

    fn header_value(&self) -> HeaderValue {
        let mut value = EXTENSION.to_owned();
        for (said, name) in [
            (self.server_no_takeover, SERVER_NO_TAKEOVER),
            (self.client_no_takeover, CLIENT_NO_TAKEOVER),
        ] {
            if said {
                value.push_str("; ");
                value.push_str(name);
            }
        }
        for (window, name) in [
            (self.server_window, SERVER_WINDOW),
            (self.client_window, CLIENT_WINDOW),
        ] {
            let written = match window {
                None => Ok(()),
                Some(Window::Any) => write!(value, "; {name}"),
                Some(Window::AtMost(window)) => write!(value, "; {name}={window}"),
            };
            written.expect("a String takes everything");
        }
        HeaderValue::from_str(&value).expect("names and numbers are a valid header value")
    }
}
