//! Mutants: what is compiled in names what is there, and what a person sees who made a mistake in a file of his own.
//!
//! To change a message, run with `INSTA_UPDATE=always` and read the difference as the person would.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use touchstone_protocol::Dialect;
use touchstone_scenarios::diag::{Diag, Paint};
use touchstone_scenarios::mutant::{
    Control, Deed, Edit, Fault, Form, LauncherFault, Mutant, Rule, TcpEnd, Trigger, Way, Which, check_names,
};
use touchstone_scenarios::scenario::{MessageMatcher, StatusMatcher};
use touchstone_scenarios::{builtin_mutants, builtin_scenarios, generic_mutants, load_dir, load_mutants};

fn shown(diags: &[Diag]) -> String {
    let shown: Vec<String> = diags.iter().map(|diag| diag.render(Paint::Plain)).collect();
    shown.join("\n\n")
}

fn read(name: &str, text: &str) -> (Vec<Mutant>, Vec<Diag>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.yaml"));
    fs::write(&path, text).unwrap();
    load_mutants(&path)
}

#[test]
fn the_builtin_mutants_name_clauses_and_cases_that_are_there() {
    let mutants = builtin_mutants().unwrap_or_else(|diags| panic!("{}", shown(&diags)));
    let diags = check_names(&mutants, &builtin_scenarios().unwrap());
    assert!(diags.is_empty(), "{}", shown(&diags));
    let ids: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.id.as_str()).collect();
    assert_eq!(ids.len(), mutants.len());
    assert!(mutants.iter().all(|mutant| !mutant.clauses.is_empty()));
}

#[test]
fn every_mistake_is_shown_where_it_is_with_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong-mutants");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"-->.*/wrong-mutants/", "--> mutants/");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (mutants, mut diags) = load_mutants(file);
        if diags.is_empty() {
            diags = check_names(&mutants, &builtin_scenarios().unwrap());
        }
        assert!(!diags.is_empty(), "{name} is read without a complaint");
        settings.bind(|| insta::assert_snapshot!(name, shown(&diags)));
    }
    assert!(files.len() > 10, "only {} files were found", files.len());
}

fn only(text: &str) -> Mutant {
    let (mutants, diags) = read("lobby", text);
    assert!(diags.is_empty(), "{}", shown(&diags));
    mutants.into_iter().next().unwrap()
}

fn rule(on: &str, does: &str) -> Rule {
    let mutant = only(&format!(
        "mutants: [{{id: m, breaks: b, clauses: any, killed_by: '**', on: {on}, do: {does}}}]"
    ));
    match mutant.fault {
        Fault::Proxy(mut rules) => rules.pop().unwrap(),
        Fault::Launcher(_) => panic!("a rule was written"),
    }
}

#[test]
fn a_mutant_is_its_folder_its_name_and_what_it_breaks() {
    let mutant = only(
        "mutants:
  - {id: lost, breaks: a word is lost, clauses: [lobby/words], killed_by: [lobby/words, 'lobby/w*'], on: {down: any},
     every: 2, do: drop}",
    );
    assert_eq!(
        (mutant.id.as_str(), mutant.breaks.as_str()),
        ("lobby/lost", "a word is lost")
    );
    assert_eq!(mutant.killed_by[1].to_string(), "lobby/w*");
    assert_eq!(mutant.dialects, []);
    let Fault::Proxy(rules) = &mutant.fault else {
        panic!("{mutant:?}")
    };
    assert!(matches!(
        rules.as_slice(),
        [Rule { on: Trigger::Frame { way: Way::Down }, which: Which::Every(2), after: None, does }] if matches!(does.as_slice(), [Deed::Drop])
    ));
}

#[test]
fn the_folder_says_the_dialect_unless_the_file_or_the_mutant_does() {
    let text = |head: &str, own: &str| {
        format!(
            "{head}\nmutants: [{{id: m, breaks: b, clauses: [common/5a], killed_by: 'a', {own} on: {{down: any}}, do: drop}}]"
        )
    };
    for (folder, head, own, dialects) in [
        ("echo", "", "", vec![Dialect::Echo]),
        ("rfc6455", "", "", vec![]),
        ("common-rooms", "dialects: [rooms]", "", vec![Dialect::Rooms]),
        (
            "common",
            "",
            "dialects: [echo, feed],",
            vec![Dialect::Echo, Dialect::Feed],
        ),
        ("echo", "dialects: []", "", vec![]),
    ] {
        let (mutants, diags) = read(folder, &text(head, own));
        assert!(diags.is_empty(), "{folder}: {}", shown(&diags));
        assert_eq!(mutants[0].dialects, dialects, "{folder} {head} {own}");
    }
}

#[test]
fn what_passes_is_read() {
    assert!(matches!(
        rule("{up: binary}", "drop").on,
        Trigger::Form {
            way: Way::Up,
            of: Form::Binary
        }
    ));
    assert!(matches!(
        rule("{up: empty}", "drop").on,
        Trigger::Form { of: Form::Empty, .. }
    ));
    let Trigger::Form {
        of: Form::Text(text), ..
    } = rule("{up: text}", "drop").on
    else {
        panic!("any text")
    };
    assert!(text.is_match("two\nlines"));
    let Trigger::Form {
        of: Form::Text(text), ..
    } = rule("{down: {$regex: h.llo}}", "drop").on
    else {
        panic!("some text")
    };
    assert!(text.is_match("hello") && !text.is_match("hello!"));
    assert!(matches!(
        rule("{down: {}}", "drop").on,
        Trigger::Message {
            of: MessageMatcher::Json(_),
            ..
        }
    ));
    assert!(matches!(
        rule("{down: {$text: any}}", "drop").on,
        Trigger::Message {
            of: MessageMatcher::Text(_),
            ..
        }
    ));
    let Trigger::Header { way: Way::Up, like } = rule(
        "{frame: {way: up, opcodes: [3, cont], masked: false, rsv: 4}}",
        "{frame: {rsv: 0}}",
    )
    .on
    else {
        panic!("a frame by its header")
    };
    assert_eq!(
        (like.opcodes.as_slice(), like.rsv.as_slice()),
        (&[3, 0][..], &[4][..])
    );
    assert_eq!((like.masked, like.fin), (Some(false), None));
    assert!(matches!(
        rule("{pong: down}", "drop").on,
        Trigger::Control {
            way: Way::Down,
            kind: Control::Pong
        }
    ));
    let Trigger::Close { codes, .. } = rule("{close: {way: down, codes: [1001, 1012]}}", "drop").on else {
        panic!("a close frame")
    };
    assert_eq!(codes, [1001, 1012]);
    let Trigger::Answer { to, status } = rule(
        "{answer: {method: post, path: /a/.*, status: [2xx, 404], headers: {X-One: '1'}}}",
        "drop",
    )
    .on
    else {
        panic!("an answer")
    };
    assert_eq!((to.method.as_deref(), to.handshake), (Some("POST"), false));
    assert!(to.path.unwrap().is_match("/a/b") && to.headers[0].0 == "x-one");
    assert!(matches!(
        status.as_slice(),
        [StatusMatcher::Class(2), StatusMatcher::Exactly(404)]
    ));
    assert!(matches!(rule("{handshake: {}}", "drop").on, Trigger::Request(request) if request.handshake));
}

#[test]
fn what_is_done_is_read_in_order() {
    let deeds = rule(
        "{close: down}",
        "[{code: empty, reason: gone}, drop, {end: reset}]",
    )
    .does;
    assert!(matches!(
        deeds.as_slice(),
        [
            Deed::Code(None),
            Deed::Reason(_),
            Deed::Drop,
            Deed::End(TcpEnd::Reset)
        ]
    ));
    let deeds = rule(
        "{frame: {way: down, opcodes: close, bytes_min: 3}}",
        "{reason: gone}",
    )
    .does;
    assert!(matches!(deeds.as_slice(), [Deed::Reason(_)]));
    let deeds = rule(
        "{down: {}}",
        "[{edit: [{remove: [/a, '/b/*']}, {set: {/c: [1]}, copy: {/d: /e}}]}, {late: 1s}, {frame: {rsv: 4, payload_suffix: '00 ff'}}]",
    )
    .does;
    let [
        Deed::Edit(edits),
        Deed::Delay { overtaken: true, .. },
        Deed::Frame(flaw),
    ] = deeds.as_slice()
    else {
        panic!("{deeds:?}")
    };
    assert_eq!(
        *edits,
        [
            Edit::Remove("/a".to_owned()),
            Edit::Remove("/b/*".to_owned()),
            Edit::Set("/c".to_owned(), serde_json::json!([1])),
            Edit::Copy {
                to: "/d".to_owned(),
                from: "/e".to_owned()
            },
        ]
    );
    assert_eq!(
        (flaw.rsv, flaw.payload_suffix.as_slice()),
        (Some(4), &[0x00, 0xff][..])
    );
    let deeds = rule("{answer: {}}", "{status: 500, header: {A: x, B: null}}").does;
    assert!(matches!(
        deeds.as_slice(),
        [
            Deed::Status(500),
            Deed::Header { value: Some(_), .. },
            Deed::Header { value: None, .. }
        ]
    ));
}

#[test]
fn a_launcher_breaks_what_passes_no_proxy() {
    for (text, fault) in [
        ("log: token", LauncherFault::LogsTokens),
        ("log: nothing", LauncherFault::LogsNothing),
        ("store: emptied", LauncherFault::EmptiesStore),
        ("signals: ignored", LauncherFault::IgnoresSignals),
        ("exit: 3", LauncherFault::ExitsWith(3)),
        ("stop: kill", LauncherFault::KillsOnStop),
    ] {
        let mutant = only(&format!(
            "mutants: [{{id: m, breaks: b, clauses: any, killed_by: '**', launcher: {{{text}}}}}]"
        ));
        assert!(
            matches!(mutant.fault, Fault::Launcher(read) if read == fault),
            "{text}"
        );
    }
}

#[test]
fn mutants_of_ones_own_name_scenarios_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let scenario =
        "title: t\nactors: {c: {path: /ws}}\nsteps: [{connect: c}, {c.send: hi}, {c.expect: hi}]\n";
    fs::write(folder.path().join("words.yaml"), scenario).unwrap();
    let (scenarios, _) = load_dir(folder.path());
    let text = |clause: &str, case: &str| {
        format!(
            "mutants: [{{id: m, breaks: b, clauses: [{clause}], killed_by: [{case}], on: {{down: any}}, do: drop}}]"
        )
    };
    let named = |clause: &str, case: &str| {
        let (mutants, diags) = read("lobby", &text(clause, case));
        assert!(diags.is_empty(), "{}", shown(&diags));
        let diags = check_names(&mutants, &scenarios);
        diags.iter().map(|diag| diag.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(named("words", "words"), Vec::<String>::new());
    assert_eq!(named("words", "w*"), Vec::<String>::new());
    let wrong = named("word", "wrods");
    assert!(
        wrong[0].ends_with("no scenario of this name (did you mean `words`?)"),
        "{wrong:?}"
    );
    assert!(
        wrong[1].ends_with("`wrods` matches no case (did you mean `words`?)"),
        "{wrong:?}"
    );
}

#[test]
fn the_generic_mutants_need_no_dialect_and_no_clause() {
    for mutant in generic_mutants().unwrap_or_else(|diags| panic!("{}", shown(&diags))) {
        assert!(
            mutant.dialects.is_empty() && mutant.clauses.is_empty(),
            "{}",
            mutant.id
        );
    }
}
