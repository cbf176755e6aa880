//! Lists the corpus, so that every file of it is compiled in: rules, scenarios, workloads and mutants.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut code = String::new();
    for (name, folder) in [
        ("RULES", "rules"),
        ("CONFORMANCE", "conformance"),
        ("LOAD", "load"),
        ("MUTANTS", "mutants"),
    ] {
        println!("cargo::rerun-if-changed={folder}");
        let mut files = Vec::new();
        list(&root.join(folder), &mut files)?;
        files.sort();
        let _ = writeln!(code, "pub(crate) const {name}: &[(&str, &str)] = &[");
        for file in files {
            let shown: Vec<_> = file
                .strip_prefix(&root)
                .unwrap_or(&file)
                .components()
                .map(|part| part.as_os_str().to_string_lossy())
                .collect();
            // Writing to a String cannot fail.
            let _ = writeln!(code, "    ({:?}, include_str!({file:?})),", shown.join("/"));
        }
        code.push_str("];\n");
    }
    fs::write(out.join("corpus.rs"), code)
}

/// Every `.yaml` below `folder`. A folder that is not there has none.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            list(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}
