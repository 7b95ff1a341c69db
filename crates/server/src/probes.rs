//! A separate listener for health and metrics, with its own threads, so that busy network threads do not
//! delay probes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tracing::info;

use crate::connection_table::ConnectionLimits;
use crate::connections::Connections;
use crate::listen::{self, ConnectionHandler};
use crate::routes;
use crate::state::App;

/// Limits on connections.
const LIMITS: ConnectionLimits = ConnectionLimits { ordinary: 32, reserved: 32, per_client: None };

/// Number of threads. The second one answers health probes while the first renders metrics.
const THREADS: usize = 2;

/// The bound listener, before it serves.
pub(crate) struct ProbeListener {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl ProbeListener {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = listen::bind(address)?;
        let address = listener.local_addr()?;
        Ok(Self { listener: listener.into_std()?, address })
    }

    /// Serves until the result is dropped.
    pub(crate) fn start(self, app: &Arc<App>) -> io::Result<ProbeServer> {
        let Self { listener, address } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("health")
            .enable_all()
            .build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };

        let connections = Arc::new(Connections::new(LIMITS, &app.config().limits));
        let (app, router) = (app.clone(), routes::probes(app.clone()));
        runtime.spawn(connections.clone().sweep());
        let (open, closing) = watch::channel(false);
        let handler = ConnectionHandler { app, router, connections, closing };
        runtime.spawn(listen::accept(listener, None, handler));
        info!("health and metrics at http://{address}");
        Ok(ProbeServer { runtime: Some(runtime), _open: open })
    }
}

/// The threads that serve probes.
pub(crate) struct ProbeServer {
    runtime: Option<Runtime>,
    /// Dropping it closes the connections.
    _open: watch::Sender<bool>,
}

impl Drop for ProbeServer {
    fn drop(&mut self) {
        // Does not block, because a task may drop this value.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
