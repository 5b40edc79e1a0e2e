//! TLS: a certificate and its key, which are read again on SIGHUP and when the files change.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};
use zeroize::Zeroizing;

use crate::files;

/// How often the files are checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long the files may take to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest size of either file, in bytes.
const MOST: u64 = 1 << 20;
/// The initial size of the buffer for a file: a larger key leaves copies of itself in memory as the buffer grows.
const ROOM: usize = 32 << 10;

/// The paths of the certificate and its key.
#[derive(Debug, Clone)]
pub struct Files {
    /// The chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
    /// Whether a key that others may read only causes a warning.
    pub allow_readable: bool,
}

/// The TLS configuration of connections. The last valid certificate and key stay in use until other valid ones are
/// read.
pub struct Tls {
    files: Files,
    acceptor: Mutex<TlsAcceptor>,
    /// A digest of the files' content when they were last read, whether it was valid or not.
    seen: Mutex<[u8; 32]>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One sentence: which of them is at fault, and how. It never contains the key.
    pub async fn load(files: Files) -> Result<Self, String> {
        let (config, seen) =
            tokio::time::timeout(PATIENCE, read(&files)).await.unwrap_or_else(|_| Err(slow(&files)))?;
        Ok(Self { files, acceptor: Mutex::new(acceptor(config?)), seen: Mutex::new(seen) })
    }

    /// The acceptor for the next connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again whenever they change, and on SIGHUP. Never returns.
    pub async fn watch(&self) {
        #[cfg(unix)]
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
        loop {
            #[cfg(unix)]
            let asked = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            #[cfg(not(unix))]
            let asked = std::future::pending::<()>();
            let asked = tokio::select! {
                () = asked => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            self.reload(asked).await;
        }
    }

    /// Reads the files, and uses their content if it has changed or the operator asks for it.
    async fn reload(&self, asked: bool) {
        let mut reading = std::pin::pin!(read(&self.files));
        let read = if let Ok(read) = tokio::time::timeout(PATIENCE, &mut reading).await {
            read
        } else {
            tracing::error!(error = slow(&self.files), "the TLS certificate stays as it was");
            // No other read is started while this one hangs.
            reading.await
        };
        match read {
            Ok((config, digest)) => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                if *seen == digest && !asked {
                    return;
                }
                *seen = digest;
                match config {
                    Ok(config) => {
                        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = acceptor(config);
                        tracing::info!("the TLS certificate was read again");
                    }
                    Err(error) => tracing::error!(error, "the TLS certificate stays as it was"),
                }
            }
            // Files that are being replaced may be missing for a moment.
            Err(error) if asked => tracing::error!(error, "the TLS certificate stays as it was"),
            Err(_) => {}
        }
    }
}

fn acceptor((config, warning): (ServerConfig, Option<String>)) -> TlsAcceptor {
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    TlsAcceptor::from(Arc::new(config))
}

/// The configuration, with a warning about the key's file if its permissions are too wide but allowed.
type Configured = Result<(ServerConfig, Option<String>), String>;

/// The configuration that the files yield, and a digest of them; an error if they can't be read.
///
/// They are read by a separate thread, which the end of the process doesn't wait for: a file system that hangs may
/// block it for ever.
async fn read(files: &Files) -> Result<(Configured, [u8; 32]), String> {
    let (done, read) = oneshot::channel();
    let files = files.clone();
    let reader = std::thread::Builder::new().name("tls-files".to_owned());
    let started = reader.spawn(move || done.send(read_now(&files)).is_ok());
    started.map_err(|error| format!("the TLS certificate can't be read: {error}"))?;
    read.await.unwrap_or_else(|_| Err("the TLS certificate can't be read".to_owned()))
}

fn read_now(files: &Files) -> Result<(Configured, [u8; 32]), String> {
    let certificate = read_file(&files.certificate, "TLS certificate")?;
    let key = Zeroizing::new(read_file(&files.key, "TLS key")?);
    let checked = files::check_secret(&files.key, "TLS key");
    let mut digest = Sha256::new_with_prefix(certificate.len().to_be_bytes());
    digest.update(&certificate);
    digest.update(&*key);
    // The result of the check is included, so that a change of the permissions is noticed as well.
    digest.update(checked.as_ref().err().map_or("", String::as_str));
    Ok((configure(files, &certificate, &key, checked), digest.finalize().into()))
}

/// A regular file only: a pipe would have to be written to, and could be read just once.
fn read_file(path: &Path, what: &str) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("the {what} {} can't be read: {error}", path.display());
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("the {what} {} is no regular file", path.display()));
    }
    let mut content = Vec::with_capacity(ROOM);
    std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut content)).map_err(cannot)?;
    if content.len() as u64 > MOST {
        return Err(format!("the {what} {} is longer than {MOST} bytes", path.display()));
    }
    Ok(content)
}

fn slow(files: &Files) -> String {
    let seconds = PATIENCE.as_secs();
    format!(
        "the TLS certificate {} and the key {} can't be read within {seconds} s",
        files.certificate.display(),
        files.key.display()
    )
}

fn configure(files: &Files, certificate: &[u8], key: &[u8], checked: Result<(), String>) -> Configured {
    let warning = match checked {
        Err(sentence) if !files.allow_readable => return Err(files::or_allow(&sentence)),
        checked => checked.err(),
    };
    // A single damaged certificate is an error: without it, clients couldn't build the chain to a certificate that they
    // trust.
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|_| format!("the TLS certificate {} is damaged", files.certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("the TLS certificate {} holds no certificate in PEM", files.certificate.display()));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| format!("the TLS key {} holds no private key in PEM", files.key.display()))?;
    let unusable = |error| {
        format!(
            "the TLS certificate {} and the key {} can't be used: {error}",
            files.certificate.display(),
            files.key.display()
        )
    };
    let builder =
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let mut config =
        builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key)).map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, warning))
}
