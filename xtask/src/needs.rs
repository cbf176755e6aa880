//! Programs that tests need and a fresh machine may not have.
//!
//! A test never skips itself: what is missing is installed where that is possible (Debian or Ubuntu, as root), and
//! is otherwise an error that says what to install.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A program and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: &[Need] = &[Need {
    program: "chromium",
    package: "chromium",
    why: "the report is opened in a browser, as a reader would",
}];

/// Sees to it that every program is there.
pub(crate) fn everything(no_install: bool) -> Result<()> {
    for need in NEEDS.iter().filter(|need| !is_there(need.program)) {
        if no_install || !can_install() {
            bail!(
                "`{}` is missing ({}): install it, on Debian by `apt-get install {}`",
                need.program,
                need.why,
                need.package
            );
        }
        eprintln!(
            "xtask: `{}` is missing ({}): installing {}",
            need.program, need.why, need.package
        );
        install(need.package)?;
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn can_install() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && Path::new("/usr/bin/apt-get").is_file()
}

fn install(package: &str) -> Result<()> {
    let apt = |arguments: &[&str]| {
        // A package's service is never started: tests start what they need on ports of their own.
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1")
            .stdout(std::process::Stdio::null())
            .status()
            .context("could not run apt-get")
    };
    apt(&["update", "-q"])?;
    if apt(&["install", "-y", "-q", "--no-install-recommends", package])?.success() {
        return Ok(());
    }
    bail!(
        "could not install {package}: install it by hand, or find out why with `apt-get install {package}`"
    );
}
