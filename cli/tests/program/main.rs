//! The program as a person or a CI job meets it: started as a process, judged by its exit code and what it prints.

mod bad_input;
mod compressed_load;
mod configuration;
mod dialects_under_load;
#[cfg(target_os = "linux")]
mod honest_load;
mod kills;
#[cfg(target_os = "linux")]
mod lifetimes;
#[cfg(target_os = "linux")]
mod migrate;
mod mutants;
mod own_server;
#[cfg(target_os = "linux")]
#[path = "../../../storage/tests/postgres/server.rs"]
#[expect(dead_code, reason = "the tests of the store itself need more of it")]
mod postgres_server;
mod processes;
#[path = "../../../storage/tests/redis/support/server.rs"]
#[expect(dead_code, reason = "the tests of the store itself need more of it")]
mod redis_server;
mod reports;
mod results;
mod stores;
mod support;
mod ticker;
#[cfg(unix)]
mod tls;
mod tls_targets;
mod workload_language;
