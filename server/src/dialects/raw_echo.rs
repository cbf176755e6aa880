//! A route that is no dialect: text and binary come back verbatim. The industry's own test suites want such a one.

use crate::connection::{Close, Mailbox, OpenRequest};
use crate::dialects::{DialectServer, Heard};

/// Echoes everything.
#[derive(Debug)]
pub(crate) struct RawEcho;

impl DialectServer for RawEcho {
    type Session = ();

    async fn open(&self, _request: OpenRequest, _mailbox: &Mailbox) -> Result<(), Close> {
        Ok(())
    }

    async fn hear(&self, _session: &mut (), heard: Heard<'_>, mailbox: &Mailbox) -> Result<(), Close> {
        match heard {
            Heard::Text(text) => mailbox.text(text),
            Heard::Binary(bytes) => mailbox.binary(bytes),
        };
        Ok(())
    }

    fn farewell(&self, _session: &mut (), _mailbox: &Mailbox) {}

    async fn closed(&self, _session: ()) {}
}
