//! Listeners: the TCP port, with or without TLS, and the Unix socket; and the HTTP settings of connections.
//!
//! Connections are accepted without delay. The module `connection_table` decides which of them stay open.

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

/// Length of the queue of completed connections. The system may reduce it (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Limit on concurrent requests of one HTTP/2 connection.
const STREAMS: u32 = 128;

/// Limit in bytes on a connection's read buffer and on its headers. hyper grows the buffer with large bodies and does
/// not shrink it: without this limit, 2,000 connections can hold half a gigabyte.
const BUFFER: usize = 32 << 10;

/// Limit on streams that a client resets before they are accepted.
const PENDING_RESETS: usize = 20;

/// Limit in bytes on buffered response data of an HTTP/2 stream.
const SEND_BUFFER: usize = 64 << 10;

/// Time in which a closing connection may send the rest of its responses.
const LINGER: Duration = Duration::from_secs(1);

/// A listening Unix socket. Its file is removed when it drops.
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
    /// Listens at a path, with mode 0600. A socket file that a killed service left is replaced.
    ///
    /// # Errors
    ///
    /// If another process listens at the path, or the path is a file other than a socket.
    pub(crate) async fn bind(path: &Path) -> io::Result<UnixSocketListener> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process listens at this socket",
            ));
        }
        use std::os::unix::fs::FileTypeExt;
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => {
                let message = "the file exists and is not a socket";
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

/// Reads a certificate chain and its private key.
pub(crate) fn load_tls(tls: &Tls) -> Result<TlsAcceptor, ConfigError> {
    let malformed = |path: &Path, why: String| ConfigError::Malformed {
        place: path.display().to_string(),
        why,
    };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })
    };
    let (certificate, key) = (read(&tls.certificate)?, read(&tls.key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.map_err(|error| malformed(&tls.certificate, error.to_string()))?;
    // The parser's error is dropped, because it may quote the key's file.
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| malformed(&tls.key, "the file contains no private key in PEM".into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| malformed(&tls.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key);
    let mut config = config.map_err(|error| malformed(&tls.certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificate of new connections. A reload replaces it.
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
    // Permits binding to the port of a service that has just ended.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A listener that reports the client of each connection.
pub(crate) trait Listener: Send + Sync {
    /// The stream of a connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts the next connection.
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

/// The values that each connection of a listener needs.
#[derive(Clone)]
pub(crate) struct ConnectionHandler {
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
    pub(crate) connections: Arc<Connections>,
    /// Turns true when the service closes.
    pub(crate) closing: watch::Receiver<bool>,
}

/// Accepts connections without delay. Never returns.
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
                // The evicted connection needs time to close.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Serves one connection, after the TLS handshake if there is TLS, until it ends or loses its slot.
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
    // Bounds the time in which a client that sends its headers byte by byte holds a slot.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        // Pings detect clients that have disappeared.
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

/// Serves one connection of HTTP/1.1 or HTTP/2.
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
        // Running requests are answered; new ones are not accepted.
        () = wait_closing(&mut closing) => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
            return;
        }
    }
    // Started responses are sent to their end, and an HTTP/2 client receives GOAWAY.
    if let Some(_permit) = connections.linger() {
        served.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LINGER, served).await;
    }
}
