//! A cheap client: one connection, requests as plain bytes.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::NAME;
use crate::failure::{Failure, Kind};

pub(super) struct Client(BufReader<TcpStream>);

/// A response.
pub(super) struct Reply {
    pub(super) status: u16,
    /// The stages' times from the response.
    timing: String,
    pub(super) body: String,
}

/// Stages of a proof; other times in a response are parts of these.
const STAGES: [&str; 3] = ["witness", "prove", "check"];

impl Reply {
    /// The proof's time: the sum of its stages.
    pub(super) fn proven(&self) -> Result<Duration, Failure> {
        if self.status != 200 {
            return Err(Failure::new(
                Kind::Service,
                format_args!("{}: {}", self.status, self.body),
            ));
        }
        let stage = |part: &str| {
            let (name, time) = part.trim().split_once(";dur=")?;
            let counted = STAGES.contains(&name);
            counted.then(|| time.parse::<f64>().ok())?.map(|ms| Duration::from_secs_f64(ms / 1e3))
        };
        Ok(self.timing.split(',').filter_map(stage).sum())
    }
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Service, format_args!("the connection to the service failed: {error}"))
}

impl Client {
    pub(super) async fn connect(address: &str) -> Result<Client, Failure> {
        let stream = TcpStream::connect(address).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        Ok(Client(BufReader::with_capacity(1 << 10, stream)))
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Reply, Failure> {
        self.call("GET", path, b"").await.map_err(broken)
    }

    /// Submits a witness and waits for its proof.
    pub(super) async fn prove(&mut self, witness: &[u8], class: &str) -> Result<Reply, Failure> {
        let path = format!("/v1/prove?circuit={NAME}&kind=wtns&class={class}");
        self.call("POST", &path, witness).await.map_err(broken)
    }

    /// Submits a witness.
    pub(super) async fn submit(&mut self, witness: &[u8]) -> Result<Reply, Failure> {
        let path = format!("/v1/jobs?circuit={NAME}&kind=wtns");
        self.call("POST", &path, witness).await.map_err(broken)
    }

    async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        self.0.get_mut().write_all(head.as_bytes()).await?;
        self.0.get_mut().write_all(body).await?;
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        let malformed =
            || io::Error::new(io::ErrorKind::InvalidData, "the response is not valid HTTP");
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut reply = Reply {
            status: status.ok_or_else(malformed)?,
            timing: String::new(),
            body: String::new(),
        };
        let mut length = 0;
        loop {
            line.clear();
            if self.0.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(|_| malformed())?,
                "server-timing" => reply.timing = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        reply.body = String::from_utf8_lossy(&body).into_owned();
        Ok(reply)
    }
}
