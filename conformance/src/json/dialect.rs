//! A dialect by its name. Not derived where the dialects are: without its messages that crate knows no JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use touchstone_protocol::Dialect;

#[derive(Debug, Clone, Copy)]
pub(super) struct DialectName(pub(super) Dialect);

impl Serialize for DialectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for DialectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Self).map_err(de::Error::custom)
    }
}
