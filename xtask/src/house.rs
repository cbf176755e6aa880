//! The directions of the house, held against the manifests.
//!
//! `server` never depends on `loadgen` or `conformance`, nor they on it; `protocol`, `wire`, `storage` and `report`
//! depend on nothing of ours; `conformance` does without the message types.

use std::path::Path;

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
