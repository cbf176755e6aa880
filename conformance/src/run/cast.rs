//! Who takes part in a trial: users, channels and tenants of its own, made before the first step, and their tokens.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use touchstone_protocol::Dialect;
use touchstone_protocol::routes::{CHANNEL_SEGMENT, USER_SEGMENT};
use touchstone_scenarios::cast::{CastUser, DEFAULT_CHANNEL, TENANT};
use touchstone_scenarios::scenario::{Action, Bearer, Connection, Step, Template};
use touchstone_scenarios::source::Span;
use touchstone_sut::{ChannelWanted, People, ProvisionError, TokenKind, TokenWanted, User, UserWanted};

use super::trial::{Flow, Halt, Trial};
use crate::matching::text_of;

/// Those who take part.
#[derive(Debug, Default)]
pub(crate) struct Cast {
    users: BTreeMap<String, User>,
    channels: BTreeMap<String, Value>,
    /// Texts that no report may show, with what it shows in their place.
    pub(super) secrets: Vec<(String, String)>,
    /// Users of a list are the case's own as long as this is.
    people: Vec<People>,
}

/// What a connection or a request shows to say who it is.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    /// No token at all.
    Nothing,
    /// This text.
    Text(String),
    /// A token of a user: the connection's own, or this one.
    Token { of: Option<String>, wanted: TokenWanted },
}

impl Cast {
    /// The user of this name.
    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Whether this is the id of one of them. Ids are compared without case: one dialect writes them in hex.
    pub(crate) fn has_id(&self, id: &Value) -> bool {
        let text = |id: &Value| text_of(id.clone()).to_lowercase();
        let wanted = text(id);
        let mut ids = self.users.values().filter_map(|user| user.fields.get("id"));
        ids.any(|id| text(id) == wanted)
    }

    fn channel_id(&self, name: &str) -> Option<Value> {
        self.channels.get(name)?.get("id").cloned()
    }

    /// For whom a message is, as a target's back door wants it: the audience, and their ids.
    pub(crate) fn audience(&self, to: Value) -> (&'static str, Value) {
        let id_of = |name: &str| {
            self.users
                .get(name)
                .and_then(|user| user.fields.get("id"))
                .cloned()
        };
        match to {
            Value::Array(names) => {
                let id = |name: Value| name.as_str().and_then(id_of).unwrap_or(name);
                ("users", names.into_iter().map(id).collect())
            }
            Value::String(name) if name == "all" => ("all", Value::String(name)),
            Value::String(name) => match (id_of(&name), self.channel_id(&name)) {
                (Some(id), _) => ("user", id),
                (None, Some(id)) => ("channel", id),
                (None, None) => self.audience_of_id(Value::String(name)),
            },
            id => self.audience_of_id(id),
        }
    }

    /// The schema name of the tenant in which these are; null where there is none.
    pub(crate) fn tenant_of(&self, to: &Value) -> Value {
        let name = match to {
            Value::Array(names) => names.first().and_then(Value::as_str),
            one => one.as_str(),
        };
        let of_user = name
            .and_then(|name| self.users.get(name))
            .map(|user| &user.tenant);
        let of_channel = name.and_then(|name| self.channels.get(name)?.get("tenant"));
        let first = self
            .users
            .values()
            .map(|user| &user.tenant)
            .find(|tenant| !tenant.is_null());
        let tenant = of_user.or(of_channel).or(first);
        tenant
            .and_then(|tenant| tenant.get("schema_name"))
            .cloned()
            .unwrap_or_default()
    }

    fn audience_of_id(&self, id: Value) -> (&'static str, Value) {
        let is_channel = self
            .channels
            .values()
            .any(|channel| channel.get("id") == Some(&id));
        (if is_channel { "channel" } else { "user" }, id)
    }
}

impl Trial<'_> {
    /// Makes all who take part, by one request of each kind, and binds their names.
    pub(super) async fn provision(&mut self) -> Flow {
        let scenario = self.scenario();
        let mut by_dialect: BTreeMap<Dialect, Vec<&CastUser>> = BTreeMap::new();
        for user in &scenario.cast.users {
            let dialect = user.dialect.or(self.case.dialect);
            if let Some(dialect) = dialect.filter(|dialect| dialect.has_tokens()) {
                by_dialect.entry(dialect).or_default().push(user);
            }
        }
        for (dialect, users) in by_dialect {
            self.provision_in(dialect, &users).await?;
        }
        Ok(())
    }

    async fn provision_in(&mut self, dialect: Dialect, users: &[&CastUser]) -> Flow {
        let sut = &self.bench.sut;
        let tenants = self.make_tenants(dialect).await?;
        let wanted = users
            .iter()
            .map(|user| self.user_wanted(user, &tenants))
            .collect::<Result<_, _>>()?;
        let people = sut
            .make_users(dialect, wanted)
            .await
            .map_err(|error| impossible(&error))?;
        for (user, made) in users.iter().zip(&people.users) {
            let name = user.name.value.as_str();
            let token = sut
                .token(made, &TokenWanted::default())
                .await
                .map_err(|error| impossible(&error))?;
            self.cast.secrets.push((token.clone(), format!("<token {name}>")));
            if let Some(password) = made.fields.get("password").and_then(Value::as_str) {
                self.cast
                    .secrets
                    .push((password.to_owned(), format!("<password {name}>")));
            }
            let mut value = made.value();
            value["token"] = token.into();
            self.bind(name, value);
            self.cast.users.insert(name.to_owned(), made.clone());
        }
        // A target that has no tenants to make may have users who bring theirs.
        let first = people
            .users
            .first()
            .map(|user| user.tenant.clone())
            .unwrap_or_default();
        let mut all = tenants
            .get("")
            .filter(|tenant| !tenant.is_null())
            .cloned()
            .unwrap_or(first);
        if let Value::Object(fields) = &mut all {
            let named = tenants.iter().filter(|(name, _)| !name.is_empty());
            fields.extend(named.map(|(name, tenant)| (name.clone(), tenant.clone())));
        }
        self.bind(TENANT, all);
        self.cast.people.push(people);
        if self.case.dialect == Some(dialect) {
            self.make_channels(dialect, &tenants).await?;
        }
        Ok(())
    }

    /// The tenants by name, the first without one. Where the dialect has none, neither has the case.
    async fn make_tenants(&self, dialect: Dialect) -> Result<BTreeMap<String, Value>, Halt> {
        if !self.habits(Some(dialect)).is_some_and(|habits| habits.tenants) {
            return Ok(BTreeMap::new());
        }
        let names: Vec<String> = std::iter::once("")
            .chain(self.scenario().cast.tenants())
            .map(str::to_owned)
            .collect();
        let wanted = |name: &String| {
            let schema = format!("t{}{}", self.mark_of_case(), name.to_lowercase());
            Map::from_iter([
                ("name".to_owned(), format!("Tenant {schema}").into()),
                ("schema_name".to_owned(), schema.into()),
            ])
        };
        let wanted = names.iter().map(wanted).collect();
        let made = self.bench.sut.make_tenants(dialect, wanted).await;
        let made = made.map_err(|error| impossible(&error))?;
        Ok(names.into_iter().zip(made).collect())
    }

    fn user_wanted(&self, user: &CastUser, tenants: &BTreeMap<String, Value>) -> Result<UserWanted, Halt> {
        let name = user.name.value.as_str();
        let username = format!("{name}-{}", self.mark_of_case());
        let mut fields = Map::from_iter([
            ("email".to_owned(), format!("{username}@example.test").into()),
            (
                "password".to_owned(),
                format!("pass-{}", self.unique_id(&format!("password.{name}"))).into(),
            ),
            ("name".to_owned(), username.clone().into()),
            ("username".to_owned(), username.into()),
        ]);
        for (key, template) in &user.fields {
            fields.insert(key.clone(), self.resolve(template)?);
        }
        let tenant = user.tenant.as_ref().map_or("", |tenant| tenant.value.as_str());
        Ok(UserWanted {
            fields,
            password: user.password,
            tenant: tenants.get(tenant).cloned().unwrap_or_default(),
        })
    }

    async fn make_channels(&mut self, dialect: Dialect, tenants: &BTreeMap<String, Value>) -> Flow {
        let cast = &self.scenario().cast;
        let tenant_of =
            |name: Option<&str>| tenants.get(name.unwrap_or_default()).cloned().unwrap_or_default();
        let mut names = Vec::new();
        let mut wanted = Vec::new();
        for channel in &cast.channels {
            let mut fields = Map::from_iter([("name".to_owned(), self.title(&channel.name.value))]);
            for (key, template) in &channel.fields {
                fields.insert(key.clone(), self.resolve(template)?);
            }
            let members = channel
                .members
                .iter()
                .filter_map(|member| self.cast.user(&member.value));
            names.push(channel.name.value.clone());
            wanted.push(ChannelWanted {
                fields,
                members: members.cloned().collect(),
                tenant: tenant_of(channel.tenant.as_ref().map(|tenant| tenant.value.as_str())),
            });
        }
        if self.needs_default_channel(dialect) {
            let first = |user: &&CastUser| user.tenant.is_none();
            let members = cast
                .users
                .iter()
                .filter(first)
                .filter_map(|user| self.cast.user(&user.name.value));
            names.push(DEFAULT_CHANNEL.to_owned());
            wanted.push(ChannelWanted {
                fields: Map::from_iter([("name".to_owned(), self.title(DEFAULT_CHANNEL))]),
                members: members.cloned().collect(),
                tenant: tenant_of(None),
            });
        }
        let made = self.bench.sut.make_channels(dialect, wanted).await;
        for (name, channel) in names.into_iter().zip(made.map_err(|error| impossible(&error))?) {
            self.bind(&name, channel.clone());
            self.cast.channels.insert(name, channel);
        }
        Ok(())
    }

    fn title(&self, name: &str) -> Value {
        format!("{name} {}", self.mark_of_case()).into()
    }

    /// Somebody connects to a channel and does not say to which.
    fn needs_default_channel(&self, dialect: Dialect) -> bool {
        let scenario = self.scenario();
        let has_segment = self
            .bench
            .sut
            .target()
            .websocket_path(dialect)
            .contains(CHANNEL_SEGMENT);
        let declared = scenario.cast.channel(DEFAULT_CHANNEL).is_some();
        let unsaid = |connection: &Connection| connection.channel.is_none() && connection.path.is_none();
        let actor = scenario.actors.iter().any(|actor| unsaid(&actor.connection));
        has_segment
            && !declared
            && (actor || made_on_the_spot(&scenario.given) || made_on_the_spot(&scenario.steps))
    }

    /// Where a connection of the dialect goes: its path with channel and user in their places.
    pub(super) fn path_of(&self, dialect: Dialect, name: &str, wanted: &Connection) -> Result<String, Halt> {
        let target = self.bench.sut.target();
        if let Some(path) = &wanted.path {
            return Ok(target.websocket_path_like(dialect, &text_of(self.resolve(path)?)));
        }
        let mut path = target.websocket_path(dialect);
        if path.contains(CHANNEL_SEGMENT) {
            let channel = match &wanted.channel {
                Some(channel) => self.resolve(channel)?,
                None => DEFAULT_CHANNEL.into(),
            };
            let id = channel
                .as_str()
                .and_then(|name| self.cast.channel_id(name))
                .unwrap_or(channel);
            path = path.replace(CHANNEL_SEGMENT, &encoded(&text_of(id)));
        }
        if path.contains(USER_SEGMENT) {
            let user = self.cast.user(user_of(name, wanted));
            let id = user
                .and_then(|user| user.fields.get("id").cloned())
                .unwrap_or_default();
            path = path.replace(USER_SEGMENT, &encoded(&text_of(id)));
        }
        Ok(path)
    }

    /// The token that a connection shows; `None` for none.
    pub(super) async fn token_of(
        &mut self,
        name: &str,
        wanted: &Connection,
        span: Span,
    ) -> Result<Option<String>, Halt> {
        let user = user_of(name, wanted).to_owned();
        self.shown_by(&user, wanted.token.as_ref(), span).await
    }

    /// The token that a request carries.
    pub(super) async fn token_of_bearer(&mut self, bearer: &Bearer) -> Result<Option<String>, Halt> {
        self.shown_by(&bearer.user.value, bearer.token.as_ref(), bearer.user.span)
            .await
    }

    async fn shown_by(
        &mut self,
        user: &str,
        token: Option<&Template>,
        span: Span,
    ) -> Result<Option<String>, Halt> {
        let shown = match token {
            None => Shown::Token {
                of: None,
                wanted: TokenWanted::default(),
            },
            Some(template) => {
                let value = self.resolve(template)?;
                shown(&value).ok_or_else(|| self.broken(template.span, &format!("`{value}` is no token")))?
            }
        };
        match shown {
            Shown::Nothing => Ok(None),
            Shown::Text(text) => Ok(Some(text)),
            Shown::Token { of, wanted } => {
                let name = of.as_deref().unwrap_or(user);
                let known = self.cast.user(name).cloned();
                let owner =
                    known.ok_or_else(|| self.broken(span, &format!("`{name}` has no account here")))?;
                let token = self.bench.sut.token(&owner, &wanted).await;
                let token = token.map_err(|error| impossible(&error))?;
                self.cast.secrets.push((token.clone(), format!("<token {name}>")));
                Ok(Some(token))
            }
        }
    }
}

/// The user whose connection it is.
pub(super) fn user_of<'n>(name: &'n str, wanted: &'n Connection) -> &'n str {
    wanted.user.as_ref().map_or(name, |user| user.value.as_str())
}

/// What cannot be made: a reason to skip the case, or one why it could not run.
pub(super) fn impossible(error: &ProvisionError) -> Halt {
    match error {
        ProvisionError::Missing(_) => {
            Halt::Skipped(format!("{error}; its target file can say how to reach it"))
        }
        ProvisionError::Failed(error) => Halt::CouldNotRun(error.to_string()),
    }
}

fn made_on_the_spot(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.action {
        Action::ConnectAs { connection, .. } => connection.channel.is_none() && connection.path.is_none(),
        Action::Handshake { request, .. } => request.target.is_none(),
        Action::Interleave { lanes, .. } => lanes.iter().any(|(_, steps)| made_on_the_spot(steps)),
        Action::Table(table) => made_on_the_spot(&table.each),
        _ => false,
    })
}

/// A token as a scenario writes it, its variables put in.
fn shown(value: &Value) -> Option<Shown> {
    if let Value::String(text) = value {
        let ordinary = |kind| Shown::Token {
            of: None,
            wanted: TokenWanted {
                kind,
                claims: Map::new(),
            },
        };
        return Some(match text.as_str() {
            "missing" => Shown::Nothing,
            word => kind_named(word).map_or_else(|| Shown::Text(text.clone()), ordinary),
        });
    }
    let fields = value.as_object()?;
    if let Some(raw) = fields.get("raw") {
        return Some(Shown::Text(text_of(raw.clone())));
    }
    let kind = match fields.get("kind").map(|kind| kind.as_str().unwrap_or_default()) {
        Some("missing") => return Some(Shown::Nothing),
        Some(word) => kind_named(word)?,
        None => TokenKind::Valid,
    };
    let claims = fields
        .get("claims")
        .map_or(Some(Map::new()), |claims| claims.as_object().cloned());
    Some(Shown::Token {
        of: fields.get("of").and_then(Value::as_str).map(str::to_owned),
        wanted: TokenWanted {
            kind,
            claims: claims?,
        },
    })
}

/// Three parts, the first of them JSON in base64url.
pub(super) fn looks_like_a_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

fn kind_named(word: &str) -> Option<TokenKind> {
    Some(match word {
        "valid" => TokenKind::Valid,
        "expired" => TokenKind::Expired,
        "wrong_key" => TokenKind::WrongKey,
        "none" => TokenKind::Unsigned,
        "other_algorithm" => TokenKind::OtherAlgorithm,
        _ => return None,
    })
}

/// A segment of a path: everything but unreserved characters percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_a_word_a_mapping_or_a_text() {
        let token = |of: Option<&str>, kind, claims: Value| {
            Some(Shown::Token {
                of: of.map(str::to_owned),
                wanted: TokenWanted {
                    kind,
                    claims: claims.as_object().unwrap().clone(),
                },
            })
        };
        for (written, meant) in [
            (json!("valid"), token(None, TokenKind::Valid, json!({}))),
            (json!("none"), token(None, TokenKind::Unsigned, json!({}))),
            (json!("missing"), Some(Shown::Nothing)),
            (json!({"kind": "missing"}), Some(Shown::Nothing)),
            (json!("a.b.c"), Some(Shown::Text("a.b.c".into()))),
            (json!({"raw": "valid"}), Some(Shown::Text("valid".into()))),
            (
                json!({"of": "bob"}),
                token(Some("bob"), TokenKind::Valid, json!({})),
            ),
            (
                json!({"kind": "expired", "claims": {"id": null}}),
                token(None, TokenKind::Expired, json!({"id": null})),
            ),
            (json!({"kind": "odd"}), None),
            (json!({"claims": 7}), None),
            (json!(7), None),
        ] {
            assert_eq!(shown(&written), meant, "{written}");
        }
    }

    #[test]
    fn what_a_login_gives_out_is_known_for_a_token() {
        assert!(looks_like_a_token("eyJhbGciOiJub25lIn0.e30."));
        assert!(!looks_like_a_token("eyJhbGciOiJub25lIn0") && !looks_like_a_token("1.2.3"));
    }

    #[test]
    fn whatever_a_channel_is_called_it_is_one_segment() {
        assert_eq!(encoded("a/b?c d-1"), "a%2Fb%3Fc%20d-1");
    }
}
