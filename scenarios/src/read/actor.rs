//! Who acts: what is declared, made on the spot, connected, and driven by which client.

use crate::diag::Diag;
use crate::read::{Fields, Known, Read, Reader};
use crate::scenario::{Action, Actor, ActorName, Client, Connection, Scenario, Scope, Step, Template};
use crate::source::Spanned;
use crate::yaml::{Kind, Node};

impl Reader<'_> {
    /// Gives the raw client to every actor whose steps send frames by hand.
    pub(super) fn choose_clients(&self, scenario: &mut Scenario) {
        for actor in &mut scenario.actors {
            let client = actor.connection.client;
            if client == Client::Judge && self.actors.get(&actor.name.value).is_some_and(|known| known.raw) {
                actor.connection.client = Client::Raw;
            }
        }
        self.raw_clients(&mut scenario.given);
        self.raw_clients(&mut scenario.steps);
    }

    /// `actors: {ann: {…}}`, or `[ann, bob]` where there is nothing to say about them.
    pub(super) fn actors(&mut self, node: &Node) -> Read<Vec<Actor>> {
        let mut actors: Vec<Actor> = Vec::new();
        match &node.kind {
            Kind::List(items) => {
                for item in items {
                    let name = self.spanned(item)?;
                    if self.actors.contains_key(&name.value) {
                        return Err(self.wrong(
                            "duplicate-actor",
                            item,
                            format!("`{}` is there twice", name.value),
                        ));
                    }
                    self.introduce(&name, &Connection::default(), None)?;
                    actors.push(Actor {
                        name,
                        connection: Connection::default(),
                    });
                }
            }
            Kind::Map(entries) => {
                for (name, value) in entries {
                    let read = self.actor(name, value);
                    actors.extend(self.collect(read));
                }
            }
            _ => {
                return Err(self
                    .expected(node, "a mapping of actors")
                    .help("write `actors: {ann: {}}`"));
            }
        }
        Ok(actors)
    }

    fn actor(&mut self, name: &Spanned<String>, node: &Node) -> Read<Actor> {
        let mut fields = match node.kind {
            Kind::Null => Fields::none(node, "an actor"),
            _ => Fields::of(self, node, "an actor")?,
        };
        let read = self.connection(&mut fields);
        // The name is known even if its entry is wrong, or every use of it would be a mistake too.
        let (connection, client) = match read {
            Ok(read) => read,
            Err(diag) => {
                self.introduce(
                    name,
                    &Connection {
                        path: Some(Template::new("/".into())),
                        ..Connection::default()
                    },
                    None,
                )?;
                return Err(diag);
            }
        };
        self.introduce(name, &connection, client)?;
        fields.finish(self)?;
        Ok(Actor {
            name: name.clone(),
            connection,
        })
    }

    /// The actor that a step makes.
    pub(super) fn make_actor(
        &mut self,
        name: &Spanned<String>,
        connection: &Connection,
        client: Option<Client>,
    ) -> Read<()> {
        if self.actors.get(&name.value).is_some_and(|known| known.connected) {
            return Err(self
                .at(
                    "duplicate-actor",
                    name.span,
                    format!("`{}` is connected already", name.value),
                )
                .help("an actor stands for one connection: give the second one a name of its own"));
        }
        self.introduce(name, connection, client)?;
        self.connect(name);
        Ok(())
    }

    /// A new actor.
    pub(super) fn introduce(
        &mut self,
        name: &Spanned<String>,
        connection: &Connection,
        client: Option<Client>,
    ) -> Read<()> {
        let plain = crate::template::is_name(name) && !name.contains('.');
        if !plain {
            return Err(self
                .at(
                    "bad-name",
                    name.span,
                    format!("`{}` cannot name an actor", name.value),
                )
                .help("use letters, digits and `_`, and begin with a letter"));
        }
        if self.scope == Scope::None && connection.dialect.is_none() && connection.path.is_none() {
            return Err(self
                .at(
                    "missing-key",
                    name.span,
                    format!(
                        "`{}` has no path, and there is no dialect to take it from",
                        name.value
                    ),
                )
                .help("add `path: /where/it/connects`"));
        }
        self.actors.insert(
            name.value.clone(),
            Known {
                client,
                user: None,
                connected: false,
                raw: false,
            },
        );
        // After the actor is known, or every use of it would be a mistake too.
        let user = self.engage(name, connection)?;
        if let Some(known) = self.actors.get_mut(&name.value) {
            known.user = user;
        }
        Ok(())
    }

    /// A name for whichever of several connections is left: whose user it is, theirs say.
    pub(super) fn leave_over(&mut self, name: &Spanned<String>) -> Read<()> {
        if self.actors.contains_key(&name.value) {
            let message = format!("`{}` is another actor's name", name.value);
            return Err(self.at("duplicate-actor", name.span, message));
        }
        let known = Known {
            client: Some(Client::Judge),
            user: None,
            connected: true,
            raw: false,
        };
        self.actors.insert(name.value.clone(), known);
        Ok(())
    }

    /// The same for actors made on the spot.
    fn raw_clients(&self, steps: &mut [Step]) {
        let is_raw = |name: &str| self.actors.get(name).is_some_and(|known| known.raw);
        for step in steps {
            match &mut step.action {
                Action::ConnectAs {
                    actor, connection, ..
                } if is_raw(actor) && connection.client == Client::Judge => {
                    connection.client = Client::Raw;
                }
                Action::Interleave { lanes, .. } => {
                    lanes.iter_mut().for_each(|(_, steps)| self.raw_clients(steps));
                }
                Action::Table(table) => self.raw_clients(&mut table.each),
                _ => {}
            }
        }
    }

    /// The actor is known, and it is connected.
    pub(super) fn speaks(&self, actor: &ActorName) -> Read<()> {
        match self.actors.get(&actor.value) {
            Some(known) if known.connected => Ok(()),
            Some(_) => Err(self
                .at(
                    "not-connected",
                    actor.span,
                    format!("`{}` is not connected here", actor.value),
                )
                .help(format!("write `- connect: {}` before", actor.value))),
            None => Err(self.unknown_actor(actor)),
        }
    }

    pub(super) fn unknown_actor(&self, actor: &ActorName) -> Diag {
        let diag = self.at(
            "unknown-actor",
            actor.span,
            format!("there is no actor `{}`", actor.value),
        );
        if self.actors.is_empty() {
            return diag.help(format!(
                "declare it: `actors: {{{0}: {{}}}}`, or make it on the spot: `- connect: {{as: {0}}}`",
                actor.value
            ));
        }
        diag.suggest(&actor.value, self.actors.keys().map(String::as_str))
    }

    pub(super) fn connect(&mut self, actor: &ActorName) {
        if let Some(known) = self.actors.get_mut(&actor.value) {
            known.connected = true;
        }
    }

    /// Connected actors: one or a list.
    pub(super) fn several(&mut self, node: &Node) -> Read<Vec<ActorName>> {
        let actors = self.strings(node)?;
        if actors.is_empty() {
            return Err(self.expected(node, "an actor or several"));
        }
        actors.iter().try_for_each(|actor| self.speaks(actor))?;
        Ok(actors)
    }

    /// The actor sends what only the raw client can send.
    pub(super) fn needs_raw(&mut self, actor: &ActorName) -> Read<()> {
        let Some(known) = self.actors.get_mut(&actor.value) else {
            return Err(self.unknown_actor(actor));
        };
        if known.client == Some(crate::scenario::Client::Judge) {
            return Err(self
                .at(
                    "needs-raw",
                    actor.span,
                    format!("`{}` is driven by the well-behaved client", actor.value),
                )
                .help("take `client: judge` out: frames by hand need the raw one"));
        }
        known.raw = true;
        Ok(())
    }
}
