//! The command line as it is typed. What it means is worked out by each command's own module.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand, ValueEnum};
use touchstone_loadgen::sources::Sources;
use touchstone_protocol::Dialect;
use touchstone_protocol::timestamp::Rfc3339;
use touchstone_scenarios::duration;

use crate::outputs::{ConformReport, CoverageReport, LoadReport};
use crate::settings::KeyFlags;

/// A production WebSocket server, a load generator, and a conformance suite that can fail.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Cases at once: most of a case is waiting, for a heartbeat or for a frame that must not come.
pub(crate) const JOBS: u16 = 10;
/// With the built-in server, which keeps up with so many: benches/README.md, "The suite". Of others nothing is known.
pub(crate) const JOBS_BUILT_IN: u16 = 60;

/// Cases at once while mutants are tried.
pub(crate) const TRIALS: u16 = 32;

const EXAMPLES: &str = "\
Examples:
  is everything right here, and how fast?
      touchstone check
  is that server right?
      touchstone conform run --url ws://127.0.0.1:8080
  the same, with a server that the suite starts and stops
      touchstone conform run --spawn 'node server.js' 'echo/*'
  how does it behave under load?
      touchstone load run smoke --url ws://127.0.0.1:8080
  the built-in server
      touchstone serve --dev

Exit codes:
  0    ok
  1    it ran and something failed
  2    the command line, a file or this machine is in the way
  3    the target could not be reached
  130  interrupted";

/// The command line that the program was started with. Ends the program with help or a mistake, as `clap` does.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the built-in server, replay the whole suite, put it under load, and write a report
    Check(CheckArgs),
    /// Run the built-in server
    Serve(ServeArgs),
    /// Replay conformance scenarios against a server, and say what holds
    Conform {
        #[command(subcommand)]
        command: Box<ConformCommand>,
    },
    /// Simulate thousands of sessions, and say what they felt
    Load {
        #[command(subcommand)]
        command: LoadCommand,
    },
    /// Copy a durable store to a file, also while a server uses it
    #[command(
        after_help = "Example:\n  touchstone backup --store embedded:/var/lib/touchstone/store.db \\\n    --to backup.db\n\n\
The copy is a store itself: `serve --store embedded:backup.db` serves from it."
    )]
    Backup(BackupArgs),
    /// Make the tables of a store in PostgreSQL, or bring them up to date
    #[command(
        after_help = "Examples:\n  touchstone migrate --store postgres://touchstone@db.example/chat?passwordfile=/run/secrets/db\n  \
TOUCHSTONE_STORE=postgres://… touchstone migrate\n\n\
All of it is done, or nothing; done again, it changes nothing. Stop the servers that use the\n\
store before a new version migrates it. Exit code 2 if it cannot be done; docs/postgres.md\n\
has the tables, and the rights that the user needs."
    )]
    Migrate(MigrateArgs),
    /// Tokens of the dialects' users
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Print the JSON Schema of a kind of file, for editors
    #[command(
        after_help = "Example:\n  touchstone schema target > target.schema.json\n\nAn editor takes it by the first line of a file:\n  # yaml-language-server: $schema=target.schema.json"
    )]
    Schema {
        /// Which kind of file
        of: SchemaOf,
    },
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  touchstone completions bash \\\n    > ~/.local/share/bash-completion/completions/touchstone"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  touchstone check --quick --out /tmp/report\n  touchstone check 'echo/*' 'rfc6455/**'\n\n\
Leaves index.html, report.json and junit.xml. Exit code 0 only if no case failed\n\
or could not run, and no confirmed message was lost."
)]
pub(crate) struct CheckArgs {
    /// Which cases of the suite; all if left out
    #[arg(value_name = "ID-GLOB")]
    pub(crate) ids: Vec<String>,
    /// A tenth of the sessions, for 3 s
    #[arg(long)]
    pub(crate) quick: bool,
    /// The server behind TLS, with a certificate that is made for the run
    #[arg(long)]
    pub(crate) tls: bool,
    /// Where the report goes; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "touchstone-report")]
    pub(crate) out: PathBuf,
    /// Sessions of the load run [default: 2000, or 200 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sessions: Option<u32>,
    /// How long the load run stays at full load [default: 10s, or 3s with --quick]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) duration: Option<Duration>,
    /// Where everything random in the run comes from [default: drawn, and shown in the report]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The store: embedded:PATH
    #[arg(long, value_name = "URL")]
    pub(crate) store: String,
    /// Where the copy goes; there must be nothing yet
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// The store: postgres://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "URL", env = "TOUCHSTONE_STORE", hide_env_values = true)]
    pub(crate) store: String,
}

#[derive(Debug, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub(crate) struct ServeArgs {
    /// A configuration file, YAML [env: TOUCHSTONE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set any key of the configuration. May be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: KeyFlags,
    /// For the first five minutes: a made-up secret, on loopback only; prints a URL with token for each dialect
    #[arg(long, conflicts_with = "supervised")]
    pub(crate) dev: bool,
    /// Show what every value is and where it came from, and end. What it prints is a configuration file
    #[arg(long)]
    pub(crate) print_config: bool,
    /// `json=-` shows it as JSON
    #[arg(long = "report", value_name = "FORMAT=PATH", requires = "print_config")]
    pub(crate) report: Option<ConformReport>,
    /// Run as the child of another touchstone: keys come by stdin, the address leaves by stdout, the end of stdin ends it
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  touchstone serve --dev
  touchstone serve --dialects echo --listen 127.0.0.1:9001 --raw-echo /raw
  touchstone serve --config touchstone.yaml --set echo.session.ttl=10m
  touchstone serve --config touchstone.yaml --print-config

Every key is also an environment variable: TOUCHSTONE_ECHO_SESSION_TTL=10m.
The command line comes before the environment, and that before the file.
`touchstone schema config` prints the keys as JSON Schema.
SIGTERM and SIGINT stop it gracefully.";

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Sign a token for a user, and print it
    #[command(after_help = "Examples:
  touchstone token mint --dialect feed --user 7 --secret-file secret
  touchstone token mint --dialect rooms --user 7 \\
    --claim tenant_id=1 --claim schema_name=acme --expires-in 5m

Without --secret-file the secret is what `touchstone serve` would take from the
environment: TOUCHSTONE_SECRET, then JWT_SECRET, then for feed SECRET_KEY.")]
    Mint(TokenMintArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenMintArgs {
    /// The dialect whose token it is
    #[arg(long, value_name = "NAME")]
    pub(crate) dialect: Dialect,
    /// The user's id, as the dialect has it
    #[arg(long, value_name = "ID")]
    pub(crate) user: String,
    /// The file that holds the secret
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// How long it is good
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub(crate) expires_in: Duration,
    /// A claim beside; its value is JSON, or else text. May be given several times
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    pub(crate) claims: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SchemaOf {
    /// A scenario file of `conform`
    Scenario,
    /// A file of mutants, for `conform mutants`
    Mutants,
    /// A workload file of `load`
    Workload,
    /// A target file of `conform` and `load`
    Target,
    /// The configuration file of `serve`
    Config,
}

/// The system under test; without any of these the built-in server is started.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target (default: the built-in server)")]
pub(crate) struct TargetArgs {
    /// What is known of the server, as a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "spawn"])]
    pub(crate) target: Option<PathBuf>,
    /// A server that runs: ws://HOST:PORT or wss://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "spawn")]
    pub(crate) url: Option<String>,
    /// A command that starts the server, without a shell. It gets its port as PORT and in place of `${port}`, and is
    /// ready when it accepts TCP
    #[arg(long, value_name = "CMD")]
    pub(crate) spawn: Option<String>,
    /// Which dialects it speaks, with --url or --spawn
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "target")]
    pub(crate) dialects: Vec<Dialect>,
    /// The file that holds what tokens are signed with, with --url or --spawn: HS256, and the claims of the spec
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The authorities (PEM) that are believed with wss://, in place of the system's; a server's own certificate will
    /// do. With --spawn: it speaks TLS
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    pub(crate) ca: Option<PathBuf>,
    /// Believe whoever answers with wss://. With --spawn: it speaks TLS
    #[arg(long, conflicts_with_all = ["target", "ca"])]
    pub(crate) insecure: bool,
    /// The built-in server behind TLS, with a certificate that is made for the run
    #[arg(long, conflicts_with_all = ["target", "url", "spawn", "ca", "insecure"])]
    pub(crate) tls: bool,
    /// Where the built-in server keeps its state, in place of a file of its own: a --store of `serve` that is durable
    #[arg(long, value_name = "URL", conflicts_with_all = ["target", "url", "spawn"])]
    pub(crate) store: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConformCommand {
    /// Replay scenarios and judge them
    #[command(after_help = "Examples:
  touchstone conform run
  touchstone conform run --url ws://127.0.0.1:8080 --report junit=junit.xml
  touchstone conform run --url wss://chat.example --ca ca.pem
  touchstone conform run --url ws://127.0.0.1:9000 --scenarios my-scenarios
  touchstone conform run 'rfc6455/**' --report json=- | jq .summary

In an id `*` stands for a part and `**` for any number of them.")]
    Run(ConformRunArgs),
    /// List the cases
    List(ConformListArgs),
    /// Show a clause, a case or a mutant: what it asks or breaks, why it matters, what to change
    #[command(
        after_help = "Examples:\n  touchstone conform explain echo/2a\n  touchstone conform explain 'rfc6455/5.6-utf8'"
    )]
    Explain {
        /// A clause (`echo/2a`), a case (`echo/2a-verbatim`) or a mutant (`echo/answer-lost`)
        id: String,
        /// Folder with scenarios of your own
        #[arg(long, value_name = "DIR")]
        scenarios: Option<PathBuf>,
    },
    /// Break one thing at a time between the suite and a server, and say which scenario notices: can the suite fail?
    #[command(after_help = "Examples:
  touchstone conform mutants
  touchstone conform mutants 'rooms/**' --quick
  touchstone conform mutants echo/answer-lost --named --trace
  touchstone conform mutants --list
  touchstone conform mutants --url ws://127.0.0.1:9000 --scenarios my-scenarios

A mutant is killed when a case fails under a clause that the mutant breaks, and passes with
nothing broken. Exit code 0 only if every mutant is killed, by all cases that its file names,
every scenario kills one, and nothing fails with nothing broken.")]
    Mutants(ConformMutantsArgs),
    /// Write a target file for a server of your own, and try it
    #[command(after_help = "Examples:
  touchstone conform init --dialect direct --url ws://127.0.0.1:8080
  touchstone conform init --dialect feed --spawn 'node server.js' --secret-file jwt-secret
  touchstone conform init --try touchstone-target.yaml

A line for each thing that was tried: it works, it fails with what the server
answered, or the file does not say yet how, and so many cases are skipped for it.
Exit code 0 if nothing failed, 1 if something did, 3 if the server is not there.")]
    Init(InitArgs),
    /// Show what crossed the wire in a run, clause by clause, and what did not
    #[command(after_help = COVERAGE_EXAMPLES)]
    Coverage(ConformCoverageArgs),
    /// Show a result again, in any format, or several side by side
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ConformReportArgs),
    /// Check files of scenarios and of mutants without a server
    #[command(after_help = "Example:\n  touchstone conform validate my-scenarios")]
    Validate {
        /// Files, or folders of them
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConformRunArgs {
    /// Which cases; all of the target's dialects if left out
    #[arg(value_name = "ID-GLOB")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Folder with scenarios of your own, in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(crate) scenarios: Option<PathBuf>,
    /// Everything below a clause's letter fails, not only what its document demands. Always on for the built-in server
    #[arg(long)]
    pub(crate) strict: bool,
    /// Cases that must fail, an id or glob a line; one that passes makes the run fail
    #[arg(long, value_name = "FILE")]
    pub(crate) known_failing: Option<PathBuf>,
    /// A skipped case makes the run fail
    #[arg(long)]
    pub(crate) no_skips: bool,
    /// Cases at once [default: 10, or 60 with the built-in server]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// End at the first case that fails
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Stretch the far edge of every time window, for busy machines; the near edge never moves
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = patience)]
    pub(crate) patience: f64,
    /// Where everything random in the run comes from [default: drawn, and shown in the report]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Run only this order of an `interleave`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) order: Option<u32>,
    /// Show the transcript of every case, not only of those that fail
    #[arg(long)]
    pub(crate) trace: bool,
    /// Write a report: json, junit, tap, markdown or html; `-` is stdout. May be given several times
    #[arg(long = "report", value_name = "FORMAT=PATH")]
    pub(crate) reports: Vec<ConformReport>,
}

const COVERAGE_EXAMPLES: &str = "Examples:
  touchstone conform coverage
  touchstone conform coverage --url ws://127.0.0.1:8080 --report html=coverage.html
  touchstone conform coverage --from touchstone-report/report.json

A hole is a clause, a kind of message or a close code of the rules that no case
has seen, though the target has all that it takes. Holes are listed with what
would fill them, and make the exit code 1.";

const REPORT_EXAMPLES: &str = "Examples:
  touchstone conform report result.json --report markdown=comment.md
  touchstone conform report before.json after.json
  touchstone conform report a.json b.json --report html=side-by-side.html

Takes what `conform run --report json=FILE` and `check` leave. Each cell is the
worst that a case of the clause found. It only shows: the exit code is 0 whatever
the results say.";

#[derive(Debug, Args)]
pub(crate) struct ConformCoverageArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// A result, as `conform run --report json=FILE` and `check` leave it, in place of a run
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "url", "spawn", "tls", "scenarios", "jobs"])]
    pub(crate) from: Option<PathBuf>,
    /// Folder with scenarios of your own, in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(crate) scenarios: Option<PathBuf>,
    /// Cases at once
    #[arg(long, value_name = "N", default_value_t = JOBS, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    /// Write a report: json, markdown or html; `-` is stdout. May be given several times
    #[arg(long = "report", value_name = "FORMAT=PATH")]
    pub(crate) reports: Vec<CoverageReport>,
}

#[derive(Debug, Args)]
pub(crate) struct ConformReportArgs {
    /// Results, in the order of their columns
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Write a report: json, junit, tap, markdown or html (of several results json, markdown or html); `-` is stdout.
    /// May be given several times
    #[arg(long = "report", value_name = "FORMAT=PATH")]
    pub(crate) reports: Vec<ConformReport>,
}

#[derive(Debug, Args)]
pub(crate) struct ConformMutantsArgs {
    /// Which mutants; all of the target's dialects if left out
    #[arg(value_name = "MUTANT-GLOB")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Show the mutants, and try none
    #[arg(long)]
    pub(crate) list: bool,
    /// Try each mutant only with the cases that its file names
    #[arg(long, conflicts_with = "quick")]
    pub(crate) named: bool,
    /// Try each mutant only until a case notices it, and each scenario until it notices one
    #[arg(long)]
    pub(crate) quick: bool,
    /// Mutants of your own, a file or a folder, in place of the built-in ones
    #[arg(long, value_name = "PATH")]
    pub(crate) mutants: Option<PathBuf>,
    /// Folder with scenarios of your own, in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(crate) scenarios: Option<PathBuf>,
    /// How many times the cases are run with nothing broken; all have to be green
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) control: u32,
    /// Cases at once, each through a proxy of its own
    #[arg(long, value_name = "N", default_value_t = TRIALS, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) at_once: u16,
    /// Try again, a few at once, what did not come out as it should, so many times: for machines too busy to keep the time
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=10))]
    pub(crate) retries: u32,
    /// Stretch the far edge of every time window, for busy machines, and the delays of mutants with it
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = patience)]
    pub(crate) patience: f64,
    /// Where everything random in the run comes from [default: drawn, and shown in the report]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Show what every failure said, with its transcript
    #[arg(long)]
    pub(crate) trace: bool,
    /// Write a report: json, junit, tap, markdown or html; `-` is stdout. May be given several times
    #[arg(long = "report", value_name = "FORMAT=PATH")]
    pub(crate) reports: Vec<ConformReport>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A dialect that the server speaks; all if left out. May be given several times
    #[arg(
        long = "dialect",
        alias = "dialects",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) dialects: Vec<Dialect>,
    /// Where the server runs: ws://HOST:PORT or wss://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "spawn")]
    pub(crate) url: Option<String>,
    /// A command that starts the server, without a shell. It gets its port as PORT and in place of `${port}`
    #[arg(long, value_name = "CMD")]
    pub(crate) spawn: Option<String>,
    /// The file that holds what tokens are signed with (HS256); the target file names it
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The authorities (PEM) that are believed with wss://
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,
    /// Believe whoever answers with wss://
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Where the target file goes
    #[arg(long, value_name = "FILE", default_value = "touchstone-target.yaml")]
    pub(crate) out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Write nothing: try this target file
    #[arg(long = "try", value_name = "FILE",
        conflicts_with_all = ["dialects", "url", "spawn", "secret_file", "ca", "insecure", "out", "force"])]
    pub(crate) try_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ConformListArgs {
    /// Which cases; all if left out
    #[arg(value_name = "ID-GLOB")]
    pub(crate) ids: Vec<String>,
    /// Folder with scenarios of your own, in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub(crate) scenarios: Option<PathBuf>,
    /// `json=-` lists as JSON
    #[arg(long = "report", value_name = "FORMAT=PATH")]
    pub(crate) reports: Vec<ConformReport>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LoadCommand {
    /// Run a workload and report
    #[command(after_help = "Examples:
  touchstone load run smoke
  touchstone load run steady.yaml --url ws://127.0.0.1:8080 --set sessions=500
  touchstone load run smoke --threshold 'answer.p99 < 50ms'
  touchstone load run smoke --set sessions=57000 --target three-nodes.yaml --processes 3")]
    Run(Box<LoadRunArgs>),
    /// List the ready-made workloads
    List,
    /// Put the reports of several generators together: histograms, ledgers and counts exactly, thresholds judged anew
    #[command(after_help = "Examples:
  touchstone load merge one.json two.json
  touchstone load merge part*.json --report json=all.json --report html=all.html")]
    Merge(LoadMergeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LoadMergeArgs {
    /// Reports that `touchstone load run --report json=FILE` wrote, of the same workload
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Exit with 0 also when times and rates are undecided because a generator itself was the bottleneck
    #[arg(long)]
    pub(crate) allow_saturated: bool,
    /// Write a report: json, junit, csv, hdr, prometheus, markdown or html; `-` is stdout. May be given several times
    #[arg(long = "report", value_name = "FORMAT=PATH")]
    pub(crate) reports: Vec<LoadReport>,
}

#[derive(Debug, Args)]
pub(crate) struct LoadRunArgs {
    /// A ready-made workload (`touchstone load list`) or a file
    #[arg(value_name = "NAME|FILE")]
    pub(crate) workload: String,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Change a value of the workload. May be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) settings: Vec<String>,
    /// What has to hold, beside the workload's own. May be given several times
    #[arg(long = "threshold", value_name = "EXPR")]
    pub(crate) thresholds: Vec<String>,
    /// Local addresses that connections come from in turn, a list or ranges: one address has some 28,000 connections to a node
    #[arg(long, value_name = "ADDRESSES")]
    pub(crate) source: Option<Sources>,
    /// Offer to compress messages (RFC 7692): each by itself, or with `=context_takeover` as browsers do; `=none` does not offer what
    /// the workload does. The built-in server agrees
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "per_message",
        value_parser = ["none", "per_message", "context_takeover"])]
    pub(crate) compression: Option<String>,
    /// Exit with 0 also when times and rates are undecided because the generator itself was the bottleneck
    #[arg(long)]
    pub(crate) allow_saturated: bool,
    /// Where everything random in the run comes from [default: the workload's, or drawn and shown in the report]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Divide the run over so many processes of this machine, each with its own descriptors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// Begin at this time (`2026-01-31T12:00:00Z`), or so long from now (`+10s`): several generators begin together
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) start_at: Option<SystemTime>,
    /// Show CPU time and memory of this process of this machine beside what was measured; a server that is started for the run is
    /// looked at without being named
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Ask the server for its /metrics once a second, and show its CPU time, memory and connections
    #[arg(long)]
    pub(crate) scrape: bool,
    /// Be one of several processes: what they say to each other is no interface
    #[arg(long, hide = true, conflicts_with_all = ["processes", "start_at", "reports"])]
    pub(crate) worker: bool,
    /// Write a report: json, junit, csv (second by second), hdr (an HDR interval log), prometheus, markdown or html; `-` is
    /// stdout. May be given several times
    #[arg(long = "report", value_name = "FORMAT=PATH")]
    pub(crate) reports: Vec<LoadReport>,
}

fn moment(text: &str) -> Result<SystemTime, String> {
    if let Some(wait) = text.strip_prefix('+') {
        return time(wait).map(|wait| SystemTime::now() + wait);
    }
    match text.parse() {
        Ok(Rfc3339(millis)) => Ok(UNIX_EPOCH + Duration::from_millis(millis)),
        Err(_) => Err("write a time like 2026-01-31T12:00:00Z, or how long from now, like +10s".into()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration::fixed(text).ok_or_else(|| "write a time with its unit, for example 250ms, 1.5s or 2m".into())
}

fn patience(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (1.0..=100.0).contains(&factor) => Ok(factor),
        _ => Err("write a number from 1 to 100".into()),
    }
}
