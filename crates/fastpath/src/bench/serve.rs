//! The metrics over HTTP during a measurement.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Maximum number of bytes of a request's head that are read, rounded up to the read size.
const REQUEST: usize = 4096;

/// An HTTP server on the loopback address that answers `GET /metrics` with the metrics published
/// last, and other requests with status 404.
#[derive(Debug, Default, Clone)]
pub struct MetricsServer {
    text: Arc<Mutex<String>>,
}

impl MetricsServer {
    /// Starts the server; with `None`, no server is started. Its thread ends with the process.
    ///
    /// # Errors
    /// The port cannot be opened, or the thread cannot be started.
    pub fn start(port: Option<u16>) -> std::io::Result<Self> {
        let server = Self::default();
        if let Some(port) = port {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            let text = Arc::clone(&server.text);
            std::thread::Builder::new().name("fastpath-metrics".into()).spawn(move || {
                for stream in listener.incoming().flatten() {
                    // The client may have closed the connection.
                    let _ = answer(stream, &text);
                }
            })?;
        }
        Ok(server)
    }

    /// Replaces the metrics.
    pub fn publish(&self, text: String) {
        *crate::sync_lock(&self.text) = text;
    }
}

fn answer(mut stream: TcpStream, text: &Mutex<String>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    // The head can arrive in pieces. Closing the connection before all of it is read would reset
    // it.
    let mut request = Vec::new();
    let mut piece = [0; 512];
    while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST {
        match stream.read(&mut piece)? {
            0 => break,
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    let is_metrics = request.starts_with(b"GET /metrics");
    let (status, body) = if is_metrics {
        ("200 OK", crate::sync_lock(text).clone())
    } else {
        ("404 Not Found", "the metrics are at /metrics\n".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_published_metrics_are_served() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = MetricsServer::start(Some(port)).unwrap();
        server.publish("fastpath_txns_total 7\n".into());
        for (path, expected) in [("/metrics", "fastpath_txns_total 7"), ("/", "404")] {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.contains(expected), "{answer}");
        }
    }
}
