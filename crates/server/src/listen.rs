//! Where clients come in: the port, with or without TLS, and a Unix socket; and what a connection
//! may take.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::config::{ConfigError, Limits, Tls};
use crate::opening::Opening;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// Bytes that a connection may keep to read into, and the most that its headers may have. A larger one
/// stays as large as the largest body that ever came: two thousand such hold half a gigabyte.
const BUFFER: usize = 32 << 10;

/// What connections share: how many there may be, and how long a client may be silent.
#[derive(Clone)]
pub(crate) struct Bounds {
    places: Arc<Semaphore>,
    silence: Duration,
}

impl Bounds {
    pub(crate) fn of(limits: &Limits) -> Bounds {
        let places = Arc::new(Semaphore::new(limits.connections));
        Bounds { places, silence: Duration::from_secs(limits.header_seconds) }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }
}

/// A Unix socket that is removed when it is done with.
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Listens there, for this user alone. What a service that was killed left is replaced; a socket
    /// that somebody answers at is not.
    pub(crate) async fn bind(path: &Path) -> io::Result<Socket> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another service listens there"));
        }
        use std::os::unix::fs::FileTypeExt;
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => {
                let message = "a file that is no socket lies there";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Socket { listener, path: path.to_owned() })
    }
}

/// Reads a certificate and its key.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ConfigError> {
    let wrong = |path: &Path, why: String| ConfigError::Malformed {
        place: path.display().to_string(),
        why,
    };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })
    };
    let (certificate, key) = (read(&tls.certificate)?, read(&tls.key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.map_err(|error| wrong(&tls.certificate, error.to_string()))?;
    // What stands in a key's file is not repeated.
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| wrong(&tls.key, "there is no private key in PEM".into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&tls.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.map_err(|error| wrong(&tls.certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate that new connections are shown; it can be replaced.
pub(crate) struct Certificates(RwLock<TlsAcceptor>);

impl Certificates {
    pub(crate) fn new(acceptor: TlsAcceptor) -> Certificates {
        Certificates(RwLock::new(acceptor))
    }

    pub(crate) fn replace(&self, acceptor: TlsAcceptor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes connections from the port, so many at a time.
pub(crate) async fn tcp(
    listener: TcpListener,
    tls: Option<Arc<Certificates>>,
    router: Router,
    bounds: Bounds,
    closing: Arc<GracefulShutdown>,
) {
    loop {
        let Some(place) = bounds.place().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            pause().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (router, silence, watcher) = (router.clone(), bounds.silence, closing.watcher());
        let tls = tls.as_deref().map(Certificates::acceptor);
        tokio::spawn(async move {
            match tls {
                None => connection(stream, router, silence, watcher).await,
                Some(tls) => {
                    let shaken = tokio::time::timeout(silence, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        connection(stream, router, silence, watcher).await;
                    }
                }
            }
            drop(place);
        });
    }
}

/// The same from the Unix socket.
pub(crate) async fn unix(
    socket: Socket,
    router: Router,
    bounds: Bounds,
    closing: Arc<GracefulShutdown>,
) {
    loop {
        let Some(place) = bounds.place().await else { return };
        let Ok((stream, _)) = socket.listener.accept().await else {
            pause().await;
            continue;
        };
        let (router, silence, watcher) = (router.clone(), bounds.silence, closing.watcher());
        tokio::spawn(async move {
            connection(stream, router, silence, watcher).await;
            drop(place);
        });
    }
}

/// Out of file descriptors: those that are open will close.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Serves one connection, whichever version of HTTP it speaks. When the service closes, the requests
/// that are here are answered and no more are taken.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    silence: Duration,
    watcher: Watcher,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    // A client that sends its headers byte by byte holds a place for so long and no longer.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(silence).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A client that is gone is found out by asking.
        .keep_alive_interval(2 * silence)
        .keep_alive_timeout(silence)
        .max_concurrent_streams(STREAMS);
    let service = TowerToHyperService::new(router);
    let io = TokioIo::new(Opening::new(stream, silence));
    let _ = watcher.watch(builder.serve_connection(io, service)).await;
}
