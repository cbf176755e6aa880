//! What was said and heard, in bytes, and what compression made of it.

use touchstone_report::{Cell, Column, Section, Table, number};

use crate::record::Bytes;
use crate::summary::Summary;
use crate::workload::Compression;

impl Summary {
    /// Empty where nobody said anything.
    pub(super) fn bytes_section(&self) -> Section {
        let section = Section::new("Bytes");
        let traffic = &self.traffic;
        if *traffic == Default::default() {
            return section;
        }
        let mut table = Table::new([
            Column::text("direction"),
            Column::number("of messages"),
            Column::number("on the wire"),
            Column::number("wire / messages"),
        ]);
        for (direction, bytes) in [("sent", traffic.sent), ("received", traffic.heard)] {
            let Bytes { payload, wire } = bytes;
            let ratio = bytes
                .ratio()
                .map_or_else(|| number::MISSING.to_owned(), number::decimal);
            table.push([
                Cell::plain(direction),
                Cell::plain(number::bytes(payload)),
                Cell::plain(number::bytes(wire)),
                Cell::plain(ratio),
            ]);
        }
        section
            .text(format!(
                "On the wire are frames of all kinds with their headers; TLS, TCP and the opening handshakes come on top. {}",
                self.compressed()
            ))
            .with(table)
    }

    /// What was offered, and what came of it.
    fn compressed(&self) -> String {
        let offered = match self.plan.compression {
            Compression::None => return "No compression was offered.".to_owned(),
            Compression::PerMessage => "permessage-deflate, each message by itself",
            Compression::ContextTakeover => "permessage-deflate with context takeover",
        };
        format!(
            "Offered was {offered}; the server agreed with {} of {} sessions.",
            number::count(self.traffic.compressed_sessions),
            number::count(self.sessions.connected)
        )
    }
}
