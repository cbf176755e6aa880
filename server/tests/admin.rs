//! The admin API: who may use it, what it does, and what it says about requests it cannot understand.

mod support;

use support::{config, start};
use touchstone_protocol::Dialect;
use touchstone_server::{Config, Secret};

#[tokio::test]
async fn faults_need_the_key_and_the_permission() {
    let forbidden = Config {
        allow_faults: false,
        ..config()
    };
    let without_key = Config {
        admin_key: None,
        ..config()
    };
    let other_key = Config {
        admin_key: Some(Secret::new("another")),
        ..config()
    };
    for (config, status) in [
        (config(), "200"),
        (forbidden, "404"),
        (without_key, "404"),
        (other_key, "401"),
    ] {
        let server = start(config);
        let answer = server
            .request("POST /admin/faults", r#"{"store":"down","for":"1s"}"#)
            .await;
        assert_eq!(answer.split(' ').nth(1), Some(status));
    }
}

#[tokio::test]
async fn what_is_published_reaches_everybody() {
    let server = start(config());
    let mut clients = [
        server.connect("/ws/chat/").await,
        server.connect("/ws/chat/?session=s").await,
    ];
    for client in &mut clients {
        client.echo("here", 1).await;
    }
    let body = r#"{"dialect":"echo","to":"all","type":"broadcast","data":{"message":"m","level":"warning"}}"#;
    let answer = server.request("POST /admin/publish", body).await;
    assert!(answer.ends_with(r#"{"published":1}"#), "{answer}");
    for client in &mut clients {
        let told = client.hear().await;
        let expected =
            r#"{"type":"broadcast","message":"m","title":"System Message","level":"warning","timestamp":"#;
        assert!(told.starts_with(expected), "{told}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_understood_is_told_why_and_does_nothing() {
    let server = start(config());
    for (path, body, why) in [
        ("publish", "{", "EOF while parsing"),
        (
            "publish",
            r#"{"dialect":"echo","to":"all","type":"broadcast"}"#,
            "missing field `data`",
        ),
        (
            "publish",
            r#"{"dialect":"ecko","to":"all","type":"broadcast","data":{}}"#,
            "`ecko` is not a dialect",
        ),
        (
            "publish",
            r#"{"dialect":"echo","to":"ann","type":"broadcast","data":{}}"#,
            r#"`to` is \"all\""#,
        ),
        (
            "publish",
            r#"{"dialect":"echo","to":"all","type":"chat","data":{}}"#,
            r#"`type` is \"broadcast\""#,
        ),
        (
            "publish",
            r#"{"dialect":"echo","to":"all","type":"broadcast","data":{}}"#,
            "Message is required",
        ),
        (
            "publish",
            r#"{"dialect":"echo","to":"all","type":"broadcast","data":{"message":"m"},"at":"now"}"#,
            "unknown field `at`",
        ),
        (
            "publish",
            r#"{"dialect":"direct","to":"all","type":"t","data":{},"scheduled_at":"soon"}"#,
            "a time is written as RFC 3339",
        ),
        (
            "publish",
            r#"{"dialect":"direct","to":[""],"type":"t","data":{}}"#,
            "expected an id",
        ),
        (
            "users",
            r#"{"dialect":"direct","users":[{"username":"ann"},{"username":"bob","nick":"b"}]}"#,
            "entry 1: unknown field `nick`",
        ),
        ("users", r#"{"dialect":"direct","users":[{}]}"#, r#""entry":0"#),
        (
            "users",
            r#"{"dialect":"direct","users":[{"username":" "}]}"#,
            "entry 0: `username` is blank",
        ),
        (
            "users",
            r#"{"dialect":"direct","users":[{"username":"\\u0000"},{"username":"a\u0000"}]}"#,
            "entry 1: U+0000 cannot be stored",
        ),
        (
            "users",
            r#"{"dialect":"direct","users":[{"id":1.5,"username":"ann"}]}"#,
            "entry 0: invalid type: floating point",
        ),
        (
            "users",
            r#"{"dialect":"echo","users":[{"username":"ann"}]}"#,
            "this dialect has no users",
        ),
        (
            "tenants",
            r#"{"dialect":"rooms","tenants":[{"name":"Acme"}]}"#,
            "entry 0: missing field `schema_name`",
        ),
        (
            "channels",
            r#"{"dialect":"rooms","channels":[{"name":"general"}]}"#,
            "entry 0: missing field `members`",
        ),
        (
            "disconnect",
            r#"{"dialect":"direct","user":"u","code":1005}"#,
            "`code` 1005 may not be sent",
        ),
        (
            "sweep",
            r#"{"dialect":"direct"}"#,
            "this dialect has no queued events",
        ),
        (
            "drain",
            r#"{"window":"2h"}"#,
            "`window` is a duration of up to 3600s",
        ),
        ("faults", "[]", "invalid"),
        ("faults", "{}", "a fault is"),
        ("faults", r#"{"store":"down"}"#, "a fault is"),
        (
            "faults",
            r#"{"store":"odd","for":"2s"}"#,
            r#"`store` is \"down\" or \"slow\""#,
        ),
        ("faults", r#"{"store":"down","for":"2"}"#, "`for` is a duration"),
        ("faults", r#"{"store":"down","for":"2h"}"#, "`for` is a duration"),
        (
            "faults",
            r#"{"store":"down","for":"601s"}"#,
            "`for` is a duration of up to 600s",
        ),
        ("faults", r#"{"handler":"sulk"}"#, "a fault is"),
        (
            "faults",
            r#"{"handler":"panic","store":"down","for":"1s"}"#,
            "a fault is",
        ),
        ("faults", r#"{"network":"cut"}"#, "unknown field `network`"),
    ] {
        let answer = server.request(&format!("POST /admin/{path}"), body).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{body}: {answer}");
        assert!(answer.contains(why), "{body}: {answer}");
    }
    let mut client = server.connect("/ws/chat/?session=s").await;
    client.echo("nothing is broken", 1).await;
    assert_eq!(server.metric("app_errors_total").await, 0);
}

#[tokio::test]
async fn who_is_connected_is_listed() {
    let server = start(config());
    let mut client = server.connect("/ws/chat/").await;
    client.echo("here", 1).await;
    let listed = server.request("GET /admin/connections?dialect=echo", "").await;
    assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
    assert!(
        listed.contains(r#"{"total":1,"connections":[{"dialect":"echo","since":"2"#),
        "{listed}"
    );
    assert!(listed.ends_with(r#"Z","peer":"127.0.0.1"}]}"#), "{listed}");
    for (query, why) in [
        ("?user=u", "`user` needs a `dialect`"),
        ("?dialect=echo&user=u", "this dialect has no users"),
        ("?dialect=ecko", "`ecko` is not a dialect"),
        ("?dialects=echo", "unknown field `dialects`"),
    ] {
        let refused = server
            .request(&format!("GET /admin/connections{query}"), "")
            .await;
        assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
        assert!(refused.contains(why), "{refused}");
    }
}

#[tokio::test]
async fn a_dialect_that_is_not_served_is_not_administered() {
    let server = start(Config {
        dialects: vec![Dialect::Echo],
        ..config()
    });
    let body = r#"{"dialect":"direct","users":[]}"#;
    let refused = server.request("POST /admin/users", body).await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    assert!(refused.contains("`direct` is not served here"), "{refused}");
}

#[tokio::test]
async fn a_bulk_request_may_be_larger_than_others_and_has_a_limit_all_the_same() {
    let mut config = config();
    config.limits.body_bytes = 100;
    config.limits.admin_body_bytes = 1_000;
    let server = start(config);
    for (bytes, status) in [(1_000, "400"), (1_001, "413")] {
        let answer = server.request("POST /admin/users", &" ".repeat(bytes)).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        assert!(answer.contains(r#"{"error":""#), "{answer}");
    }
}
