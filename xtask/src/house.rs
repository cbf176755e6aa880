//! The directions of the house, held against the manifests.
//!
//! `server` never depends on `loadgen` or `conformance`, nor they on it; `protocol`, `wire`, `storage` and `report`
//! depend on nothing of ours; `conformance` does without the message types. And what can be set of the server is read by it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Each crate with what it may depend on among ours.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("wire", &[]),
    ("storage", &[]),
    ("report", &[]),
    ("scenarios", &["protocol"]),
    ("sut", &["protocol", "scenarios"]),
    ("server", &["protocol", "wire", "storage"]),
    ("loadgen", &["protocol", "wire", "scenarios", "sut", "report"]),
    ("conformance", &["protocol", "wire", "scenarios", "sut", "report"]),
];

/// Crates that must not switch the dialects' message types on.
const WITHOUT_MESSAGES: &[&str] = &["scenarios", "sut", "conformance"];

/// What nodes do for each other when one of them dies (common/6d): here all of them are in one process, and die together.
const BETWEEN_NODES: &[&str] = &["gone_after_death"];

/// Reads every manifest and refuses an arrow that the house does not have.
pub(crate) fn check_directions() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the workspace")?;
    for (name, allowed) in DIRECTIONS {
        let path = root.join(name).join("Cargo.toml");
        let manifest =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        check_manifest(name, allowed, &manifest)?;
    }
    Ok(())
}

/// Refuses a field of the server's configuration that nothing in the server reads: to set it would change nothing, and the
/// compiler does not say so, because the fields are public. By name only: it cannot tell two fields of one name apart.
pub(crate) fn check_settings() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the workspace")?;
    let (config, server): (Vec<_>, Vec<_>) = sources(&root.join("server/src"))?
        .into_iter()
        .partition(|(path, _)| path.starts_with(root.join("server/src/config")));
    let text =
        |sources: Vec<(PathBuf, String)>| -> String { sources.into_iter().map(|(_, text)| text).collect() };
    let (config, server) = (text(config), text(server));
    let mut unread = unread_fields(&config, &server);
    unread.retain(|name| !BETWEEN_NODES.contains(name));
    if unread.is_empty() {
        return Ok(());
    }
    bail!(
        "server/src/config has fields that nothing in server/src reads: {}",
        unread.join(", ")
    );
}

/// Whether a name may have this in it.
fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The fields in `config` of which there is no `.name` in `server`.
fn unread_fields<'a>(config: &'a str, server: &str) -> Vec<&'a str> {
    let declared = |line: &'a str| {
        let (name, _) = line.strip_prefix("    pub ")?.split_once(": ")?;
        name.chars().all(is_of_name).then_some(name)
    };
    let is_read = |name: &str| {
        server
            .split(&format!(".{name}"))
            .skip(1)
            .any(|behind| !behind.starts_with(is_of_name))
    };
    let fields = config.lines().filter_map(declared);
    fields.filter(|name| !is_read(name)).collect()
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let read = || format!("could not read {}", folder.display());
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(read)? {
        let path = entry.with_context(read)?.path();
        if path.is_dir() {
            sources.extend(self::sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).with_context(read)?;
            sources.push((path, text));
        }
    }
    Ok(sources)
}

fn check_manifest(name: &str, allowed: &[&str], manifest: &str) -> Result<()> {
    for line in manifest
        .lines()
        .filter_map(|line| line.strip_prefix("touchstone-"))
    {
        let dependency = line.split(['.', ' ', '=']).next().unwrap_or(line);
        if !allowed.contains(&dependency) {
            bail!(
                "{name}/Cargo.toml depends on {dependency}; it may depend on {allowed:?} (ARCHITECTURE.md, \"Directions\")"
            );
        }
        if WITHOUT_MESSAGES.contains(&name) && line.contains("messages") {
            bail!(
                "{name}/Cargo.toml switches the message types on: it shares the vocabulary, never the verdict"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_stands_as_drawn() {
        check_directions().unwrap();
    }

    #[test]
    fn what_can_be_set_is_read() {
        check_settings().unwrap();
    }

    #[test]
    fn a_field_that_nothing_reads_is_found() {
        let config =
            "pub struct Limits {\n    /// Bytes.\n    pub bytes: usize,\n    pub frames: usize,\n}\n";
        assert_eq!(
            unread_fields(config, "limits.bytes + limits.frames_max"),
            ["frames"]
        );
        assert!(unread_fields(config, "limits.bytes.min(limits\n    .frames)").is_empty());
    }

    #[test]
    fn a_wrong_arrow_is_refused() {
        let manifest = "[dependencies]\ntouchstone-server.workspace = true\n";
        assert!(
            check_manifest("conformance", &["wire"], manifest)
                .unwrap_err()
                .to_string()
                .contains("depends on server")
        );
        let manifest = "touchstone-protocol = { workspace = true, features = [\"messages\"] }\n";
        assert!(check_manifest("conformance", &["protocol"], manifest).is_err());
        assert!(check_manifest("loadgen", &["protocol"], manifest).is_ok());
    }
}
