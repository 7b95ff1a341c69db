//! The first bytes of a connection, within a time.
//!
//! Which version of HTTP a client speaks is read off its first bytes, and hyper waits for those
//! without end: only then do the versions' own timers run. So until it is clear that a client does
//! not speak HTTP/2, or has greeted as one that does, its silence is bounded here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes must come within a time.
pub(crate) struct Opening<S> {
    stream: S,
    /// Until the version is clear.
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes of the greeting that came.
    greeted: usize,
}

impl<S> Opening<S> {
    pub(crate) fn new(stream: S, time: Duration) -> Opening<S> {
        let timer = Some(Box::pin(tokio::time::sleep(time)));
        Opening { stream, timer, greeted: 0 }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let rest = &GREETING[self.greeted..];
        let length = bytes.len().min(rest.len());
        let greets = bytes[..length] == rest[..length];
        self.greeted += length;
        if bytes.is_empty() || !greets || self.greeted == GREETING.len() {
            self.timer = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(timer) = &mut self.timer {
            match &polled {
                Poll::Pending if timer.as_mut().poll(cx).is_ready() => {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Ready(Ok(())) => self.heard(&buf.filled()[before..]),
                _ => {}
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const TIME: Duration = Duration::from_secs(1);

    /// Whether a client that sends this and then nothing is cut off.
    async fn cut_off(sent: &[u8]) -> bool {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut opening = Opening::new(ours, TIME);
        theirs.write_all(sent).await.unwrap();
        let read = async {
            let mut bytes = [0; 64];
            loop {
                if opening.read(&mut bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(10 * TIME, read).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_bounded_until_the_version_is_clear() {
        assert!(cut_off(b"").await);
        assert!(cut_off(b"P").await);
        assert!(cut_off(&GREETING[..23]).await);
        assert!(!cut_off(GREETING).await);
        assert!(!cut_off(b"G").await);
        assert!(!cut_off(b"POST").await);
    }
}
