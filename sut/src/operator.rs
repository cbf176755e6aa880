//! What an operator does to a running system: by the way that the target file names, else by an admin interface like the
//! built-in server's.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use touchstone_protocol::Dialect;

use crate::operate::{Variables, succeeded, text_of};
use crate::people::{ProvisionError, User};
use crate::sut::Sut;
use crate::target::Act;

/// A request of the admin interface.
struct Order {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Sut {
    /// Closes the connections of a user; without a code or a reason, with the server's own.
    ///
    /// # Errors
    /// The target names no way and has no admin interface, or it failed.
    pub async fn disconnect(
        &self,
        user: &User,
        code: Option<u16>,
        reason: Option<&str>,
    ) -> Result<(), ProvisionError> {
        let mut body = json!({"dialect": user.dialect.name(), "user": user.fields.get("id")});
        if let Some(schema) = user.tenant.get("schema_name") {
            body["tenant"] = schema.clone();
        }
        if let Some(code) = code {
            body["code"] = code.into();
        }
        if let Some(reason) = reason {
            body["reason"] = reason.into();
        }
        let order = Order {
            method: Method::POST,
            path: "/admin/disconnect".to_owned(),
            body: Some(body),
        };
        let variables = [
            ("user", user.value()),
            ("code", code.into()),
            ("reason", reason.into()),
        ];
        self.act(user.dialect, Act::Disconnect, &variables, order).await
    }

    /// Takes a user and all his data away.
    ///
    /// # Errors
    /// The target names no way and has no admin interface, or it failed.
    pub async fn delete_user(&self, user: &User) -> Result<(), ProvisionError> {
        let id = user.fields.get("id").map(text_of).unwrap_or_default();
        let tenant = user.tenant.get("schema_name").map(text_of);
        let tenant = tenant.map_or_else(String::new, |schema| format!("&tenant={schema}"));
        let order = Order {
            method: Method::DELETE,
            path: format!("/admin/users/{id}?dialect={}{tenant}", user.dialect),
            body: None,
        };
        self.act(user.dialect, Act::DeleteUser, &[("user", user.value())], order)
            .await
    }

    /// Closes all connections, spread over a window; without one, over the server's own.
    ///
    /// # Errors
    /// The target names no way and has no admin interface, or it failed.
    pub async fn drain(&self, dialect: Dialect, window: Option<Duration>) -> Result<(), ProvisionError> {
        let millis = window.map(|window| format!("{}ms", window.as_millis()));
        let mut body = json!({"dialect": dialect.name()});
        if let Some(millis) = &millis {
            body["window"] = millis.as_str().into();
        }
        let order = Order {
            method: Method::POST,
            path: "/admin/drain".to_owned(),
            body: Some(body),
        };
        let variables = [
            ("window", millis.into()),
            ("seconds", window.map(|window| window.as_secs_f64()).into()),
        ];
        self.act(dialect, Act::Drain, &variables, order).await
    }

    /// Sends what is pending, now.
    ///
    /// # Errors
    /// The target names no way and has no admin interface, or it failed.
    pub async fn sweep(&self, dialect: Dialect) -> Result<(), ProvisionError> {
        let order = Order {
            method: Method::POST,
            path: "/admin/sweep".to_owned(),
            body: Some(json!({"dialect": dialect.name()})),
        };
        self.act(dialect, Act::Sweep, &[], order).await
    }

    /// What the target file names goes before the admin interface.
    async fn act(
        &self,
        dialect: Dialect,
        act: Act,
        variables: &Variables<'_>,
        order: Order,
    ) -> Result<(), ProvisionError> {
        let key = format!("operate.{dialect}.{}", act.name());
        let ways = self.target().operate.get(&dialect);
        if let Some(call) = ways.and_then(|ways| ways.get(&act)) {
            return Ok(self.call(&key, call, Some(dialect), variables).await?);
        }
        let what = format!("{} {}", order.method, order.path);
        let answer = self.admin(dialect, order.method, &order.path, order.body.as_ref());
        match answer.await {
            Ok(answer) => Ok(succeeded(&what, &answer)?),
            Err(ProvisionError::Missing(_)) => Err(ProvisionError::Missing(key)),
            Err(failed) => Err(failed),
        }
    }
}
