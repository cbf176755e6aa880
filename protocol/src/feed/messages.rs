//! The messages of `feed` as they stand on the wire: every one is `{"type","data"}`.

use serde::{Serialize, Serializer};

use crate::json::{self, BadJson};
use crate::timestamp::Rfc3339;

/// What is told to a client whose message is no JSON object (feed/10a), as text.
pub const INVALID_JSON: &str = r#"{"type":"ERROR","data":{"message":"Invalid JSON format"}}"#;

/// What a client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// The answer to a heartbeat (feed/7b), whatever its data.
    Pong,
    /// Anything else: there is nothing to do about it (feed/10a).
    Other,
}

impl Up {
    /// Reads a client's text.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn decode(text: &str) -> Result<Self, BadJson> {
        let object = json::parse(text)?.object().ok_or(BadJson)?;
        let [kind] = object.members(["type"]);
        let pong = kind
            .and_then(json::Value::text)
            .is_some_and(|kind| kind == "PONG");
        Ok(if pong { Self::Pong } else { Self::Other })
    }
}

/// The types under which users are told something (feed/3a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    missing_docs,
    reason = "the document says no more of them than their names do"
)]
pub enum Event {
    MessageCreated,
    MessageDeleted,
    MessageViewed,
    UserPresenceConnected,
    UserPresenceDisconnected,
    BucketpointCreated,
    BucketpointUpdated,
    BucketpointDeleted,
    PhotoUploaded,
    PhotoUpdated,
    PhotoDeleted,
    AlbumCreated,
    AlbumUpdated,
    AlbumDeleted,
    SystemNotification,
}

impl Event {
    /// Each of them, in the document's order.
    pub const ALL: [Self; 15] = [
        Self::MessageCreated,
        Self::MessageDeleted,
        Self::MessageViewed,
        Self::UserPresenceConnected,
        Self::UserPresenceDisconnected,
        Self::BucketpointCreated,
        Self::BucketpointUpdated,
        Self::BucketpointDeleted,
        Self::PhotoUploaded,
        Self::PhotoUpdated,
        Self::PhotoDeleted,
        Self::AlbumCreated,
        Self::AlbumUpdated,
        Self::AlbumDeleted,
        Self::SystemNotification,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessageCreated => "MESSAGE_CREATED",
            Self::MessageDeleted => "MESSAGE_DELETED",
            Self::MessageViewed => "MESSAGE_VIEWED",
            Self::UserPresenceConnected => "USER_PRESENCE_CONNECTED",
            Self::UserPresenceDisconnected => "USER_PRESENCE_DISCONNECTED",
            Self::BucketpointCreated => "BUCKETPOINT_CREATED",
            Self::BucketpointUpdated => "BUCKETPOINT_UPDATED",
            Self::BucketpointDeleted => "BUCKETPOINT_DELETED",
            Self::PhotoUploaded => "PHOTO_UPLOADED",
            Self::PhotoUpdated => "PHOTO_UPDATED",
            Self::PhotoDeleted => "PHOTO_DELETED",
            Self::AlbumCreated => "ALBUM_CREATED",
            Self::AlbumUpdated => "ALBUM_UPDATED",
            Self::AlbumDeleted => "ALBUM_DELETED",
            Self::SystemNotification => "SYSTEM_NOTIFICATION",
        }
    }

    /// The type of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// What users make, change and remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// An item of the bucket list.
    Bucketpoint,
    /// What photos are in.
    Album,
    /// A photo in an album.
    Photo,
    /// A chat message. It never changes.
    Message,
}

impl ResourceKind {
    /// The type under which a new one is told.
    #[must_use]
    pub const fn made(self) -> Event {
        match self {
            Self::Bucketpoint => Event::BucketpointCreated,
            Self::Album => Event::AlbumCreated,
            Self::Photo => Event::PhotoUploaded,
            Self::Message => Event::MessageCreated,
        }
    }

    /// The type under which a change is told, where there can be one.
    #[must_use]
    pub const fn changed(self) -> Option<Event> {
        match self {
            Self::Bucketpoint => Some(Event::BucketpointUpdated),
            Self::Album => Some(Event::AlbumUpdated),
            Self::Photo => Some(Event::PhotoUpdated),
            Self::Message => None,
        }
    }

    /// The type under which it is told that one is gone.
    #[must_use]
    pub const fn removed(self) -> Event {
        match self {
            Self::Bucketpoint => Event::BucketpointDeleted,
            Self::Album => Event::AlbumDeleted,
            Self::Photo => Event::PhotoDeleted,
            Self::Message => Event::MessageDeleted,
        }
    }
}

/// A resource with all its fields (feed/5b).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the document's, and named after what they are"
)]
pub enum Resource<'a> {
    Bucketpoint {
        id: u64,
        title: &'a str,
        description: &'a str,
        completed: bool,
        created_at: Rfc3339,
    },
    Album {
        id: u64,
        title: &'a str,
        created_at: Rfc3339,
    },
    Photo {
        id: u64,
        album_id: u64,
        caption: &'a str,
        url: &'a str,
        created_at: Rfc3339,
    },
    Message {
        id: u64,
        user_id: i64,
        content: &'a str,
        created_at: Rfc3339,
    },
}

impl Resource<'_> {
    /// The album in which a photo is.
    #[must_use]
    pub const fn album_id(&self) -> Option<u64> {
        match self {
            Self::Photo { album_id, .. } => Some(*album_id),
            Self::Bucketpoint { .. } | Self::Album { .. } | Self::Message { .. } => None,
        }
    }
}

/// Whether a user is there (feed/6a).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// His first connection was opened.
    Connected,
    /// His last connection has ended.
    Disconnected,
}

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down<'a> {
    /// A resource is new, or has changed (feed/5a).
    Shown {
        /// Which of the two, and of what kind it is.
        event: Event,
        /// As it is now.
        resource: &'a Resource<'a>,
    },
    /// A resource is gone.
    Removed {
        /// Says of what kind it was.
        event: Event,
        /// Its id.
        id: u64,
        /// Of a photo, the album in which it was.
        album_id: Option<u64>,
    },
    /// Somebody has seen a message.
    Viewed {
        /// The message.
        id: u64,
        /// Who has seen it.
        user_id: i64,
        /// When.
        viewed_at: Rfc3339,
    },
    /// A user came online, or went offline (feed/6b).
    Presence {
        /// Which of the two.
        presence: Presence,
        /// Who.
        user_id: i64,
        /// What people call him.
        name: &'a str,
    },
    /// A heartbeat (feed/7b).
    Ping {
        /// When it was sent.
        timestamp: Rfc3339,
    },
    /// Whatever the server's own code has to tell: the data goes out as it came (feed/3b).
    Published {
        /// Under which type.
        event: Event,
        /// JSON.
        data: &'a serde_json::Value,
    },
}

impl Down<'_> {
    /// The message as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let written = match *self {
            Self::Shown { event, resource } => envelope(
                event.name(),
                &Nested {
                    data: resource,
                    album_id: resource.album_id(),
                },
            ),
            Self::Removed { event, id, album_id } => envelope(event.name(), &Gone { id, album_id }),
            Self::Viewed {
                id,
                user_id,
                viewed_at,
            } => envelope(
                Event::MessageViewed.name(),
                &Viewing {
                    id,
                    user_id,
                    viewed_at,
                },
            ),
            Self::Presence {
                presence,
                user_id,
                name,
            } => {
                let event = match presence {
                    Presence::Connected => Event::UserPresenceConnected,
                    Presence::Disconnected => Event::UserPresenceDisconnected,
                };
                envelope(event.name(), &Somebody { user_id, name })
            }
            Self::Ping { timestamp } => envelope("PING", &Moment { timestamp }),
            Self::Published { event, data } => envelope(event.name(), data),
        };
        written.expect("strings, numbers, booleans and JSON are always JSON")
    }
}

fn envelope(kind: &str, data: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&Envelope { r#type: kind, data })
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    r#type: &'a str,
    data: &'a D,
}

#[derive(Serialize)]
struct Nested<'a> {
    data: &'a Resource<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    album_id: Option<u64>,
}

#[derive(Serialize)]
struct Gone {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    album_id: Option<u64>,
}

#[derive(Serialize)]
struct Viewing {
    id: u64,
    user_id: i64,
    viewed_at: Rfc3339,
}

#[derive(Serialize)]
struct Somebody<'a> {
    user_id: i64,
    name: &'a str,
}

#[derive(Serialize)]
struct Moment {
    timestamp: Rfc3339,
}

impl Serialize for Resource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        let (Self::Bucketpoint { id, created_at, .. }
        | Self::Album { id, created_at, .. }
        | Self::Photo { id, created_at, .. }
        | Self::Message { id, created_at, .. }) = self;
        map.serialize_entry("id", id)?;
        match self {
            Self::Bucketpoint {
                title,
                description,
                completed,
                ..
            } => {
                map.serialize_entry("title", title)?;
                map.serialize_entry("description", description)?;
                map.serialize_entry("completed", completed)?;
            }
            Self::Album { title, .. } => map.serialize_entry("title", title)?,
            Self::Photo {
                album_id,
                caption,
                url,
                ..
            } => {
                map.serialize_entry("album_id", album_id)?;
                map.serialize_entry("caption", caption)?;
                map.serialize_entry("url", url)?;
            }
            Self::Message { user_id, content, .. } => {
                map.serialize_entry("user_id", user_id)?;
                map.serialize_entry("content", content)?;
            }
        }
        map.serialize_entry("created_at", created_at)?;
        map.end()
    }
}
