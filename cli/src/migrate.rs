//! `touchstone migrate`: the tables of a store in PostgreSQL, made or brought up to date.

use touchstone_storage::postgres::migrate;
use touchstone_storage::{Migrated, PostgresUrl};

use crate::args::MigrateArgs;
use crate::exit::{self, Failure, Outcome};
use crate::print;

/// Whatever is in the way is the URL, the database or its server: a store that cannot be opened.
pub(crate) async fn run(args: MigrateArgs) -> Outcome {
    let url = &args.store;
    if url.starts_with("embedded:") || url.starts_with("redis") {
        return Err(Failure::usage(
            "that store has no tables to migrate; write postgres://USER@HOST/DATABASE",
        ));
    }
    // Read here and not with the command line, whose mistakes repeat what was typed.
    let url: PostgresUrl = url.parse().map_err(Failure::usage)?;
    let migrated = migrate(&url).await.map_err(Failure::usage)?;
    print::talk(&format!("{url}: {}\n", sentence(migrated)));
    Ok(exit::OK)
}

fn sentence(migrated: Migrated) -> String {
    let Migrated { from, to, tenants } = migrated;
    match from {
        None => format!("made the tables, version {to}"),
        Some(from) if from == to => format!("nothing to do, the tables are of version {to}"),
        Some(from) => {
            format!(
                "brought the tables from version {from} to {to}, and those of {tenants} tenants with them"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said() {
        let said = |from| {
            sentence(Migrated {
                from,
                to: 3,
                tenants: 2,
            })
        };
        assert_eq!(said(None), "made the tables, version 3");
        assert_eq!(said(Some(3)), "nothing to do, the tables are of version 3");
        assert_eq!(
            said(Some(1)),
            "brought the tables from version 1 to 3, and those of 2 tenants with them"
        );
    }
}
