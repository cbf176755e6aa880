//! Steps that hold steps: tables and interleavings.

use std::collections::BTreeSet;

use crate::read::{Fields, Read, Reader, Use, keys};
use crate::scenario::{Action, ActorName, Orders, Row, Step, Table};
use crate::source::{Span, Spanned};
use crate::yaml::{Kind, Node};

/// Orders of one interleaving. Each is a case of its own; beyond this a run takes longer than anybody waits.
const ORDERS_MAX: u64 = 64;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Given,
    Steps,
    Each,
    Lane,
}

impl Reader<'_> {
    pub(super) fn is_lane_verb(&self, key: &str) -> bool {
        self.lane.is_some() && keys::ACTOR_VERBS.contains(&key)
    }

    pub(super) fn lane_verbs(&self) -> impl Iterator<Item = &'static str> {
        let verbs: &[&str] = if self.lane.is_some() {
            keys::ACTOR_VERBS
        } else {
            &[]
        };
        verbs.iter().copied()
    }

    /// `table: {columns, rows}` beside `each`.
    pub(super) fn table(
        &mut self,
        node: &Node,
        each: &Node,
        verb: Span,
        place: Place,
        siblings: usize,
    ) -> Read<Table> {
        if place != Place::Steps || siblings != 1 {
            return Err(self
                .at("table-not-alone", verb, "a table is the only entry of `steps`")
                .help("what comes before each row goes into `given` or at the start of `each`; what comes after, at its end"));
        }
        let mut fields = Fields::of(self, node, "a table")?;
        fields.announce(keys::TABLE);
        let columns = fields
            .require(self, "columns")
            .and_then(|node| self.columns(node))?;
        let row_nodes = fields.require(self, "rows")?;
        let rows = self.rows(row_nodes, &columns)?;
        fields.finish(self)?;
        for column in columns.iter().filter(|column| column.value != "clause") {
            self.variables.insert(column.value.clone());
        }
        let each = self.steps(each, Place::Each)?;
        if each.is_empty() && self.diags.is_empty() {
            return Err(self.at("empty", verb, "`each` is empty: nothing is judged"));
        }
        for (name, used_as) in self.uses.take() {
            if let Some(column) = columns.iter().position(|column| column.value == name) {
                self.check_column(row_nodes, column, used_as);
            }
        }
        if self.diags.is_empty() {
            let filled_in = |column: &&Spanned<String>| column.value != "name" && column.value != "clause";
            self.check_used(columns.iter().filter(filled_in), "column");
        }
        Ok(Table { columns, rows, each })
    }

    /// A cell that a step uses whole has to be what the step needs, or the case could only fail when it is run.
    fn check_column(&mut self, rows: &Node, column: usize, used_as: Use) {
        for row in self.list(rows).unwrap_or_default() {
            let Kind::List(cells) = &row.kind else { continue };
            let Some(cell) = cells.get(column) else { continue };
            let checked = match used_as {
                Use::Frames => self.frames(cell).map(drop),
                Use::Code => self.code(cell).map(drop),
                Use::Status => self.statuses(cell).map(drop),
            };
            self.collect(checked);
        }
    }

    fn columns(&mut self, node: &Node) -> Read<Vec<Spanned<String>>> {
        let items = self.list(node)?;
        let columns: Vec<Spanned<String>> =
            items.iter().map(|item| self.spanned(item)).collect::<Read<_>>()?;
        match columns.first() {
            Some(first) if first.value == "name" => {}
            _ => {
                return Err(self
                    .wrong("missing-column", node, "the first column has to be `name`")
                    .help("each row is a case, and its name tells it from the others"));
            }
        }
        let mut seen = BTreeSet::new();
        for column in &columns {
            if !seen.insert(column.value.as_str()) {
                return Err(self.at(
                    "duplicate-column",
                    column.span,
                    format!("the column `{}` is there twice", column.value),
                ));
            }
            let known = self.variables.contains(&column.value);
            self.define(column)?;
            if !known {
                // The cells themselves cannot use the columns.
                self.variables.remove(&column.value);
            }
        }
        Ok(columns)
    }

    fn rows(&mut self, node: &Node, columns: &[Spanned<String>]) -> Read<Vec<Row>> {
        let items = self.list(node)?;
        if items.is_empty() {
            return Err(self.wrong("empty", node, "a table without rows judges nothing"));
        }
        let mut rows: Vec<Row> = Vec::with_capacity(items.len());
        for item in items {
            let row = self.row(item, columns);
            let Some(row) = self.collect(row) else { continue };
            if let Some(first) = rows.iter().find(|other| other.name.value == row.name.value) {
                let diag = self
                    .at(
                        "duplicate-row",
                        row.name.span,
                        format!("the row `{}` is there twice", row.name.value),
                    )
                    .label(first.name.span, "first here")
                    .help("a row is a case, known by its name: give it one of its own");
                self.diags.push(diag);
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn row(&mut self, node: &Node, columns: &[Spanned<String>]) -> Read<Row> {
        let cells = self.list(node)?;
        if cells.len() != columns.len() {
            let names: Vec<&str> = columns.iter().map(|column| column.value.as_str()).collect();
            return Err(self
                .wrong(
                    "row-length",
                    node,
                    format!(
                        "the row has {} cells, and there are {} columns",
                        cells.len(),
                        columns.len()
                    ),
                )
                .help(format!("the columns are: {}", names.join(", "))));
        }
        let mut row = Row {
            name: self.row_name(&cells[0])?,
            clause: None,
            cells: Vec::with_capacity(cells.len()),
        };
        for (column, cell) in columns.iter().zip(cells) {
            row.cells.push(self.template(cell)?);
            if column.value == "clause" && cell.kind != Kind::Null {
                row.clause = Some(self.clause_id(cell)?);
            }
        }
        Ok(row)
    }

    fn row_name(&self, node: &Node) -> Read<Spanned<String>> {
        let name = self.spanned(node)?;
        if name.value.trim().is_empty() || name.value.contains(['[', ']', '\n']) {
            return Err(self
                .wrong("bad-name", node, format!("`{}` cannot name a row", name.value))
                .help("a case is addressed as `id[name]`: use words without brackets"));
        }
        Ok(name)
    }

    /// `interleave: {orders: all, ann: […], bob: […]}`
    pub(super) fn interleave(&mut self, node: &Node, verb: Span, place: Place) -> Read<Action> {
        if place != Place::Steps {
            return Err(self.at(
                "misplaced-interleave",
                verb,
                "an interleaving stands directly in `steps`",
            ));
        }
        if std::mem::replace(&mut self.interleaved, true) {
            return Err(self
                .at(
                    "second-interleave",
                    verb,
                    "a scenario has one interleaving at most",
                )
                .help("put the second one into a scenario of its own"));
        }
        let mut fields = Fields::of(self, node, "`interleave`")?;
        let orders = fields.require(self, "orders");
        let mut lanes: Vec<(ActorName, Vec<Step>)> = Vec::new();
        for (name, steps) in fields.rest() {
            if !self.actors.contains_key(&name.value) {
                return Err(self.unknown_actor(name));
            }
            self.lane = Some(name.clone());
            let known = self.variables.clone();
            let steps = self.lane(steps);
            self.lane = None;
            // A capture is there for its own lane only: another one may run before it.
            let captured = std::mem::replace(&mut self.variables, known);
            self.captured
                .extend(captured.difference(&self.variables).cloned().collect::<Vec<_>>());
            lanes.push((name.clone(), steps?));
        }
        if lanes.len() < 2 {
            return Err(self
                .at("one-lane", verb, "an interleaving has two actors or more")
                .help("write `interleave: {orders: all, ann: [{send: a}], bob: [{send: b}]}`"));
        }
        let orders = orders?;
        let orders = self.orders(orders, &lanes)?;
        Ok(Action::Interleave { orders, lanes })
    }

    fn lane(&mut self, node: &Node) -> Read<Vec<Step>> {
        for item in self.list(node)? {
            if let Kind::Map(entries) = &item.kind
                && let Some((key, _)) = entries.iter().find(|(key, _)| {
                    keys::VERBS.contains(&key.value.as_str()) && !self.is_in_lane(&key.value, entries)
                })
            {
                return Err(self
                    .at(
                        "misplaced-verb",
                        key.span,
                        format!("`{}` cannot stand in a lane", key.value),
                    )
                    .help("a lane holds what one actor does; the rest comes before or after"));
            }
        }
        let steps = self.steps(node, Place::Lane)?;
        if steps.is_empty() && self.diags.is_empty() {
            return Err(self.wrong("empty", node, "the lane is empty"));
        }
        Ok(steps)
    }

    fn is_in_lane(&self, key: &str, entries: &[(Spanned<String>, Node)]) -> bool {
        let answer = key == "expect" && entries.iter().any(|(key, _)| key.value == "http");
        keys::LANE_VERBS.contains(&key) || self.is_lane_verb(key) || answer
    }

    fn orders(&self, node: &Node, lanes: &[(ActorName, Vec<Step>)]) -> Read<Orders> {
        if let Kind::Map(_) = node.kind {
            let mut fields = Fields::of(self, node, "`orders`")?;
            let count = fields
                .require(self, "random")
                .and_then(|node| self.count::<u32>(node))?;
            let seed = fields
                .require(self, "seed")
                .and_then(|node| self.count::<u64>(node))?;
            if !fields.is_empty() {
                return Err(self.wrong("unknown-key", node, "`orders` has the keys `random` and `seed`"));
            }
            if count == 0 || u64::from(count) > ORDERS_MAX {
                return Err(self
                    .wrong("too-many-orders", node, format!("{count} orders"))
                    .help(format!("from 1 to {ORDERS_MAX}")));
            }
            return Ok(Orders::Random { count, seed });
        }
        self.word(node, &[("all", ())])?;
        let lengths: Vec<u64> = lanes.iter().map(|(_, steps)| steps.len() as u64).collect();
        let count = orders_of(&lengths);
        if count > ORDERS_MAX {
            return Err(self
                .wrong(
                    "too-many-orders",
                    node,
                    format!("these lanes have {count} orders"),
                )
                .help(format!(
                    "at most {ORDERS_MAX}: shorten the lanes, or draw some: {{random: 20, seed: 7}}"
                )));
        }
        Ok(Orders::All)
    }
}

/// In how many orders lanes of these lengths can be merged: the multinomial coefficient, `u64::MAX` where it is larger.
fn orders_of(lengths: &[u64]) -> u64 {
    let mut orders: u128 = 1;
    let mut merged: u128 = 0;
    for length in lengths {
        for step in 1..=u128::from(*length) {
            merged += 1;
            // Exact at every turn: it is the binomial coefficient of what is merged so far.
            orders = orders.saturating_mul(merged) / step;
            if orders > u128::from(u64::MAX) {
                return u64::MAX;
            }
        }
    }
    u64::try_from(orders).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::orders_of;

    #[test]
    fn orders_are_counted() {
        for (lengths, orders) in [
            (&[1, 1][..], 2),
            (&[2, 2], 6),
            (&[2, 2, 2], 90),
            (&[3, 3], 20),
            (&[4, 4], 70),
            (&[1, 1, 1, 1], 24),
            (&[500, 500], u64::MAX),
        ] {
            assert_eq!(orders_of(lengths), orders, "{lengths:?}");
        }
    }
}
