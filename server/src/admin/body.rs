//! How requests are read and answers written: JSON, with an error that says what is wrong and where.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use touchstone_protocol::Dialect;

use super::{GivenId, Refusal};
use crate::shared::Shared;

/// Entries of one request: they are written in one go, which must not take as long as a call of the store may.
const ENTRIES_MAX: usize = 50_000;

/// A request's body. None at all is `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        let arrived = Bytes::from_request(request, shared).await;
        let body = arrived
            .map_err(|rejection| (rejection.status(), error(rejection.body_text())).into_response())?;
        let json: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let read = serde_json::from_slice(json).map_err(|error| bad(&error))?;
        Ok(Self(read))
    }
}

/// A request's query parameters.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(bad(&rejection.body_text())),
        }
    }
}

/// Entries of a bulk request, each read by itself, so that an error can say which one it is about.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Entries(Vec<Box<RawValue>>);

impl Entries {
    /// All of them, or what is wrong with the first that is none.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, Refusal> {
        if self.0.len() > ENTRIES_MAX {
            let entries = self.0.len();
            return Err(Refusal::Request(format!(
                "{entries} entries are more than the {ENTRIES_MAX} of one request"
            )));
        }
        let read = |(index, entry): (usize, &RawValue)| {
            // What stores and protocols take for the end of a text is in none (common/4c).
            if names_nul(entry.get()) {
                let why = "U+0000 cannot be stored".to_owned();
                return Err(Refusal::Entry { index, why });
            }
            serde_json::from_str(entry.get()).map_err(|error| Refusal::Entry {
                index,
                why: error.to_string(),
            })
        };
        self.0
            .iter()
            .map(|entry| &**entry)
            .enumerate()
            .map(read)
            .collect()
    }
}

/// Whether a text in `json` has U+0000 in it, which JSON can only write as an escape.
fn names_nul(json: &str) -> bool {
    let is_escape = |at: usize| {
        let before = json[..at].bytes().rev();
        before.take_while(|byte| *byte == b'\\').count().is_multiple_of(2)
    };
    json.match_indices("\\u0000").any(|(at, _)| is_escape(at))
}

/// A dialect by its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named(pub(super) Dialect);

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for GivenId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;

        impl Visitor<'_> for Id {
            type Value = GivenId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id, which is a string that is not empty or a whole number")
            }

            fn visit_str<E: serde::de::Error>(self, id: &str) -> Result<GivenId, E> {
                if id.is_empty() {
                    return Err(E::invalid_value(Unexpected::Str(id), &self));
                }
                Ok(GivenId::Text(id.to_owned()))
            }

            fn visit_u64<E>(self, id: u64) -> Result<GivenId, E> {
                Ok(GivenId::Integer(id))
            }
        }

        deserializer.deserialize_any(Id)
    }
}

/// Nothing to say but that it is done.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct Done {}

/// What is said of a request that was not done.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(Deserialize))]
pub(super) struct Failed {
    pub(super) error: String,
    /// Which entry it is about, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<usize>,
}

pub(super) fn error(why: impl Into<String>) -> Json<Failed> {
    Json(Failed {
        error: why.into(),
        entry: None,
    })
}

fn bad(why: &impl fmt::Display) -> Response {
    Refusal::Request(why.to_string()).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Entry { .. } | Self::Request(_) | Self::Lacks(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Store(_) | Self::Bus(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let entry = match &self {
            Self::Entry { index, .. } => Some(*index),
            Self::Request(_) | Self::Lacks(_) | Self::NotFound(_) | Self::Store(_) | Self::Bus(_) => None,
        };
        let error = self.to_string();
        (status, Json(Failed { error, entry })).into_response()
    }
}
