//! What is done to a running system beside its WebSockets: messages made by its back door, faults, requests and commands of
//! the target file. What an operator does is in `operator`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use http::{HeaderValue, Method, header};
use serde_json::{Map, Value};
use tokio::process::Command;
use tokio::time::timeout;
use touchstone_protocol::Dialect;
use touchstone_scenarios::template::Template;

use crate::accounts::{AdminKey, UsersBy};
use crate::file::{FileCall, FileText, FileWay};
use crate::http::{CallError, HttpRequest, HttpResponse};
use crate::people::{ProvisionError, User};
use crate::shown::shown;
use crate::sut::Sut;
use crate::target::{self, SPAWN_DEADLINE};

/// A message that the server is made to emit.
#[derive(Debug, Clone)]
pub struct Injection {
    /// Who is told: `user`, `users`, `channel` or `all`.
    pub audience: &'static str,
    /// Their id or ids.
    pub to: Value,
    /// The message's type.
    pub kind: String,
    /// Its data.
    pub data: Value,
    /// For when it is scheduled, RFC 3339; null for now.
    pub scheduled_at: Value,
    /// The schema name of the tenant; null where there are none.
    pub tenant: Value,
}

/// What is filled into a request or a command, by name.
pub(crate) type Variables<'a> = [(&'a str, Value)];

/// A request as the target file writes it.
struct Asked<'a> {
    method: Method,
    path: &'a str,
    headers: &'a BTreeMap<String, FileText>,
    json: &'a Value,
}

impl Sut {
    /// Makes the server emit a message of its own, by the way the target names.
    ///
    /// # Errors
    /// The target names no way for this audience, or it failed.
    pub async fn inject(&self, dialect: Dialect, injection: &Injection) -> Result<(), ProvisionError> {
        let (key, call) = self.way_to_inject(dialect, injection.audience)?;
        let schedules = call.json.to_string().contains("${scheduled_at}") || !call.command.is_empty();
        if !injection.scheduled_at.is_null() && !schedules {
            return Err(ProvisionError::Missing(format!("{key} with ${{scheduled_at}}")));
        }
        Ok(self
            .call(&key, call, Some(dialect), &injection.variables())
            .await?)
    }

    fn way_to_inject(
        &self,
        dialect: Dialect,
        audience: &'static str,
    ) -> Result<(String, &FileCall), ProvisionError> {
        let key = format!("inject.{}.{audience}", dialect.name());
        let ways = self.target().inject.get(dialect.name());
        match ways.and_then(|ways| ways.get(audience)) {
            Some(call) => Ok((key, call)),
            None => Err(ProvisionError::Missing(key)),
        }
    }

    /// The request that makes the server emit a message of its own, with all its headers, for a caller who sends it by a
    /// connection of his own; `None` where a program does it.
    ///
    /// # Errors
    /// The target names no way for this audience, or a variable in it stands for nothing.
    pub fn injection_request(
        &self,
        dialect: Dialect,
        injection: &Injection,
    ) -> Result<Option<HttpRequest>, ProvisionError> {
        let (key, call) = self.way_to_inject(dialect, injection.audience)?;
        let Some(asked) = asked_by(&key, call)? else {
            return Ok(None);
        };
        let mut request = self.request_of(&key, asked, Some(dialect), &injection.variables())?;
        for (name, value) in self.target().headers_for(Some(dialect)) {
            request.headers.entry(name).or_insert_with(|| value.clone());
        }
        Ok(Some(request))
    }

    /// Makes the server's store fail for a time; no time at all ends a failure.
    ///
    /// # Errors
    /// The target names no way, or it failed.
    pub async fn break_store(&self, mode: &str, lasting: Duration) -> Result<(), CallError> {
        let variables = [
            ("mode", mode.into()),
            ("for", format!("{}ms", lasting.as_millis()).into()),
            ("seconds", lasting.as_secs_f64().into()),
        ];
        self.fault("store", &variables).await
    }

    /// Makes the next `times` calls of a handler fail.
    ///
    /// # Errors
    /// The target names no way, or it failed.
    pub async fn break_handler(&self, times: u32) -> Result<(), CallError> {
        self.fault("handler", &[("times", times.into())]).await
    }

    async fn fault(&self, kind: &str, variables: &Variables<'_>) -> Result<(), CallError> {
        let key = format!("faults.{kind}");
        let call = self.target().faults.get(kind);
        let call = call.ok_or_else(|| CallError::Target(format!("the target file says no `{key}`")))?;
        self.call(&key, call, None, variables).await
    }

    /// Makes the request or runs the program that the target file names.
    pub(crate) async fn call(
        &self,
        key: &str,
        call: &FileCall,
        dialect: Option<Dialect>,
        variables: &Variables<'_>,
    ) -> Result<(), CallError> {
        let Some(asked) = asked_by(key, call)? else {
            return self.command(key, &call.command, variables).await.map(drop);
        };
        let response = self.ask_of(key, asked, dialect, variables).await?;
        succeeded(key, &response)
    }

    /// Makes a request as the target file writes it. A status of any kind is an answer.
    pub(crate) async fn ask(
        &self,
        key: &str,
        way: &FileWay,
        dialect: Dialect,
        variables: &Variables<'_>,
    ) -> Result<HttpResponse, CallError> {
        let named = [
            (Method::GET, &way.get),
            (Method::POST, &way.post),
            (Method::PUT, &way.put),
            (Method::PATCH, &way.patch),
        ];
        let (method, path) = only(key, named, "get, post, put and patch")?;
        let asked = Asked {
            method,
            path,
            headers: &way.headers,
            json: &way.json,
        };
        self.ask_of(key, asked, Some(dialect), variables).await
    }

    /// The same, and keeps of a good answer what the file names.
    pub(crate) async fn follow(
        &self,
        key: &str,
        way: &FileWay,
        dialect: Dialect,
        variables: &Variables<'_>,
    ) -> Result<Map<String, Value>, CallError> {
        let answer = self.ask(key, way, dialect, variables).await?;
        succeeded(key, &answer)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let take = |(name, pointer): (&String, &String)| match body.pointer(pointer) {
            Some(value) => Ok((name.clone(), value.clone())),
            None => Err(CallError::Target(format!(
                "`{key}`: the answer holds nothing at `{pointer}`"
            ))),
        };
        way.take.iter().map(take).collect()
    }

    async fn ask_of(
        &self,
        key: &str,
        asked: Asked<'_>,
        dialect: Option<Dialect>,
        variables: &Variables<'_>,
    ) -> Result<HttpResponse, CallError> {
        let request = self.request_of(key, asked, dialect, variables)?;
        self.http_as(dialect, request).await
    }

    /// The request that this is, without the target's own headers.
    fn request_of(
        &self,
        key: &str,
        asked: Asked<'_>,
        dialect: Option<Dialect>,
        variables: &Variables<'_>,
    ) -> Result<HttpRequest, CallError> {
        let path = text_of(&fill(key, &asked.path.into(), variables)?);
        let path = dialect.map_or_else(|| path.clone(), |dialect| self.target().http_path(dialect, &path));
        let mut request = HttpRequest::new(asked.method, path);
        if !asked.json.is_null() {
            request = request.json(&without_nothing(asked.json, fill(key, asked.json, variables)?));
        }
        let mut headers = asked.headers.clone();
        for value in headers.values_mut() {
            if let FileText::Literal(text) = value {
                *text = text_of(&fill(key, &text.as_str().into(), variables)?);
            }
        }
        let headers = target::headers(&format!("{key}.headers"), &headers);
        request
            .headers
            .extend(headers.map_err(|error| CallError::Target(error.to_string()))?);
        if let Some(told) = self.told_admin_key()
            && !request.headers.contains_key(header::AUTHORIZATION)
        {
            request.headers.insert(header::AUTHORIZATION, bearer(told));
        }
        Ok(request)
    }

    /// Runs a program of the target file; what it wrote to its standard output.
    pub(crate) async fn command(
        &self,
        key: &str,
        words: &[String],
        variables: &Variables<'_>,
    ) -> Result<String, CallError> {
        let filled: Result<Vec<_>, _> = words
            .iter()
            .map(|word| fill(key, &word.as_str().into(), variables))
            .collect();
        run_command(&filled?.iter().map(text_of).collect::<Vec<_>>()).await
    }

    /// Asks the admin interface. A status of any kind is an answer.
    ///
    /// # Errors
    /// The target has none, or does not answer.
    pub async fn admin(
        &self,
        dialect: Dialect,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<HttpResponse, ProvisionError> {
        let key = match self.target().accounts.users.get(&dialect) {
            Some(UsersBy::Admin(AdminKey::Is(key))) => Some(key.as_str()),
            Some(UsersBy::Admin(AdminKey::Told)) => self.told_admin_key(),
            Some(UsersBy::Steps(_) | UsersBy::Command(_) | UsersBy::List(_)) | None => None,
        };
        let key = key.ok_or_else(|| ProvisionError::Missing("users.admin".into()))?;
        let mut request = HttpRequest::new(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.headers.insert(header::AUTHORIZATION, bearer(key));
        Ok(self.send(request).await?)
    }

    /// The queued events of a user, oldest first, each with its `status`.
    ///
    /// # Errors
    /// The target names no way to list them, or it failed.
    pub async fn events(&self, user: &User) -> Result<Value, ProvisionError> {
        let Some(listed) = self.target().events.get(&user.dialect) else {
            let id = user.fields.get("id").map(text_of).unwrap_or_default();
            let path = format!("/admin/events?user={id}");
            let answer = self.admin(user.dialect, Method::GET, &path, None).await;
            let answer = match answer {
                Err(ProvisionError::Missing(_)) => {
                    return Err(ProvisionError::Missing(format!("events.{}", user.dialect)));
                }
                other => other?,
            };
            succeeded("GET /admin/events", &answer)?;
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            return Ok(body.get("events").cloned().unwrap_or(body));
        };
        let way = FileWay {
            get: Some(listed.get.clone()),
            headers: listed.headers.clone(),
            ..FileWay::default()
        };
        let answer = self
            .ask("events", &way, user.dialect, &[("user", user.value())])
            .await?;
        succeeded("events", &answer)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(Value::Array(mut items)) = body.pointer(&listed.items).cloned() else {
            let message = format!("`events`: the answer holds no list at `{}`", listed.items);
            return Err(CallError::Target(message).into());
        };
        if let Some(pointer) = &listed.status {
            for item in &mut items {
                let status = item.pointer(pointer).cloned().unwrap_or_default();
                if let Value::Object(fields) = item {
                    fields.insert("status".into(), status);
                }
            }
        }
        Ok(Value::Array(items))
    }
}

/// The request that a call is; `None` if it is a command.
fn asked_by<'a>(key: &str, call: &'a FileCall) -> Result<Option<Asked<'a>>, CallError> {
    let named = [
        (Method::POST, &call.post),
        (Method::PUT, &call.put),
        (Method::DELETE, &call.delete),
    ];
    if !call.command.is_empty() && named.iter().all(|(_, path)| path.is_none()) {
        return Ok(None);
    }
    let (method, path) = only(key, named, "post, put, delete and command")?;
    Ok(Some(Asked {
        method,
        path,
        headers: &call.headers,
        json: &call.json,
    }))
}

/// The one method that has a path.
fn only<'a, const N: usize>(
    key: &str,
    named: [(Method, &'a Option<String>); N],
    choice: &str,
) -> Result<(Method, &'a str), CallError> {
    let mut there = named
        .into_iter()
        .filter_map(|(method, path)| Some((method, path.as_deref()?)));
    match (there.next(), there.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(CallError::Target(format!(
            "`{key}` needs exactly one of {choice}"
        ))),
    }
}

impl Injection {
    fn variables(&self) -> [(&'static str, Value); 5] {
        [
            ("to", self.to.clone()),
            ("type", self.kind.clone().into()),
            ("data", self.data.clone()),
            ("scheduled_at", self.scheduled_at.clone()),
            ("tenant", self.tenant.clone()),
        ]
    }
}

fn fill(key: &str, value: &Value, variables: &Variables<'_>) -> Result<Value, CallError> {
    let known = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
    };
    Template::new(value.clone())
        .resolve(&known)
        .map_err(|error| CallError::Target(format!("`{key}`: {error}")))
}

/// A field that is one variable alone, which holds nothing, is left out.
fn without_nothing(template: &Value, filled: Value) -> Value {
    let (Value::Object(template), Value::Object(mut fields)) = (template, filled.clone()) else {
        return filled;
    };
    fields.retain(|name, value| !(value.is_null() && template.get(name).is_some_and(Value::is_string)));
    Value::Object(fields)
}

async fn run_command(words: &[String]) -> Result<String, CallError> {
    let failed = |reason: String| CallError::Command {
        program: words[0].clone(),
        reason,
    };
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = timeout(SPAWN_DEADLINE, command.output())
        .await
        .map_err(|_| failed(format!("not done within {}", shown(SPAWN_DEADLINE))))?
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(format!(
        "{}: {}",
        output.status,
        beginning_of(&output.stderr)
    )))
}

pub(crate) fn succeeded(what: &str, response: &HttpResponse) -> Result<(), CallError> {
    if response.status.is_success() {
        return Ok(());
    }
    Err(CallError::Refused {
        what: what.to_owned(),
        status: response.status,
        body: beginning_of(&response.body),
    })
}

/// Enough of an error's text to act on.
fn beginning_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
        .trim()
        .to_owned()
}

pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bearer(key: &str) -> HeaderValue {
    let value = HeaderValue::try_from(format!("Bearer {key}"));
    // A key that no header can hold opens nothing: the server says so.
    let mut value = value.unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    value.set_sensitive(true);
    value
}
