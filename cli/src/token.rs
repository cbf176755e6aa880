//! `touchstone token`: tokens for trying a server out.

use serde_json::{Map, Value};
use touchstone_protocol::{Dialect, routes};

use crate::args::TokenMintArgs;
use crate::exit::{self, Failure, Outcome};
use crate::print;
use crate::settings::{Environment, secrets};

/// The claims of `rooms` that say whose tenant it is (rooms/1c).
const TENANT_CLAIMS: [&str; 2] = ["tenant_id", "schema_name"];

/// Signs a token, and prints it: the one place where that is asked for.
pub(crate) fn mint(args: &TokenMintArgs) -> Outcome {
    let environment = Environment::of_this_process();
    let (common, own) = secrets::of_dialect(args.dialect, args.secret_file.as_deref(), &environment)?;
    let mut claims = Map::new();
    let identity =
        routes::identity_claim(args.dialect).expect("a dialect with tokens says in them who it is");
    claims.insert(identity.to_owned(), user_id(args.dialect, &args.user));
    for claim in &args.claims {
        let (name, value) = claim
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--claim {claim}: write NAME=VALUE")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        claims.insert(name.to_owned(), value);
    }
    if args.dialect == Dialect::Rooms
        && let Some(missing) = TENANT_CLAIMS.iter().find(|name| !claims.contains_key(**name))
    {
        return Err(Failure::usage(format!(
            "a token of rooms says whose tenant it is: add --claim {missing}=…"
        )));
    }
    let token = touchstone_server::mint(&common, &own, claims, args.expires_in)
        .expect("there is a secret, or an error came before");
    print::data(&format!("{token}\n"))?;
    Ok(exit::OK)
}

/// The id as the dialect's own server makes it: whole numbers on `rooms` and `feed`, else text.
fn user_id(dialect: Dialect, text: &str) -> Value {
    match dialect {
        Dialect::Rooms | Dialect::Feed => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        Dialect::Echo | Dialect::Outbox | Dialect::Direct => text.into(),
    }
}
