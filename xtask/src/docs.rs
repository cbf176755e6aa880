//! The documents that are made from data: `docs/dialects/<folder>.md` from `scenarios/rules`, the clauses as a reader
//! wants them, and `docs/configuration.md` from the schema of the configuration.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use touchstone_scenarios::rules::{Clause, Folder, Rules};

use crate::configuration;

/// Writes every page anew.
pub(crate) fn write() -> Result<()> {
    for (path, page) in pages()? {
        let folder = path.parent().context("a page is in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        std::fs::write(&path, page).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

/// Refuses pages that are not what the rules say now.
pub(crate) fn check() -> Result<()> {
    for (path, page) in pages()? {
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        if written != page {
            bail!(
                "{} is not what it is made from: run `cargo xtask docs`",
                path.display()
            );
        }
    }
    Ok(())
}

fn pages() -> Result<Vec<(PathBuf, String)>> {
    let docs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"));
    let mut pages: Vec<_> = Rules::builtin()
        .folders
        .iter()
        .map(|rules| (docs.join(format!("dialects/{}.md", rules.name)), page(rules)))
        .collect();
    pages.push((docs.join("configuration.md"), configuration::page()?));
    Ok(pages)
}

fn page(rules: &Folder) -> String {
    let mut page = format!(
        "# {}\n\nMade from `scenarios/rules/{}.yaml` by `cargo xtask docs`. A clause is what a scenario checks and what gets a verdict; its level says\n\
         what a server owes: `must` fails the run, `should` is non-strict, `may` is informational (all three fail under `--strict`).\n",
        rules.name, rules.name
    );
    for clause in &rules.clauses {
        clause_section(&mut page, clause);
    }
    if !rules.messages.is_empty() {
        page.push_str("\n## Messages\n\n| type | direction |\n|---|---|\n");
        for message in &rules.messages {
            let _ = writeln!(page, "| `{}` | {} |", message.kind, message.direction.name());
        }
    }
    if !rules.close_codes.is_empty() {
        page.push_str("\n## Close codes\n\n| code | when |\n|---|---|\n");
        for code in &rules.close_codes {
            let _ = writeln!(page, "| {} | {} |", code.code, code.when);
        }
    }
    page
}

fn clause_section(page: &mut String, clause: &Clause) {
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\n### {} · {}\n\n{}\n",
        clause.id,
        clause.basis.level(),
        clause.sentence.trim()
    );
    if !clause.why.is_empty() {
        let _ = write!(page, "\n*Why:* {}\n", clause.why.trim());
    }
    for alternative in &clause.alternatives {
        let _ = write!(page, "\n*Alternative:* {}\n", alternative.trim());
    }
}
