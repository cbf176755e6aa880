//! Who takes part besides connections: users, channels, tenants, and the tokens that they show.

use touchstone_protocol::Dialect;

use crate::cast::{Bearer, Cast, CastChannel, CastUser, DEFAULT_CHANNEL, Password, TENANT};
use crate::read::{BUILTIN_VARIABLES, Fields, Read, Reader, keys};
use crate::scenario::{Action, Connection, Scope, Template};
use crate::source::Spanned;
use crate::yaml::{Kind, Node};

/// What can be said of a user: `${ann.id}`.
const USER_FIELDS: &[&str] = &["id", "username", "email", "password", "name", "token", "tenant"];
/// What can be said of a channel or a tenant.
const PLACE_FIELDS: &[&str] = &["id", "name", "schema_name"];

impl Reader<'_> {
    /// Whether anybody here has an account: not on `echo`, nor where there is no dialect.
    pub(super) fn has_users(&self, own: Option<Dialect>) -> bool {
        match (own, &self.scope) {
            (Some(dialect), _) => dialect.has_tokens(),
            (None, Scope::One(dialect)) => dialect.has_tokens(),
            (None, Scope::Each(dialects)) => dialects.iter().any(|dialect| dialect.has_tokens()),
            (None, Scope::First) => true,
            (None, Scope::None) => false,
        }
    }

    /// Whether nothing shows here that a newcomer is in.
    pub(super) fn greets_nobody(&self) -> bool {
        let Scope::One(dialect) = &self.scope else {
            return self.scope == Scope::None;
        };
        let folder = self.rules.dialect(*dialect);
        folder.is_none_or(|folder| folder.habits.greeting.is_empty() && folder.habits.sounding.is_none())
    }

    /// The keys of a connection that say whose it is.
    pub(super) fn identity(&mut self, fields: &mut Fields<'_>) -> Read<Connection> {
        let dialect = fields
            .take("dialect")
            .map(|(_, node)| self.dialect(node))
            .transpose()?;
        let nobody = !self.has_users(dialect);
        let mut taken = |reader: &Self, key: &'static str| match fields.take(key) {
            Some((name, _)) if nobody => Err(reader
                .at(
                    "no-users",
                    name.span,
                    format!("`{key}` has no meaning here: nobody has an account"),
                )
                .help("users, tokens, channels and tenants belong to rooms, outbox, feed and direct")),
            other => Ok(other.map(|(_, node)| node)),
        };
        let user = taken(self, "user")?;
        let token = taken(self, "token")?;
        let channel = taken(self, "channel")?;
        let tenant = taken(self, "tenant")?;
        Ok(Connection {
            dialect,
            user: user.map(|node| self.spanned(node)).transpose()?,
            token: token.map(|node| self.token(node)).transpose()?,
            channel: channel.map(|node| self.template(node)).transpose()?,
            tenant: tenant.map(|node| self.spanned(node)).transpose()?,
            ..Connection::default()
        })
    }

    /// A token: a word, a mapping, or a text that is sent as it stands.
    pub(super) fn token(&mut self, node: &Node) -> Read<Template> {
        match &node.kind {
            Kind::String(text) => {
                let looks_like_a_word = !text.is_empty()
                    && text
                        .chars()
                        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
                if looks_like_a_word && !keys::TOKEN_KINDS.contains(&text.as_str()) {
                    return Err(self
                        .wrong("unknown-value", node, format!("unknown kind of token `{text}`"))
                        .suggest(text, keys::TOKEN_KINDS.iter().copied())
                        .help(format!(
                            "one of {}; a text that is sent as it stands is written {{raw: {text}}}",
                            keys::TOKEN_KINDS.join(", ")
                        )));
                }
            }
            Kind::Map(_) => self.check_token_mapping(node)?,
            _ => {
                return Err(self
                    .expected(node, "a token")
                    .help("write for example expired, {claims: {exp: null}} or {raw: …}"));
            }
        }
        self.template(node)
    }

    fn check_token_mapping(&mut self, node: &Node) -> Read<()> {
        let mut fields = Fields::of(self, node, "a token")?;
        fields.announce(keys::TOKEN);
        let raw = fields.take("raw");
        let of = fields.take("of").map(|(_, node)| node);
        let kind = fields.take("kind").map(|(_, node)| node);
        let claims = fields.take("claims").map(|(_, node)| node);
        fields.finish(self)?;
        if let Some(of) = of {
            let name = self.spanned(of)?;
            self.person(&name)?;
        }
        if let Some(kind) = kind {
            let words: Vec<(&str, ())> = keys::TOKEN_KINDS.iter().map(|word| (*word, ())).collect();
            self.word(kind, &words)?;
        }
        if let Some(claims) = claims {
            self.map(claims)?;
        }
        match (raw, of.or(kind).or(claims)) {
            (Some((key, _)), Some(_)) => Err(self.at(
                "contradiction",
                key.span,
                "`raw` is the whole token: nothing stands beside it",
            )),
            (None, None) => Err(self.wrong("empty", node, "nothing is said of the token")),
            _ => Ok(()),
        }
    }

    /// The user whom a name means: a user's own, or that of an actor.
    pub(super) fn person(&self, name: &Spanned<String>) -> Read<Spanned<String>> {
        if self.cast.user(&name.value).is_some() {
            return Ok(name.clone());
        }
        match self.actors.get(&name.value).and_then(|known| known.user.clone()) {
            Some(user) => Ok(Spanned {
                value: user,
                span: name.span,
            }),
            None => Err(self
                .at(
                    "unknown-user",
                    name.span,
                    format!("there is no user `{}`", name.value),
                )
                .suggest(
                    &name.value,
                    self.cast.users.iter().map(|user| user.name.value.as_str()),
                )),
        }
    }

    pub(super) fn person_at(&self, node: &Node) -> Read<Spanned<String>> {
        let name = self.spanned(node)?;
        self.person(&name)
    }

    /// The user of an actor takes part from here on.
    pub(super) fn engage(
        &mut self,
        actor: &Spanned<String>,
        connection: &Connection,
    ) -> Read<Option<String>> {
        if !self.has_users(connection.dialect) {
            return Ok(None);
        }
        let name = connection.user.as_ref().unwrap_or(actor).clone();
        self.add_user(CastUser {
            name: name.clone(),
            dialect: connection.dialect,
            tenant: connection.tenant.clone(),
            fields: Vec::new(),
            password: Password::default(),
        })?;
        Ok(Some(name.value))
    }

    fn add_user(&mut self, user: CastUser) -> Read<()> {
        let Some(known) = self
            .cast
            .users
            .iter_mut()
            .find(|known| known.name.value == user.name.value)
        else {
            self.name_variable(&user.name)?;
            self.cast.users.push(user);
            return Ok(());
        };
        let other = |left: &Option<Spanned<String>>, right: &Option<Spanned<String>>| matches!((left, right), (Some(left), Some(right)) if left.value != right.value);
        if other(&known.tenant, &user.tenant) || (known.dialect != user.dialect && known.fields.is_empty()) {
            let message = format!(
                "`{}` is in two places: one person has one tenant and one dialect",
                user.name.value
            );
            return Err(self
                .at("contradiction", user.name.span, message)
                .help("give the second one a name of its own"));
        }
        known.tenant = known.tenant.take().or(user.tenant);
        known.dialect = known.dialect.or(user.dialect);
        known.fields.extend(user.fields);
        Ok(())
    }

    /// `users: [ann, {as: bob, name: Bob}]`.
    pub(super) fn users(&mut self, node: &Node) -> Read<Action> {
        self.need_users(node, "users")?;
        let items = match &node.kind {
            Kind::List(items) if !items.is_empty() => items.as_slice(),
            Kind::String(_) | Kind::Map(_) => std::slice::from_ref(node),
            _ => return Err(self.expected(node, "a user or several")),
        };
        for item in items {
            let user = match &item.kind {
                Kind::Map(_) => {
                    let mut fields = Fields::of(self, item, "a user")?;
                    fields.announce(keys::USER);
                    let name = fields.require(self, "as").and_then(|node| self.spanned(node))?;
                    let tenant = fields
                        .take("tenant")
                        .map(|(_, node)| self.spanned(node))
                        .transpose()?;
                    CastUser {
                        name,
                        dialect: None,
                        tenant,
                        fields: self.said(
                            &mut fields,
                            &["id", "username", "email", "password", "name", "avatar"],
                        )?,
                        password: Password::default(),
                    }
                }
                _ => CastUser {
                    name: self.spanned(item)?,
                    dialect: None,
                    tenant: None,
                    fields: Vec::new(),
                    password: Password::default(),
                },
            };
            self.add_user(user)?;
        }
        Ok(Action::Introduce)
    }

    /// `channel: {as: room, members: [alice, bob]}`.
    pub(super) fn channel(&mut self, node: &Node) -> Read<Action> {
        self.need_users(node, "channel")?;
        let mut fields = Fields::of(self, node, "a channel")?;
        fields.announce(keys::CHANNEL);
        let name = fields.require(self, "as").and_then(|node| self.spanned(node))?;
        let members = fields
            .require(self, "members")
            .and_then(|node| self.strings(node))?;
        let members = members
            .iter()
            .map(|member| self.person(member))
            .collect::<Read<_>>()?;
        let tenant = fields
            .take("tenant")
            .map(|(_, node)| self.spanned(node))
            .transpose()?;
        let said = self.said(&mut fields, &["id", "name"])?;
        if self.cast.channel(&name.value).is_some() {
            return Err(self.at(
                "duplicate-channel",
                name.span,
                format!("`{}` is there twice", name.value),
            ));
        }
        if name.value != DEFAULT_CHANNEL {
            self.name_variable(&name)?;
        }
        self.cast.channels.push(CastChannel {
            name,
            members,
            tenant,
            fields: said,
        });
        Ok(Action::Introduce)
    }

    /// The rest of the fields, as templates.
    fn said(&mut self, fields: &mut Fields<'_>, keys: &[&'static str]) -> Read<Vec<(String, Template)>> {
        let mut said = Vec::new();
        for key in keys {
            if let Some((name, node)) = fields.take(key) {
                said.push((name.value.clone(), self.template(node)?));
            }
        }
        let rest = Fields::from_entries(crate::source::Span::default(), fields.rest(), "this");
        rest.finish(self)?;
        Ok(said)
    }

    fn need_users(&self, node: &Node, verb: &str) -> Read<()> {
        if self.has_users(None) {
            return Ok(());
        }
        Err(self
            .wrong(
                "no-users",
                node,
                format!("`{verb}` has no meaning here: nobody has an account"),
            )
            .help("users and channels belong to rooms, outbox, feed and direct"))
    }

    /// Users and channels are variables.
    fn name_variable(&mut self, name: &Spanned<String>) -> Read<()> {
        let plain = crate::template::is_name(name) && !name.contains('.');
        if !plain {
            return Err(self
                .at(
                    "bad-name",
                    name.span,
                    format!("`{}` cannot be a name", name.value),
                )
                .help("use letters, digits and `_`, and begin with a letter"));
        }
        if BUILTIN_VARIABLES.contains(&name.value.as_str()) || self.variables.contains(&name.value) {
            return Err(self
                .at(
                    "bad-name",
                    name.span,
                    format!("`{}` is a variable already", name.value),
                )
                .help("choose another name"));
        }
        Ok(())
    }

    /// Whether a variable is something of a user, a channel or a tenant.
    pub(super) fn is_of_cast(&self, first: &str, rest: &str) -> bool {
        let field = rest.split('.').next().unwrap_or_default();
        if first == TENANT && self.has_users(None) {
            let named = self.cast.tenants().contains(&field);
            return PLACE_FIELDS.contains(&field)
                || (named
                    && rest
                        .split('.')
                        .nth(1)
                        .is_some_and(|field| PLACE_FIELDS.contains(&field)));
        }
        if first == DEFAULT_CHANNEL && self.has_users(None) {
            return PLACE_FIELDS.contains(&field);
        }
        let user = self.cast.user(first).is_some() && USER_FIELDS.contains(&field);
        user || (self.cast.channel(first).is_some() && PLACE_FIELDS.contains(&field))
    }

    /// All who take part, and whose passwords are used.
    pub(super) fn whole_cast(&self) -> Cast {
        let mut cast = self.cast.clone();
        let used = self.passwords.borrow();
        for user in &mut cast.users {
            let said = user.fields.iter().any(|(key, _)| key == "password");
            if said || used.contains(&user.name.value) {
                user.password = Password::Used;
            }
        }
        cast
    }

    /// `as: ann`, or `as: {user: ann, token: expired}`.
    pub(super) fn bearer(&mut self, node: &Node) -> Read<Bearer> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Ok(Bearer {
                user: self.person_at(node)?,
                token: None,
            });
        }
        let mut fields = Fields::of(self, node, "`as`")?;
        fields.announce(keys::BEARER);
        let user = fields
            .require(self, "user")
            .and_then(|node| self.person_at(node))?;
        let token = fields
            .take("token")
            .map(|(_, node)| self.token(node))
            .transpose()?;
        fields.finish(self)?;
        Ok(Bearer { user, token })
    }

    /// Channels that actors name have to be there, which only the whole file shows.
    pub(super) fn check_channels(&mut self, scenario: &crate::scenario::Scenario) {
        for actor in &scenario.actors {
            let Some(channel) = &actor.connection.channel else {
                continue;
            };
            let Some(name) = channel.value.as_str() else {
                continue;
            };
            let named = crate::template::is_name(name) && !name.contains("${");
            if named && name != DEFAULT_CHANNEL && self.cast.channel(name).is_none() {
                let diag = self
                    .at(
                        "unknown-channel",
                        channel.span,
                        format!("there is no channel `{name}`"),
                    )
                    .help(format!(
                        "make it in `given`: `- channel: {{as: {name}, members: [{}]}}`",
                        actor.name.value
                    ));
                self.diags.push(diag);
            }
        }
    }
}
