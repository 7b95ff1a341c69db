//! Where the service's events are written: standard error, a line each.

use std::io;

/// Writes events from now on. A second call changes nothing.
pub(crate) fn start() {
    let lines = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false);
    let _ = lines.try_init();
}
