//! A folder of a built-in server's own, for as long as it may be started again: its store, its certificate.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use crate::process::StartError;
use crate::transport::made_up::make_up;

/// The store's file.
const STORE: &str = "store.db";

/// The folder, open to nobody else. It goes with its owner.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    flags: Vec<String>,
}

impl Scratch {
    /// Makes the folder, with a name that ends in `id`.
    pub(crate) fn new(id: &str) -> Result<Self, StartError> {
        let folder = std::env::temp_dir().join(format!("touchstone-{id}"));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&folder)
            .map_err(|error| refused(&folder, &error))?;
        Ok(Self {
            folder,
            flags: Vec::new(),
        })
    }

    /// What `serve` has to be told of what is in it.
    pub(crate) fn flags(&self) -> &[String] {
        &self.flags
    }

    /// Has a store in it.
    pub(crate) fn with_store(mut self) -> Self {
        let store = format!("embedded:{}", self.folder.join(STORE).display());
        self.flags.extend(["--store".to_owned(), store]);
        self
    }

    /// Takes away what is stored. Nobody may have it open.
    pub(crate) fn empty_store(&self) -> Result<(), StartError> {
        let listed = std::fs::read_dir(&self.folder).map_err(|error| refused(&self.folder, &error))?;
        for entry in listed {
            let path = entry.map_err(|error| refused(&self.folder, &error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Beside the store lies what it has not taken in yet.
            if name.starts_with(STORE) {
                std::fs::remove_file(&path).map_err(|error| refused(&path, &error))?;
            }
        }
        Ok(())
    }

    /// Has a certificate in it that was made for this run; returns who vouches for it.
    pub(crate) fn with_certificate(mut self) -> Result<(Self, CertificateDer<'static>), StartError> {
        let made = make_up().map_err(|error| {
            StartError::Target(format!("no certificate can be made for the server: {error}"))
        })?;
        for (flag, name, pem) in [
            ("--tls-cert", "chain.pem", &made.certificate),
            ("--tls-key", "key.pem", &made.key),
        ] {
            let path = self.folder.join(name);
            std::fs::write(&path, pem).map_err(|error| refused(&path, &error))?;
            self.flags.extend([flag.to_owned(), path.display().to_string()]);
        }
        Ok((self, made.authority))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it is in the system's folder for such things.
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}

fn refused(path: &Path, error: &std::io::Error) -> StartError {
    StartError::Target(format!("no place for the server at {}: {error}", path.display()))
}
