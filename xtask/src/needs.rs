//! Programs and libraries that tests need and a fresh machine may not have.
//!
//! A test never skips itself: what is missing is installed where that is possible (programs on Debian or Ubuntu as root,
//! libraries into `target/clients` and `target/examples`), and is otherwise an error that says what to install.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program and the Debian package that brings it.
struct Need {
    program: Program,
    package: &'static str,
    why: &'static str,
}

/// How it is called, which is also how it is found.
#[derive(Clone, Copy)]
enum Program {
    Command(&'static str),
    PythonModule(&'static str),
    /// The server, which Debian keeps in a folder of its version.
    Postgres,
}

const FOREIGN_CLIENTS: &str = "foreign clients talk to the server";
const EXAMPLES: &str = "the bugs of the example servers are hunted";

const NEEDS: &[Need] = &[
    Need {
        program: Program::Command("chromium"),
        package: "chromium",
        why: "the report is opened in a browser, as a reader would, and a page's WebSocket talks to the server",
    },
    Need {
        program: Program::Command("node"),
        package: "nodejs",
        why: FOREIGN_CLIENTS,
    },
    Need {
        program: Program::Command("npm"),
        package: "npm",
        why: FOREIGN_CLIENTS,
    },
    Need {
        program: Program::Command("python3"),
        package: "python3",
        why: FOREIGN_CLIENTS,
    },
    Need {
        program: Program::Command("redis-server"),
        package: "redis-server",
        why: "stores and the bus of several nodes are tested against real servers",
    },
    Need {
        program: Program::PythonModule("pip"),
        package: "python3-pip",
        why: FOREIGN_CLIENTS,
    },
    Need {
        program: Program::Postgres,
        package: "postgresql",
        why: "stores are kept in a real server",
    },
];

/// What is done about a need that is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Install,
    Refuse,
}

/// Sees to it that every program and library is there.
pub(crate) fn everything(missing: Missing) -> Result<()> {
    for need in NEEDS.iter().filter(|need| !need.program.is_there()) {
        let Need {
            program,
            package,
            why,
        } = need;
        let program = program.name();
        if missing == Missing::Refuse || !can_install() {
            bail!("`{program}` is missing ({why}): install it, on Debian by `apt-get install {package}`");
        }
        eprintln!("xtask: `{program}` is missing ({why}): installing {package}");
        install(package)?;
    }
    for libraries in libraries()? {
        libraries.see_to_it(missing)?;
    }
    Ok(())
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Command(name) | Self::PythonModule(name) => name,
            Self::Postgres => "postgres",
        }
    }

    fn is_there(self) -> bool {
        match self {
            Self::Command(name) => is_in_path(name),
            Self::Postgres => {
                let mut versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
                let is_there = |version: std::io::Result<std::fs::DirEntry>| {
                    version.is_ok_and(|version| version.path().join("bin/postgres").is_file())
                };
                versions.any(is_there) || is_in_path(self.name())
            }
            Self::PythonModule(name) => Command::new("python3")
                .args(["-m", name, "--version"])
                .output()
                .is_ok_and(|output| output.status.success()),
        }
    }
}

fn is_in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// What tests that speak other languages are written with: a list names versions, and a copy of the list beside what was
/// installed is the receipt, which the tests look for.
struct Libraries {
    language: Language,
    /// What to install.
    list: PathBuf,
    /// Into which folder.
    folder: PathBuf,
    why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Node,
    Python,
}

impl Language {
    const ALL: [Self; 2] = [Self::Node, Self::Python];

    const fn list(self) -> &'static str {
        match self {
            Self::Node => "package.json",
            Self::Python => "requirements.txt",
        }
    }
}

/// Those of the foreign clients, and of every server in `examples/servers` whose bugs are hunted.
fn libraries() -> Result<Vec<Libraries>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the workspace")?;
    let of = |home: &Path, folder: &Path, why| {
        Language::ALL.map(|language| Libraries {
            language,
            list: home.join(language.list()),
            folder: folder.to_owned(),
            why,
        })
    };
    let clients = root.join("server/tests/clients");
    let mut all = Vec::from(of(&clients, &root.join("target/clients"), FOREIGN_CLIENTS));
    let servers = root.join("examples/servers");
    let entries =
        std::fs::read_dir(&servers).with_context(|| format!("could not read {}", servers.display()))?;
    for entry in entries {
        let home = entry?.path();
        if home.join("bugs.yaml").is_file() {
            let folder = root
                .join("target/examples")
                .join(home.file_name().unwrap_or_default());
            all.extend(of(&home, &folder, EXAMPLES));
        }
    }
    all.retain(|libraries| libraries.list.is_file());
    Ok(all)
}

impl Libraries {
    fn see_to_it(&self, missing: Missing) -> Result<()> {
        let Self {
            language,
            list,
            folder,
            why,
        } = self;
        let wanted =
            std::fs::read_to_string(list).with_context(|| format!("could not read {}", list.display()))?;
        let receipt = folder.join(language.list()).with_added_extension("installed");
        if std::fs::read_to_string(&receipt).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        if missing == Missing::Refuse {
            bail!(
                "what {} lists is not in {} ({why}): `cargo xtask needs` installs it",
                list.display(),
                folder.display()
            );
        }
        eprintln!("xtask: installing what {} lists", list.display());
        std::fs::create_dir_all(folder)?;
        let mut command = self.installing()?;
        let status = command
            .status()
            .with_context(|| format!("could not run {command:?}"))?;
        if !status.success() {
            bail!("failed ({status}): {command:?}");
        }
        Ok(std::fs::write(receipt, wanted)?)
    }

    /// The registry is the one that this machine is set up for.
    fn installing(&self) -> Result<Command> {
        let Self { list, folder, .. } = self;
        let mut command = match self.language {
            Language::Node => {
                std::fs::copy(list, folder.join(self.language.list()))?;
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
                npm.arg("--prefix").arg(folder);
                npm
            }
            Language::Python => {
                let packages = folder.join("python");
                empty(&packages)?;
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
                pip.args(["--root-user-action=ignore", "--target"]).arg(packages);
                pip.arg("--requirement").arg(list);
                pip
            }
        };
        command.stdout(Stdio::null());
        Ok(command)
    }
}

/// Removes what an older list brought.
fn empty(folder: &PathBuf) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
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
            .stdout(Stdio::null())
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
