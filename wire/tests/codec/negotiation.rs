//! permessage-deflate as it is agreed on: the offers as rows, and what a server or a client makes of them.

use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use touchstone_wire::deflate::{
    Agreement, AnswerError, ClientWindow, Half, Negotiated, Offer, Policy, Takeover, WindowBits,
};

const STATELESS: Policy = Policy {
    takeover: Takeover::Dropped,
    server_window: WindowBits::MAX,
    client_window: WindowBits::MAX,
};

const KEEPING: Policy = Policy {
    takeover: Takeover::Kept,
    ..STATELESS
};

fn narrow() -> Policy {
    Policy {
        takeover: Takeover::Kept,
        server_window: bits(11),
        client_window: bits(10),
    }
}

fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header::SEC_WEBSOCKET_EXTENSIONS, line.parse().unwrap());
    }
    headers
}

fn answer(policy: &Policy, offer: &str) -> Option<String> {
    let negotiated = policy.negotiate(&headers(&[offer]));
    negotiated.map(|negotiated| negotiated.answer.to_str().unwrap().to_owned())
}

const BOTH_DROPPED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn an_offer_is_answered_by_what_follows_from_it() {
    let narrow = narrow();
    let rows: &[(&Policy, &str, Option<&str>)] = &[
        (&STATELESS, "permessage-deflate", Some(BOTH_DROPPED)),
        (
            &STATELESS,
            "Permessage-Deflate; client_max_window_bits",
            Some(BOTH_DROPPED),
        ),
        (&KEEPING, "permessage-deflate", Some("permessage-deflate")),
        (
            &KEEPING,
            "permessage-deflate; client_max_window_bits",
            Some("permessage-deflate"),
        ),
        (
            &KEEPING,
            "permessage-deflate; client_max_window_bits=12",
            Some("permessage-deflate"),
        ),
        (
            &KEEPING,
            "permessage-deflate; server_no_context_takeover",
            Some("permessage-deflate; server_no_context_takeover"),
        ),
        (
            &KEEPING,
            "permessage-deflate; client_no_context_takeover",
            Some("permessage-deflate; client_no_context_takeover"),
        ),
        (
            &KEEPING,
            "permessage-deflate; server_max_window_bits=9",
            Some("permessage-deflate; server_max_window_bits=9"),
        ),
        (
            &KEEPING,
            "permessage-deflate; server_max_window_bits=\"10\"",
            Some("permessage-deflate; server_max_window_bits=10"),
        ),
        (
            &narrow,
            "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
            Some("permessage-deflate; server_max_window_bits=11; client_max_window_bits=10"),
        ),
        (
            &narrow,
            "permessage-deflate; client_max_window_bits=8",
            Some("permessage-deflate"),
        ),
        (&narrow, "permessage-deflate", Some("permessage-deflate")),
        (&KEEPING, "permessage-deflate; server_max_window_bits=8", None),
        (
            &KEEPING,
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=12",
            Some("permessage-deflate; server_max_window_bits=12"),
        ),
        (
            &KEEPING,
            "permessage-deflate; x, foo; x, permessage-deflate",
            Some("permessage-deflate"),
        ),
    ];
    for (policy, offer, expected) in rows {
        assert_eq!(answer(policy, offer).as_deref(), *expected, "{offer}");
    }
    assert_eq!(KEEPING.negotiate(&HeaderMap::new()), None);
    let lines = headers(&[
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate",
    ]);
    assert!(
        KEEPING.negotiate(&lines).is_some(),
        "the next line is the next offer"
    );
}

#[test]
fn an_offer_with_a_wrong_parameter_is_declined() {
    for parameter in [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=\"\"",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+10",
        "server_max_window_bits=ten",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=0",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=10; client_max_window_bits",
        "SERVER_NO_CONTEXT_TAKEOVER",
        "",
    ] {
        let offer = format!("permessage-deflate; {parameter}");
        assert_eq!(answer(&KEEPING, &offer), None, "{offer}");
    }
}

#[test]
fn the_agreement_says_what_the_answer_says() {
    let half = |takeover, window| Half {
        takeover,
        window: bits(window),
    };
    let rows: &[(&str, Half, Half)] = &[
        (
            "permessage-deflate",
            half(Takeover::Kept, 11),
            half(Takeover::Kept, 15),
        ),
        (
            "permessage-deflate; client_max_window_bits=9; client_no_context_takeover",
            half(Takeover::Kept, 11),
            half(Takeover::Dropped, 9),
        ),
        (
            "permessage-deflate; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9",
            half(Takeover::Dropped, 9),
            half(Takeover::Kept, 10),
        ),
    ];
    for (offer, server, client) in rows {
        let Negotiated { agreement, .. } = narrow().negotiate(&headers(&[offer])).unwrap();
        let expected = Agreement {
            server: *server,
            client: *client,
        };
        assert_eq!(agreement, expected, "{offer}");
    }
}

const FREE: Offer = Offer {
    server_takeover: Takeover::Kept,
    client_takeover: Takeover::Kept,
    server_window: None,
    client_window: ClientWindow::Limitable,
};

#[test]
fn an_answer_that_does_not_fit_the_offer_is_refused() {
    let strict = Offer {
        server_takeover: Takeover::Dropped,
        client_takeover: Takeover::Dropped,
        server_window: Some(bits(10)),
        client_window: ClientWindow::NotLimitable,
    };
    let parameter = |name: &str| AnswerError::Parameter(name.to_owned());
    let rows: &[(&Offer, &str, AnswerError)] = &[
        (&FREE, "permessage-deflate;", AnswerError::Malformed),
        (
            &FREE,
            "permessage-deflate, permessage-deflate",
            AnswerError::Repeated,
        ),
        (&FREE, "permessage-deflate; x", parameter("x")),
        (
            &FREE,
            "permessage-deflate; client_max_window_bits",
            parameter("client_max_window_bits"),
        ),
        (
            &FREE,
            "permessage-deflate; server_max_window_bits",
            parameter("server_max_window_bits"),
        ),
        (
            &FREE,
            "permessage-deflate; server_max_window_bits=7",
            parameter("server_max_window_bits"),
        ),
        (
            &strict,
            "permessage-deflate; server_max_window_bits=10",
            AnswerError::Missing("server_no_context_takeover"),
        ),
        (
            &strict,
            "permessage-deflate; server_no_context_takeover",
            AnswerError::Missing("server_max_window_bits"),
        ),
        (
            &strict,
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
            AnswerError::Window {
                parameter: "server_max_window_bits",
                answered: bits(11),
                offered: bits(10),
            },
        ),
        (
            &strict,
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=15",
            AnswerError::Unasked,
        ),
    ];
    for (offer, answered, expected) in rows {
        assert_eq!(
            offer.check(&headers(&[answered])),
            Err(expected.clone()),
            "{answered}"
        );
    }
    assert_eq!(FREE.check(&HeaderMap::new()), Ok(None));
    assert_eq!(FREE.check(&headers(&["x"])), Ok(None));
}

fn window() -> impl Strategy<Value = WindowBits> {
    (8..=15_u8).prop_map(bits)
}

fn takeover() -> impl Strategy<Value = Takeover> {
    prop_oneof![Just(Takeover::Kept), Just(Takeover::Dropped)]
}

fn offer() -> impl Strategy<Value = Offer> {
    let client_window = prop_oneof![
        Just(ClientWindow::NotLimitable),
        Just(ClientWindow::Limitable),
        window().prop_map(ClientWindow::AtMost)
    ];
    let server_window = prop::option::of(window());
    (takeover(), takeover(), server_window, client_window).prop_map(
        |(server_takeover, client_takeover, server_window, client_window)| Offer {
            server_takeover,
            client_takeover,
            server_window,
            client_window,
        },
    )
}

proptest! {
    #[test]
    fn both_sides_conclude_the_same_from_every_offer(
        offer in offer(),
        takeover in takeover(),
        server_window in (9..=15_u8).prop_map(bits),
        client_window in window(),
    ) {
        let policy = Policy { takeover, server_window, client_window };
        let mut request = HeaderMap::new();
        request.insert(header::SEC_WEBSOCKET_EXTENSIONS, offer.header_value());
        let negotiated = policy.negotiate(&request);
        prop_assert_eq!(negotiated.is_none(), offer.server_window == WindowBits::new(8));
        let Some(Negotiated { agreement, answer }) = negotiated else {
            return Ok(());
        };
        let mut response = HeaderMap::new();
        response.insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
        let concluded = offer.check(&response);
        let Ok(Some(concluded)) = concluded else {
            return Err(TestCaseError::fail(format!("{concluded:?}")));
        };
        prop_assert_eq!(concluded.client, agreement.client);
        prop_assert_eq!(concluded.server.takeover, agreement.server.takeover);
        prop_assert!(concluded.server.window >= agreement.server.window, "the client can read what is sent");
    }

    #[test]
    fn no_header_is_too_odd(value in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let mut headers = HeaderMap::new();
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, value);
            prop_assert!(KEEPING.negotiate(&headers).is_none_or(|negotiated| negotiated.answer.to_str().is_ok()));
            prop_assert_ne!(FREE.check(&headers), Err(AnswerError::Unasked), "it was offered");
        }
    }
}
