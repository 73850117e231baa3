//! TLS of probes, metrics and API: a certificate from files, as a Secret is mounted, which are looked at again and again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use tracing::{info, warn};

use crate::server::tls::Served;

/// Time between two looks. A kubelet takes a minute to bring a changed Secret.
const LOOK: Duration = Duration::from_secs(30);

/// Flags of TLS.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct TlsArgs {
    /// Serve probes, metrics and API over TLS, with the certificate in this file (PEM, with those that sign it)
    #[arg(
        long,
        env = "SERIN_TLS_CERTIFICATE",
        value_name = "PATH",
        requires = "tls_key"
    )]
    pub tls_certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(
        long,
        env = "SERIN_TLS_KEY",
        value_name = "PATH",
        requires = "tls_certificate"
    )]
    pub tls_key: Option<PathBuf>,
}

/// A certificate in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Path of the certificate.
    pub certificate: PathBuf,
    /// Path of its key.
    pub key: PathBuf,
}

/// What stands in the files.
#[derive(Clone, PartialEq, Eq)]
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// The files that these flags name.
    #[must_use]
    pub fn meant(args: &TlsArgs) -> Option<Self> {
        Some(Self {
            certificate: args.tls_certificate.clone()?,
            key: args.tls_key.clone()?,
        })
    }

    /// Serves with what stands there now, and follows it.
    ///
    /// # Errors
    /// When the files cannot be read, or do not belong together.
    pub(super) fn open(self) -> Result<Following> {
        let served = Served::default();
        let read = self.read()?;
        let following = Following {
            files: self,
            served,
            last: read.clone(),
        };
        following.serve(&read)?;
        Ok(following)
    }

    fn read(&self) -> Result<Read> {
        let read =
            |path: &PathBuf| fs::read(path).with_context(|| format!("read {}", path.display()));
        Ok(Read {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }
}

/// Files that are followed.
pub(super) struct Following {
    files: Files,
    /// What is served.
    pub(super) served: Served,
    last: Read,
}

impl Following {
    /// Looks at the files for ever. While they cannot be used, the last certificate goes on.
    pub(super) async fn follow(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let read = match self.files.read() {
            Ok(read) if read == self.last => return,
            Ok(read) => read,
            Err(error) => {
                return warn!(error = format!("{error:#}"), "the last certificate goes on");
            }
        };
        match self.serve(&read) {
            Ok(()) => info!("the certificate of the API was changed"),
            Err(error) => warn!(error = format!("{error:#}"), "the last certificate goes on"),
        }
        // What cannot be used is said once.
        self.last = read;
    }

    fn serve(&self, read: &Read) -> Result<()> {
        let Files { certificate, key } = &self.files;
        let set = self.served.set_pem(&read.certificate, &read.key);
        set.with_context(|| format!("use {} with {}", certificate.display(), key.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::certificate::make;
    use crate::clock::SIMULATED_START;

    #[test]
    fn a_changed_certificate_is_served_and_a_broken_one_is_not() {
        let folder = std::env::temp_dir().join(format!("serin-tls-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Files {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        };
        let life = Duration::from_secs(86_400);
        let new = || make(&["serin.example".to_owned()], SIMULATED_START, life).unwrap();
        let write = |certificate: &str, key: &str| {
            fs::write(&files.certificate, certificate).unwrap();
            fs::write(&files.key, key).unwrap();
        };
        assert!(files.clone().open().is_err(), "nothing is there");
        let (first, second) = (new(), new());
        write(&first.certificate, &second.key);
        assert!(files.clone().open().is_err(), "they do not belong together");
        write(&first.certificate, &first.key);
        let mut following = files.clone().open().unwrap();
        let served = |following: &Following| following.served.first().unwrap();
        let before = served(&following);
        following.look();
        assert_eq!(served(&following), before);
        write("", &first.key);
        following.look();
        assert_eq!(served(&following), before, "the last one goes on");
        write(&second.certificate, &second.key);
        following.look();
        assert_ne!(served(&following), before);
        fs::remove_dir_all(folder).unwrap();
    }
}
