//! Time limit for the first bytes of a connection.
//!
//! hyper detects the HTTP version from the first bytes and waits for them without a limit; its own timers
//! start after that. This stream bounds the wait until the bytes differ from the HTTP/2 preface or the
//! preface is complete.
//!
//! It also reports when a client has read bytes that a write had to wait for, so that a slow reader is
//! not counted as silent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The connection preface of an HTTP/2 client (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes must arrive within a time limit. Calls `on_drained` when a write succeeds that
/// had to wait for the client.
pub(crate) struct PrefaceTimeout<S, F> {
    stream: S,
    on_drained: F,
    /// Whether the last write returned `Pending`.
    blocked: bool,
    /// Runs until the HTTP version is known.
    timer: Option<Pin<Box<Sleep>>>,
    /// Number of received bytes of the preface.
    preface_bytes: usize,
}

impl<S, F: Fn()> PrefaceTimeout<S, F> {
    pub(crate) fn new(stream: S, timeout: Duration, on_drained: F) -> Self {
        let timer = Some(Box::pin(tokio::time::sleep(timeout)));
        Self { stream, on_drained, blocked: false, timer, preface_bytes: 0 }
    }

    fn on_write(&mut self, polled: &Poll<io::Result<usize>>) {
        let pending = polled.is_pending();
        if self.blocked && matches!(polled, Poll::Ready(Ok(_))) {
            (self.on_drained)();
        }
        self.blocked = pending;
    }

    fn on_read(&mut self, bytes: &[u8]) {
        let rest = &PREFACE[self.preface_bytes..];
        let length = bytes.len().min(rest.len());
        let matches_preface = bytes[..length] == rest[..length];
        self.preface_bytes += length;
        if bytes.is_empty() || !matches_preface || self.preface_bytes == PREFACE.len() {
            self.timer = None;
        }
    }
}

impl<S: AsyncRead + Unpin, F: Fn() + Unpin> AsyncRead for PrefaceTimeout<S, F> {
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
                Poll::Ready(Ok(())) => self.on_read(&buf.filled()[before..]),
                _ => {}
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin, F: Fn() + Unpin> AsyncWrite for PrefaceTimeout<S, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.on_write(&polled);
        polled
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
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.on_write(&polled);
        polled
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

    /// Whether a client that sends these bytes and then nothing is disconnected.
    async fn cut_off(sent: &[u8]) -> bool {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut stream = PrefaceTimeout::new(ours, TIME, || {});
        theirs.write_all(sent).await.unwrap();
        let read = async {
            let mut bytes = [0; 64];
            loop {
                if stream.read(&mut bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(10 * TIME, read).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_bounded_until_the_version_is_known() {
        assert!(cut_off(b"").await);
        assert!(cut_off(b"P").await);
        assert!(cut_off(&PREFACE[..23]).await);
        assert!(!cut_off(PREFACE).await);
        assert!(!cut_off(b"G").await);
        assert!(!cut_off(b"POST").await);
    }
    #[tokio::test(start_paused = true)]
    async fn a_write_that_waited_for_the_client_is_reported_when_it_succeeds() {
        let on_drained = std::cell::Cell::new(0);
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut stream = PrefaceTimeout::new(ours, TIME, || on_drained.set(on_drained.get() + 1));
        // A response to a ping fits into the buffer at once.
        stream.write_all(&[0; 17]).await.unwrap();
        assert_eq!(on_drained.get(), 0);
        let read = async {
            tokio::time::sleep(TIME).await;
            let mut bytes = [0; 117];
            theirs.read_exact(&mut bytes).await.unwrap();
        };
        let (wrote, ()) = tokio::join!(stream.write_all(&[0; 100]), read);
        wrote.unwrap();
        assert!(on_drained.get() >= 1);
    }
}
