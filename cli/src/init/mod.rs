//! `touchstone conform init`: a target file with everything that can be said of a server, and a look at the server to see
//! what of it is true.

mod draft;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use touchstone_conformance::needs;
use touchstone_conformance::probe::{Depth, Outcome as Seen, Tried, probe, probe_server};
use touchstone_conformance::select::{Case, cases};
use touchstone_sut::{Sut, Target};

use crate::args::InitArgs;
use crate::exit::{self, Failure, Outcome};
use crate::{conform, interrupt, print, target};
use draft::{Given, Trusted};

/// Writes a target file, unless one is only to be tried, and tries it.
pub(crate) async fn run(args: &InitArgs) -> Outcome {
    let path = match &args.try_file {
        Some(path) => path.clone(),
        None => {
            let given = given(args)?;
            write(args, &draft::text(&given))?;
            args.out.clone()
        }
    };
    let shown = path.display().to_string();
    let target = Target::from_file(&shown).map_err(target::unusable)?;
    let scenarios = conform::scenarios(None)?;
    let all = cases(&scenarios, &target.dialects);
    let tried = interrupt::or_interrupted(async |stop| {
        let sut = target::start(target.clone(), &stop).await?;
        let looked = stop.run_until_cancelled(look(&sut)).await;
        sut.shut_down().await;
        looked.ok_or_else(|| Failure::interrupted("interrupted before everything was tried"))
    });
    let tried = tried.await?;
    print::line(&format!("works     {:<26} the server is there", "urls"))?;
    for one in &tried {
        print_tried(one)?;
    }
    print_unsaid(&target, &all)?;
    print::line(&format!("\nnext: touchstone conform run --target {shown}"))?;
    if tried.iter().any(|one| one.trouble().is_some()) {
        return Ok(exit::JUDGED);
    }
    Ok(exit::OK)
}

fn given(args: &InitArgs) -> Result<Given, Failure> {
    if let Some(url) = &args.url {
        Target::from_url(url, &[]).map_err(target::unusable)?;
    }
    let spawn = match &args.spawn {
        None => Vec::new(),
        Some(command) => Target::command_words(command).map_err(target::unusable)?,
    };
    Ok(Given {
        url: args.url.clone(),
        spawn,
        dialects: args.dialects.clone(),
        secret_file: args.secret_file.clone(),
        ca: args.ca.clone(),
        trust: if args.insecure {
            Trusted::Anyone
        } else {
            Trusted::Verified
        },
    })
}

/// Writes the file. One that is there already holds somebody's work.
fn write(args: &InitArgs, text: &str) -> Result<(), Failure> {
    let path = args.out.as_path();
    let mut options = OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| could_not_write(path, &error))?;
    print::line(&format!("wrote {}\n", path.display()))
}

fn could_not_write(path: &Path, error: &std::io::Error) -> Failure {
    let shown = path.display();
    if error.kind() == ErrorKind::AlreadyExists {
        return Failure::usage(format!(
            "{shown} is there already: --try {shown} tries it, --force replaces it, --out writes another"
        ));
    }
    Failure::usage(format!("could not write {shown}: {error}"))
}

async fn look(sut: &Sut) -> Vec<Tried> {
    let mut tried = Vec::new();
    for dialect in &sut.target().dialects {
        tried.extend(probe(sut, *dialect, Depth::Everything).await);
    }
    // Last, because it stops the server.
    tried.extend(probe_server(sut).await);
    tried
}

fn print_tried(tried: &Tried) -> Result<(), Failure> {
    let (word, seen) = match &tried.outcome {
        Seen::Works(seen) => ("works", seen),
        Seen::Fails(why) | Seen::NothingThere(why) => ("fails", why),
        Seen::Untried(why) => ("not tried", why),
        // It is listed once for all dialects, with what it would switch on.
        Seen::NotSaid => return Ok(()),
    };
    let about = match tried.dialect {
        Some(dialect) if !tried.key.contains(dialect.name()) => format!("{} ({dialect})", tried.key),
        Some(_) | None => tried.key.clone(),
    };
    print::line(&format!("{word:<9} {about:<26} {seen}"))
}

/// What the file does not say, with what is skipped for it: the most important first.
fn print_unsaid(target: &Target, all: &[Case]) -> Result<(), Failure> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut can_run = 0;
    for case in all {
        let missing = needs::missing(case, target);
        can_run += usize::from(missing.is_empty());
        for key in missing {
            *counts.entry(key).or_default() += 1;
        }
    }
    let mut keys: Vec<_> = counts.into_iter().collect();
    keys.sort_by_key(|(key, count)| (std::cmp::Reverse(*count), key.clone()));
    for (key, count) in keys {
        let cases = if count == 1 {
            "1 case is"
        } else {
            &format!("{count} cases are")
        };
        print::line(&format!(
            "not said  {key:<26} {cases} skipped without it: {}",
            about(&key)
        ))?;
    }
    print::line(&format!(
        "\n{can_run} of {} cases can be run; the others are skipped, never green",
        all.len()
    ))
}

/// What a key of the target file says.
fn about(key: &str) -> &'static str {
    match key.split('.').collect::<Vec<_>>().as_slice() {
        ["users", "admin"] | ["admin"] => "an admin interface like the built-in server's",
        ["operate", _, "disconnect"] => "how an operator closes a user's connections",
        ["operate", _, "delete_user"] => "how an operator takes a user away",
        ["operate", _, "drain"] => "how an operator drains the server",
        ["operate", _, "sweep"] => "how an operator has everything sent that is pending",
        ["users", ..] => "how users come to be",
        ["tenants", ..] => "how tenants come to be",
        ["channels", ..] => "how channels come to be",
        ["auth", "secret"] => "what tokens are signed with, so that some can be wrong on purpose",
        ["auth", ..] => "how a token comes to be",
        ["inject", ..] => "how the server is made to emit",
        ["events", ..] => "how queued events are listed",
        ["faults", ..] => "how something is made to fail",
        ["limits", ..] => "a limit that the server has",
        ["timings", ..] => "how the server is set",
        ["spawn" | "restart" | "log", ..] => "how the server is started (`spawn`)",
        ["durable", ..] => {
            "`capabilities: {durable: true}`, of a server that is spawned and keeps what it confirmed"
        }
        ["compression", ..] => "`capabilities: {compression: true}`",
        ["metrics", ..] => "what it counts, at /metrics",
        _ => "a capability",
    }
}
