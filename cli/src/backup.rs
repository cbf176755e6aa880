//! `touchstone backup`: a copy of a durable store.

use touchstone_server::StoreChoice;

use crate::args::BackupArgs;
use crate::exit::{self, Failure, Outcome};
use crate::{print, settings};

/// Copies the store; what is in the way is this machine's, not the store's.
pub(crate) fn run(args: &BackupArgs) -> Outcome {
    // Read here and not with the command line, whose mistakes repeat what was typed.
    let store =
        settings::store(&args.store).map_err(|advice| Failure::usage(format!("--store: {advice}")))?;
    let path = match &store {
        StoreChoice::Memory => {
            return Err(Failure::usage(
                "embedded: is in a server's memory and cannot be copied; name a durable store, embedded:PATH",
            ));
        }
        StoreChoice::Path(path) => path,
        StoreChoice::Redis(_) => {
            return Err(Failure::usage(
                "a store in Redis is copied by its own means: its append-only file, or a replica (docs/redis.md)",
            ));
        }
        StoreChoice::Postgres(_) => {
            return Err(Failure::usage(
                "a store in PostgreSQL is copied by its own means: pg_dump (docs/postgres.md)",
            ));
        }
    };
    touchstone_storage::backup(path, &args.to).map_err(Failure::usage)?;
    print::talk(&format!("copied {} to {}\n", path.display(), args.to.display()));
    Ok(exit::OK)
}
