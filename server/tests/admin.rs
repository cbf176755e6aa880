//! The admin API: who may use it, what it does, and what it says about requests it cannot understand.

mod support;

use support::{config, start};
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
