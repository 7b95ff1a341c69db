//! Where clients come in: the port, with or without TLS, and a Unix socket; and what a connection
//! may take.
//!
//! Connections are accepted as fast as they come, whatever the others do; which of them stay and what
//! they may ask is decided in `places`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::config::{ConfigError, Tls};
use crate::connection_service::ConnectionService;
use crate::connection_table::Client;
use crate::connections::{ConnectionSlot, Connections};
use crate::preface_timeout::PrefaceTimeout;
use crate::state::App;

/// Connections that the system completes before they are accepted; it may cut this down
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// Bytes that a connection may keep to read into, and the most that its headers may have. A larger one
/// stays as large as the largest body that ever came: two thousand such hold half a gigabyte.
const BUFFER: usize = 32 << 10;

/// Streams that a client may reset before they were looked at.
const PENDING_RESETS: usize = 20;

/// Bytes of answers that a stream of HTTP/2 may keep ready.
const SEND_BUFFER: usize = 64 << 10;

/// Time that a connection which is closed has to send what it has begun.
const LINGER: Duration = Duration::from_secs(1);

/// A Unix socket that is removed when it is done with.
pub(crate) struct UnixSocketListener {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for UnixSocketListener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl UnixSocketListener {
    /// Listens there, for this user alone. What a service that was killed left is replaced; a socket
    /// that somebody answers at is not.
    pub(crate) async fn bind(path: &Path) -> io::Result<UnixSocketListener> {
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
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        let listener = socket.listen(BACKLOG)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(UnixSocketListener { listener, path: path.to_owned() })
    }
}

/// Reads a certificate and its key.
pub(crate) fn load_tls(tls: &Tls) -> Result<TlsAcceptor, ConfigError> {
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

/// Listens at an address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A port that a service which just ended used can be had again.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A listener that says who a connection is counted for.
pub(crate) trait Listener: Send + Sync {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept_client(&self) -> impl Future<Output = io::Result<(Self::Stream, Client)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept_client(&self) -> io::Result<(TcpStream, Client)> {
        let (stream, peer) = self.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok((stream, Client::at(peer.ip())))
    }
}

impl Listener for UnixSocketListener {
    type Stream = UnixStream;

    async fn accept_client(&self) -> io::Result<(UnixStream, Client)> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred()?.uid();
        Ok((stream, Client::User(user)))
    }
}

/// What answers the connections of a listener.
#[derive(Clone)]
pub(crate) struct ConnectionHandler {
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
    pub(crate) connections: Arc<Connections>,
    /// Turns true when the service closes.
    pub(crate) closing: watch::Receiver<bool>,
}

/// Takes connections, as fast as they come.
pub(crate) async fn accept(
    listener: impl Listener,
    tls: Option<Arc<Certificates>>,
    handler: ConnectionHandler,
) {
    loop {
        match listener.accept_client().await {
            Ok((stream, client)) => {
                if let Some(slot) = handler.connections.open(client) {
                    let tls = tls.as_deref().map(Certificates::acceptor);
                    tokio::spawn(serve(stream, tls, handler.clone(), slot));
                }
            }
            Err(error) => {
                use rustix::io::Errno;
                let errno = Errno::from_io_error(&error);
                if matches!(errno, Some(Errno::MFILE | Errno::NFILE)) {
                    handler.connections.evict_oldest();
                }
                // The one that was told to close needs a moment.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Serves one connection until it ends or its place is taken.
async fn serve<S>(
    stream: S,
    tls: Option<TlsAcceptor>,
    handler: ConnectionHandler,
    mut slot: ConnectionSlot,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(tls) = tls else { return connection(stream, handler, slot).await };
    let header_timeout = handler.connections.header_timeout();
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(header_timeout, tls.accept(stream)) => handshake,
        _ = &mut slot.closed => return,
    };
    if let Ok(Ok(stream)) = handshake {
        connection(stream, handler, slot).await;
    }
}

fn http_builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // A client that sends its headers byte by byte holds a place for so long and no longer.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A client that is gone is found out by asking.
        .keep_alive_interval(2 * header_timeout)
        .keep_alive_timeout(header_timeout)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_header_list_size(BUFFER as u32)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Resolves when the service closes.
async fn wait_closing(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Serves one connection, whichever version of HTTP it speaks.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: ConnectionHandler,
    mut slot: ConnectionSlot,
) {
    let ConnectionHandler { app, router, connections, mut closing } = handler;
    let (header_timeout, id) = (connections.header_timeout(), slot.id);
    let service =
        ConnectionService { app, router, connections: connections.clone(), connection: id };
    let touched = connections.clone();
    let on_drained = move || touched.touch(id);
    let stream = TokioIo::new(PrefaceTimeout::new(stream, header_timeout, on_drained));
    let builder = http_builder(header_timeout);
    let served = builder.serve_connection(stream, TowerToHyperService::new(service));
    let mut served = std::pin::pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = &mut slot.closed => {}
        // The requests that are here are answered, and no more are taken.
        () = wait_closing(&mut closing) => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
            return;
        }
    }
    // What has been begun is still sent, and HTTP/2 says goodbye.
    if let Some(_permit) = connections.linger() {
        served.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LINGER, served).await;
    }
}
