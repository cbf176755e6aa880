//! Users, tokens, greetings and strangers: each of these can fail too, and what a target lacks skips a case.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use touchstone_conformance::results::CaseResult;
use touchstone_conformance::{Options, run};
use touchstone_scenarios::rules::Rules;
use touchstone_sut::{Sut, Target};

use crate::judge::{options, scenario, summary};
use crate::village::{Village, Wrong};

const ACCOUNTS: &str = "auth: {secret: {text: s3cret-of-the-village}}\nusers: {admin: {key: key}}\n";

async fn judged_with(village: &Village, accounts: &str, yaml: &str) -> CaseResult {
    judged_on("direct", village, accounts, yaml).await
}

async fn judged_on(dialect: &str, village: &Village, accounts: &str, yaml: &str) -> CaseResult {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("target.yaml");
    let inject = "{user: {post: /admin/publish, headers: {Authorization: Bearer key}, \
                  json: {to: \"${to}\", type: \"${type}\", data: \"${data}\"}}}";
    let text = format!(
        "urls: [\"{}\"]\ndialects: [{dialect}]\n{accounts}inject: {{{dialect}: {inject}}}\n",
        village.url()
    );
    std::fs::write(&file, text).unwrap();
    let sut = Sut::start(Target::from_file(&file.to_string_lossy()).unwrap())
        .await
        .unwrap();
    let (events, mut heard) = mpsc::channel(64);
    let options = Options {
        trace: true,
        ..options()
    };
    let scenarios = [scenario(&format!("{dialect}/x"), yaml)];
    let run = run(
        Arc::new(sut),
        &scenarios,
        Rules::builtin(),
        options,
        events,
        CancellationToken::new(),
    );
    let (run, ()) = tokio::join!(run, async { while heard.recv().await.is_some() {} });
    run.unwrap().cases.remove(0)
}

async fn judged(wrong: Wrong, yaml: &str) -> CaseResult {
    judged_with(&Village::start(wrong).await, ACCOUNTS, yaml).await
}

async fn check(cases: &[(&str, Wrong, &str, &str)]) {
    for (name, wrong, yaml, expected) in cases {
        let case = judged(*wrong, yaml).await;
        assert_eq!(
            summary(&case),
            *expected,
            "{name}: {:#?} {:?}",
            case.findings,
            case.reason
        );
    }
}

const GREETED: &str = "title: she is greeted\nrule: direct/2a\nactors: [ann]\nsteps:\n  - connect: ann\n    greeted: true\n  \
                       - ann.send: hi\n  - ann.expect: {type: heard, data: {text: hi}}\n  - ann.pinged: p\n";

#[tokio::test]
async fn a_greeting_is_awaited_field_by_field() {
    let given = GREETED
        .replace("steps:\n  - connect", "given:\n  - connect")
        .replace("  - ann.send", "steps:\n  - ann.send");
    check(&[
        ("right", Wrong::Nothing, GREETED, "passed"),
        ("wrong", Wrong::Name, GREETED, "failed message direct/2a"),
        ("right in given", Wrong::Nothing, &given, "passed"),
        ("wrong in given", Wrong::Name, &given, "could_not_run"),
    ])
    .await;
    let reason = judged(Wrong::Name, &given).await.reason.unwrap();
    assert!(
        reason.contains("direct/2a") && reason.contains("somebody"),
        "{reason}"
    );
}

#[tokio::test]
async fn whether_a_newcomer_is_in_is_sounded_where_nobody_greets_him() {
    let accounts = "auth: {secret: {text: s3cret-of-the-village, claims: {id: \"${user.id}\"}}}\nusers: {admin: {key: key}}\n";
    let told = |greeted: &str| {
        format!(
            "title: he is told\nrule: feed/4a\nactors: [ann]\nignore: [{{type: connection_established}}, {{type: online_users}}]\n\
             steps:\n  - connect: ann\n{greeted}  \
             - inject: {{to: ann, type: SYSTEM_NOTIFICATION, data: {{message: \"${{uid}}\"}}}}\n  \
             - ann.expect: {{type: SYSTEM_NOTIFICATION, data: {{message: \"${{uid}}\"}}}}\n"
        )
    };
    let rows = [
        ("at once", Wrong::Nothing, "", "passed"),
        (
            "late, and nobody asks",
            Wrong::TakesUpLate,
            "",
            "failed message feed/4a",
        ),
        ("late", Wrong::TakesUpLate, "    greeted: true\n", "passed"),
    ];
    for (name, wrong, greeted, expected) in rows {
        let village = Village::start(wrong).await;
        let case = judged_on("feed", &village, accounts, &told(greeted)).await;
        assert_eq!(
            summary(&case),
            expected,
            "{name}: {:#?} {:?}",
            case.findings,
            case.reason
        );
    }
}

#[tokio::test]
async fn of_several_at_once_too_few_may_end() {
    let yaml = "title: one is left\nrule: direct/7a\nactors: {b1: {user: bob}, b2: {user: bob}, b3: {user: bob}}\n\
                ignore: [{type: connection_established}, {type: online_users}, {type: user_online}]\n\
                steps:\n  - connect: [b1, b2, b3]\n    at_once: true\n  \
                - closed: {all_but_one: [b1, b2, b3], left: last, code: 4005}\n  - last.send: hi\n";
    check(&[(
        "nobody is taken over",
        Wrong::Nothing,
        yaml,
        "failed close direct/7a",
    )])
    .await;
}

#[tokio::test]
async fn a_refusal_is_told_from_the_end_of_one_who_was_let_in() {
    let refused = |closed: &str| {
        format!(
            "title: it is refused\nrule: direct/1b\nactors:\n  ann: {{token: expired}}\nignore: [{{type: connection_established}}]\n\
             steps:\n  - connect: ann\n  - ann.closed: {closed}\n"
        )
    };
    let (strict, loose) = (refused("{code: 4002, before: greeting}"), refused("{code: 4002}"));
    check(&[
        ("right", Wrong::Nothing, &strict, "passed"),
        (
            "greeted first",
            Wrong::GreetsFirst,
            &strict,
            "failed close direct/1b",
        ),
        (
            "greeted first, and nobody asks",
            Wrong::GreetsFirst,
            &loose,
            "passed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn each_token_is_what_it_is_called() {
    let shown = |token: &str, code: u16| {
        format!(
            "title: it is refused\nrule: direct/1a\nactors:\n  ann: {{token: {token}}}\nsteps:\n  - connect: ann\n  \
             - ann.closed: {{code: {code}}}\n"
        )
    };
    for (token, code) in [
        ("missing", 4001),
        ("expired", 4002),
        ("none", 4002),
        ("other_algorithm", 4002),
        ("not.a.token", 4002),
        ("{claims: {id: null}}", 4002),
        ("{claims: {exp: \"${now - 1}\"}}", 4002),
    ] {
        let right = judged(Wrong::Nothing, &shown(token, code)).await;
        assert_eq!(summary(&right), "passed", "{token}: {:#?}", right.findings);
        let wrong = judged(Wrong::LetsIn, &shown(token, code)).await;
        assert!(
            summary(&wrong).starts_with("failed"),
            "{token}: {}",
            summary(&wrong)
        );
    }
}

#[tokio::test]
async fn strangers_are_set_aside_and_the_cases_own_are_not() {
    let two = "title: two meet\nrule: direct/2b\nactors: [ann, bob]\ngiven:\n  - connect: ann\n    greeted: true\nsteps:\n  \
               - connect: bob\n    greeted: true\n  - ann.expect: {type: user_online, data: {userId: \"${bob.id}\"}}\n";
    let unexpected = two.replace(
        "  - ann.expect: {type: user_online, data: {userId: \"${bob.id}\"}}\n",
        "",
    );
    check(&[
        ("nobody else", Wrong::Nothing, two, "passed"),
        (
            "a stranger, and the list after him",
            Wrong::Strangers,
            two,
            "passed",
        ),
        (
            "one of the case",
            Wrong::Nothing,
            &unexpected,
            "failed extra direct/2b",
        ),
        (
            "the same again",
            Wrong::Repeats,
            GREETED,
            "failed extra direct/2a",
        ),
    ])
    .await;
    assert_eq!(judged(Wrong::Strangers, two).await.set_aside, 6);
}

#[tokio::test]
async fn all_users_of_a_case_are_made_at_once_and_named_apart() {
    let yaml = "title: they are three\nrule: direct/2a\nactors:\n  ann: {}\n  again: {user: ann}\ngiven:\n  - users: [{as: bob, name: Bob}]\nsteps:\n  \
                - connect: ann\n    greeted: true\n  - http: {as: bob, get: /api/users}\n    expect: {status: 200, json: {id: \"${bob.id}\"}}\n  \
                - http: {as: {user: again, token: expired}, get: /api/users}\n    expect: 401\n  \
                - inject: {to: ann, type: note, data: {from: \"${bob.name}\", mail: \"${bob.email}\"}}\n  \
                - ann.expect: {type: note, data: {from: Bob, mail: {$regex: \"bob-[0-9a-f]{8}@example.test\"}}}\n  \
                - events: {of: ann, $contains: {status: sent}}\n  - connect: again\n    greeted: true\n  \
                - ann.expect: {type: user_online}\n";
    let village = Village::start(Wrong::Nothing).await;
    let case = judged_with(&village, ACCOUNTS, yaml).await;
    assert_eq!(summary(&case), "passed", "{:#?} {:?}", case.findings, case.reason);
    let made = village.asked().into_iter().filter(|path| path == "/admin/users");
    assert_eq!(made.count(), 1);
    let shown = case.transcript.unwrap().to_text();
    assert!(shown.contains("token=<token ann>"), "{shown}");
    assert!(!shown.contains("eyJ") && !shown.contains("s3cret"), "{shown}");
    let wrong = yaml.replace("{status: sent}}", "{status: pending}}");
    let case = judged_with(&village, ACCOUNTS, &wrong).await;
    assert_eq!(summary(&case), "failed message direct/2a");
}

#[tokio::test]
async fn what_the_target_lacks_skips_the_case_and_is_named() {
    let expired = GREETED.replace("actors: [ann]", "actors: {ann: {token: expired}}");
    let village = Village::start(Wrong::Nothing).await;
    for (accounts, yaml, key) in [
        ("", GREETED, "`users`"),
        ("users: {admin: {key: key}}\n", GREETED, "`auth`"),
        (
            "users: {list: [{id: a, token: x}]}\n",
            expired.as_str(),
            "`auth.secret`",
        ),
        (
            "users: {list: [{id: a, token: x}]}\n",
            &GREETED
                .replace("[ann]", "[ann, bob]")
                .replace("- connect: ann", "- connect: [bob, ann]"),
            "`users.list with 2 users`",
        ),
    ] {
        let case = judged_with(&village, accounts, yaml).await;
        assert_eq!(summary(&case), "skipped", "{:?}", case.reason);
        let reason = case.reason.unwrap();
        assert!(reason.contains(key), "{reason}");
    }
}
