//! What came of the messages, in the ledger's words and in plain ones.

use std::time::Duration;

use touchstone_report::{Bar, Cell, Column, Section, Table, Tone, number};

use crate::ledger::Totals;
use crate::summary::Summary;

/// How a count of the ledger is to be taken.
#[derive(Clone, Copy)]
enum Weight {
    /// Only a fact.
    Fact,
    /// Worth a look, unless it is 0.
    Look,
    /// A fault, unless it is 0.
    Fault,
}

impl Weight {
    fn tone(self, count: u64) -> Tone {
        match (self, count) {
            (Self::Fact, _) => Tone::Neutral,
            (Self::Look | Self::Fault, 0) => Tone::Good,
            (Self::Look, _) => Tone::Warn,
            (Self::Fault, _) => Tone::Bad,
        }
    }
}

impl Summary {
    /// Whether messages went to others.
    pub(super) fn delivers(&self) -> bool {
        self.ledger
            .iter()
            .flat_map(|book| &book.sent)
            .any(|page| page.outbox.count() > 0)
    }

    /// One of what the server owes.
    pub(super) fn what_is_owed(&self) -> &'static str {
        let answers = self.ledger.iter().any(|book| book.counted_totals.sent > 0);
        match (self.delivers(), answers) {
            (true, true) => "message",
            (true, false) => "delivery",
            (false, _) => "answer",
        }
    }

    pub(super) fn delivery_section(&self) -> Section {
        let Totals {
            expected, lost, late, ..
        } = self.delivery;
        let section = Section::new("Delivery");
        if self.delivery.sent == 0 && self.skipped_sends == 0 && self.errors.total() == 0 {
            return section;
        }
        let what = super::plural(expected, self.what_is_owed());
        let bar = Bar::new(format!("{what} owed"))
            .part("in time", expected.saturating_sub(lost + late), Tone::Good)
            .part("late", late, Tone::Warn)
            .part("lost", lost, Tone::Bad);
        let section = if expected > 0 { section.with(bar) } else { section };
        let section = section.text(if self.delivers() {
            "A server owes what it has confirmed to its sender, once to each of those whom it is for. What it never confirmed it owes \
             nobody: the sender knows that he has to say it again. Who was away is owed it if the protocol has a way to catch up."
        } else {
            "A server owes an answer for each message that it shows to have counted. What was under way when a connection ended, and \
             was never answered, it owes nobody: the sender knows that he has to say it again."
        });
        let section = section.with(self.ledger_table());
        if self.errors.total() == 0 {
            return section;
        }
        let mut errors = Table::new([
            Column::text("error"),
            Column::number("count"),
            Column::text("meaning"),
        ]);
        for (kind, count) in self.errors.seen() {
            errors.push([
                Cell::plain(kind.name()),
                Cell::warn(number::count(count)),
                Cell::plain(kind.meaning()),
            ]);
        }
        section.with(errors)
    }

    fn ledger_table(&self) -> Table {
        use Weight::{Fact, Fault, Look};
        let delivery = &self.delivery;
        let beside = &self.beside;
        let expected = if self.delivers() {
            "owed: each confirmed message to each of its recipients"
        } else {
            "owed: answers to the messages that were counted"
        };
        let late = match self.ledger.iter().map(|book| book.terms.deadline).max() {
            Some(deadline) => format!(
                "arrived more than {} after they were meant; part of received",
                number::duration(Duration::from_nanos(deadline))
            ),
            None => "arrived after their deadline; part of received".to_owned(),
        };
        let rows = [
            (
                "sent",
                delivery.sent,
                Fact,
                "messages handed to a socket or a request",
            ),
            ("expected", delivery.expected, Fact, expected),
            ("received", delivery.received, Fact, "owed, and arrived"),
            (
                "lost",
                delivery.lost,
                Fault,
                "owed, and never arrived: the server had them and forgot them",
            ),
            ("late", delivery.late, Look, late.as_str()),
            (
                "duplicated",
                delivery.duplicated,
                Fault,
                "arrived once more than they were owed",
            ),
            (
                "reordered",
                delivery.reordered,
                Fault,
                "arrived after a later one of the same sender",
            ),
            (
                "unconfirmed",
                delivery.unconfirmed,
                Fact,
                "sent and never confirmed, so owed to nobody",
            ),
            (
                "not sent",
                self.skipped_sends,
                Fact,
                "due while their session was away: a user could not either",
            ),
        ];
        // What most runs have none of is only shown where there is some.
        let seldom = [
            (
                "unsent",
                self.unsent,
                Fault,
                "due, and the generator had no time until one deadline after the end",
            ),
            (
                "beside: unconfirmed",
                beside.unconfirmed,
                Fact,
                "delivered, though their sender was never told",
            ),
            (
                "beside: not owed",
                beside.not_owed,
                Fact,
                "delivered to somebody who came later or was away",
            ),
            (
                "beside: stray",
                beside.stray,
                Fault,
                "delivered to somebody whom they were not for",
            ),
        ];
        let mut table = Table::new([
            Column::text("messages"),
            Column::number("count"),
            Column::text("meaning"),
        ]);
        let seldom = seldom.into_iter().filter(|(_, count, ..)| *count > 0);
        for (name, count, weight, meaning) in rows.into_iter().chain(seldom) {
            table.push([
                Cell::plain(name),
                Cell::new(number::count(count), weight.tone(count)),
                Cell::plain(meaning),
            ]);
        }
        table
    }
}
