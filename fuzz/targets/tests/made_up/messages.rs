//! What a client says in a dialect: right, nearly right, and of no kind.

use proptest::prelude::*;
use touchstone_fuzz_targets::{BINARY, BREAK};

use crate::frames::bytes;

/// Whose messages are made up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dialect {
    Echo,
    Rooms,
    Outbox,
    Feed,
    Direct,
}

/// Messages that mean something.
fn right(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Echo => &["hello", "", r#"{"type":"ping"}"#],
        Dialect::Rooms => &[
            r#"{"type":"chat.message","content":"hello"}"#,
            r#"{"type":"chat.message","content":" \u00e9\ud83e\udd80\n"}"#,
            r#"{"type":"typing","is_typing":true}"#,
            r#"{"type":"typing","is_typing":false}"#,
            r#"{"type":"message.read","message_id":"$other"}"#,
            r#"{"type":"heartbeat"}"#,
        ],
        Dialect::Outbox => &[r#"{"type":"ping"}"#, r#"{"type":"get_pending"}"#],
        Dialect::Feed => &[r#"{"type":"PONG"}"#, r#"{"type":"PING","data":{}}"#],
        Dialect::Direct => &[
            r#"{"type":"chat_message","data":{"receiverId":"$other","content":"hello"}}"#,
            r#"{"type":"chat_message","data":{"content":"\ud83e\udd80","receiverId":"00000000000000000000000F","messageType":"image"}}"#,
            r#"{"type":"chat_message","data":{"receiverId":"$self","content":"hello"}}"#,
            r#"{"type":"typing_start","data":{"receiverId":"$other"}}"#,
            r#"{"type":"typing_stop","data":{"receiverId":"$self"}}"#,
            r#"{"type":"mark_read","data":{"senderId":"$other"}}"#,
            r#"{"type":"mark_read","data":{"senderId":"nobody"}}"#,
            r#"{"type":"get_online_users"}"#,
        ],
    }
}

/// The names of what messages have in them.
fn names(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Echo => &["message", "title", "level", "type"],
        Dialect::Rooms => &["type", "content", "is_typing", "message_id", "t\\u0079pe"],
        Dialect::Outbox | Dialect::Feed => &["type", "data", "message_id"],
        Dialect::Direct => &[
            "type",
            "data",
            "receiverId",
            "content",
            "messageType",
            "senderId",
            "\\u0064ata",
        ],
    }
}

fn any_dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(vec![
        Dialect::Echo,
        Dialect::Rooms,
        Dialect::Outbox,
        Dialect::Feed,
        Dialect::Direct,
    ])
}

/// A value that is no list and no object, right or wrong.
fn leaf() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0.0e-0",
        "1e400",
        "-1E-400",
        "12345678901234567890123",
        "01",
        "+1",
        ".5",
        "NaN",
        "\"\"",
        "\"  \\u3000\\t\"",
        "\"\\u0000\"",
        "\"a\\u0000b\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\ud83e\\udd80\"",
        "\"$self\"",
        "\"$other\"",
        "\"$huge\"",
        "\"ABCDEF0123456789abcdef01\"",
        "\"abcdef0123456789abcdef0\"",
        "\"text\"",
        "\"file\"",
        "\"warning\"",
        "tru",
        "\"",
        "",
    ])
    .prop_map(str::to_owned);
    // About as long as a `type` or a content may be, of characters of more than one byte and unit.
    let long = (prop_oneof![38..43_usize, 98..103_usize], any::<bool>()).prop_map(|(chars, wide)| {
        let character = if wide { "\u{1F980}" } else { "x" };
        format!("\"{}\"", character.repeat(chars))
    });
    let text = "\\PC{0,8}".prop_map(|text| serde_json::Value::from(text).to_string());
    let kinds = any_dialect().prop_flat_map(|dialect| {
        let kinds = prop::sample::select(right(dialect).to_vec());
        kinds.prop_map(|message| {
            let kind = message.split('"').nth(3).unwrap_or("hello");
            format!("\"{kind}\"")
        })
    });
    prop_oneof![5 => odd, 1 => long, 2 => text, 4 => kinds]
}

/// A value that may have others in it, about as deep as it may be (common/4c) or far deeper.
fn value(dialect: Dialect) -> impl Strategy<Value = String> {
    let nested = (prop_oneof![97..103_usize, Just(600)], any::<bool>()).prop_map(|(depth, list)| {
        let (open, close) = if list { ("[", "]") } else { (r#"{"type":"#, "}") };
        format!("{}0{}", open.repeat(depth), close.repeat(depth))
    });
    let inner = prop_oneof![12 => leaf(), 1 => nested].boxed();
    inner.prop_recursive(3, 12, 4, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            1 => list.prop_map(|elements| format!("[{}]", elements.join(" ,"))),
            3 => object(dialect, inner),
        ]
    })
}

/// An object of members that the dialect knows, some of them twice.
fn object(dialect: Dialect, value: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    let name = prop::sample::select(names(dialect).to_vec());
    let member = (name, value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let members = prop::collection::vec(member, 0..5);
    (members, "[ \t\r\n]{0,2}").prop_map(|(members, space)| {
        let separator = format!(",{space}");
        format!("{space}{{{}}}", members.join(&separator))
    })
}

/// A message with something cut out or put in.
fn spoilt(dialect: Dialect) -> impl Strategy<Value = String> {
    let whole = prop::sample::select(right(dialect).to_vec());
    let piece = "[\\[\\]{}\",:\\\\u0-9deDn \u{0}-\u{2}-]{0,2}";
    let range = (any::<prop::sample::Index>(), 0..4_usize);
    (whole, range, piece).prop_map(|(whole, (at, length), piece)| {
        let mut characters: Vec<_> = whole.chars().collect();
        let at = at.index(characters.len() + 1);
        let end = (at + length).min(characters.len());
        characters.splice(at..end, piece.chars());
        characters.into_iter().collect()
    })
}

/// A right message with one value taken for another: what is of the right type is wrong in one thing.
fn exchanged(dialect: Dialect) -> impl Strategy<Value = String> {
    let whole = prop::sample::select(right(dialect).to_vec());
    let more = (
        leaf(),
        any::<prop::sample::Index>(),
        prop::sample::select(names(dialect).to_vec()),
    );
    (whole, more).prop_map(|(whole, (leaf, at, name))| {
        // Where an object begins or goes on, a member that is overwritten or overwrites.
        let places: Vec<_> = whole.match_indices(['{', '}']).map(|(at, _)| at).collect();
        if places.is_empty() {
            return leaf;
        }
        let place = places[at.index(places.len())];
        let (before, behind) = whole.split_at(place);
        match behind.strip_prefix('{') {
            Some("}") => format!("{before}{{\"{name}\":{leaf}}}"),
            Some(behind) => format!("{before}{{\"{name}\":{leaf},{behind}"),
            None => format!("{before},\"{name}\":{leaf}{behind}"),
        }
    })
}

/// A text of a client.
fn text(dialect: Dialect) -> impl Strategy<Value = String> {
    let whole = prop::sample::select(right(dialect).to_vec()).prop_map(str::to_owned);
    prop_oneof![
        4 => whole,
        3 => exchanged(dialect),
        2 => spoilt(dialect),
        3 => object(dialect, value(dialect)),
        1 => value(dialect),
        1 => "\\PC{0,12}",
    ]
}

/// A text of whatever dialect, and now and then no text at all.
pub(crate) fn one_of_any() -> impl Strategy<Value = Vec<u8>> {
    let text = any_dialect().prop_flat_map(text).prop_map(String::into_bytes);
    prop_oneof![20 => text, 1 => bytes(60)]
}

/// Messages of one client, one behind the other. Few of them end it: what comes behind those is never heard.
pub(crate) fn several(dialect: Dialect) -> impl Strategy<Value = Vec<u8>> {
    let binary = prop_oneof![bytes(40), text(dialect).prop_map(String::into_bytes)];
    let binary = binary.prop_map(|payload| [&[BINARY][..], &payload].concat());
    let text = text(dialect).prop_map(String::into_bytes);
    let message = prop_oneof![60 => text, 1 => binary, 1 => bytes(40)];
    prop::collection::vec(message, 0..12).prop_map(|messages| messages.join(&[BREAK][..]))
}

/// Where a request goes, and its body.
pub(crate) fn request() -> impl Strategy<Value = Vec<u8>> {
    let members = prop::sample::select(vec![
        "dialect",
        "users",
        "channels",
        "tenants",
        "id",
        "username",
        "tenant",
        "members",
        "to",
        "type",
        "data",
        "email",
        "password",
        "name",
        "participants",
        "content",
        "title",
        "description",
        "completed",
        "caption",
        "url",
        "user",
        "code",
        "reason",
        "scheduled_at",
        "refresh",
        "refresh_token",
        "conversation_uuid",
        "schema_name",
        "message",
        "level",
    ]);
    let known = prop::sample::select(vec![
        "\"rooms\"",
        "\"feed\"",
        "\"direct\"",
        "\"outbox\"",
        "\"echo\"",
        "\"all\"",
        "\"c\"",
        "\"requests\"",
        "1",
        "[{}]",
        "[1]",
        "{}",
        "\"9999-12-31T23:59:59.999Z\"",
        "\"0000-01-01T00:00:00Z\"",
        "18446744073709551615",
        "-9223372036854775808",
    ])
    .prop_map(str::to_owned);
    let leaf = prop_oneof![2 => known, 1 => leaf()].boxed();
    let inner = leaf.prop_recursive(2, 10, 4, move |inner| {
        let member = (members.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        let object = prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")));
        prop_oneof![3 => object, 1 => prop::collection::vec(inner, 0..3).prop_map(|list| format!("[{}]", list.join(",")))]
    });
    let parameter = prop::sample::select(vec![
        "limit",
        "before",
        "offset",
        "page",
        "page_size",
        "after",
        "user",
        "dialect",
    ]);
    let number = prop::sample::select(vec![
        "-1",
        "0",
        "1",
        "99999999999999999999",
        "4294967295",
        "4294967296",
        "18446744073709551615",
        "9223372036854775807",
        "1e3",
        "",
        "%00",
        "%ff",
        "a",
        "..",
        "%2e%2e%2f",
        "%25_",
        "'--",
        "c",
    ]);
    let query = prop::collection::vec((parameter, number.clone()), 0..4).prop_map(|parameters| {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        parameters.join("&").into_bytes()
    });
    let segment = number.prop_map(|segment| segment.as_bytes().to_vec());
    let rest = prop_oneof![5 => inner.prop_map(String::into_bytes), 3 => query, 2 => segment, 1 => bytes(60)];
    (any::<u8>(), rest).prop_map(|(endpoint, rest)| [&[endpoint][..], &rest].concat())
}
