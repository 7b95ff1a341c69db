//! Reads request bodies within a limit per body and a limit for all together.
//!
//! Inputs that arrive or belong to an open job share one memory limit ([`crate::Limits::inputs_mib`]), so that
//! they cannot use the memory that proofs need. Requests beyond it are refused as busy. Memory is reserved as
//! bytes arrive, not by the declared length: a body that never arrives reserves nothing. A declared length that
//! exceeds the free memory is refused before the first byte is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Problem, Reason};

/// Bytes per permit of the semaphore.
const PERMIT_BYTES: usize = 4096;

/// First reservation for a body, in bytes; doubled as more bytes arrive.
const INITIAL_BYTES: usize = 64 << 10;

/// The memory limit that all inputs share. Clones share it.
#[derive(Clone)]
pub(crate) struct InputMemory {
    free: Arc<Semaphore>,
    total: usize,
}

impl InputMemory {
    /// A limit of `bytes`, rounded down to permits, and at least one permit.
    pub(crate) fn new(bytes: u64) -> InputMemory {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / PERMIT_BYTES;
        let total = units.clamp(1, Semaphore::MAX_PERMITS);
        InputMemory { free: Arc::new(Semaphore::new(total)), total }
    }

    /// Reserves `bytes`, without waiting.
    ///
    /// # Errors
    ///
    /// [`Reason::TooLarge`] if the limit is smaller than `bytes`, [`Reason::Busy`] if the free part is.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = bytes.div_ceil(PERMIT_BYTES);
        if units > self.total {
            return Err(too_large(self.total.saturating_mul(PERMIT_BYTES)));
        }
        let units = u32::try_from(units).map_err(|_| too_large(self.total * PERMIT_BYTES))?;
        self.free.clone().try_acquire_many_owned(units).map_err(|_| memory_full())
    }

    /// Checks whether `bytes` could be reserved now. Reserves nothing.
    fn check(&self, bytes: usize) -> Result<(), Problem> {
        let units = bytes.div_ceil(PERMIT_BYTES);
        if units > self.total {
            return Err(too_large(self.total.saturating_mul(PERMIT_BYTES)));
        }
        match units <= self.free.available_permits() {
            true => Ok(()),
            false => Err(memory_full()),
        }
    }
}

/// A received body and the memory reserved for it.
pub(crate) struct Upload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) memory: OwnedSemaphorePermit,
}

/// Limits on one body.
#[derive(Clone, Copy)]
pub(crate) struct UploadLimits {
    pub(crate) bytes: usize,
    pub(crate) timeout: Duration,
}

/// Reads a request's body. The caller must have been authorized before.
pub(crate) async fn read(
    memory: &InputMemory,
    limits: UploadLimits,
    headers: &HeaderMap,
    body: Body,
) -> Result<Upload, Problem> {
    // A compressed body has no Content-Length here: its decompressed length is unknown.
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    let chunks = body.into_data_stream().map(|chunk| {
        chunk.map_err(|_| Problem::new(Reason::BadRequest, "the body ended early or is malformed"))
    });
    collect(memory, limits, length, std::pin::pin!(chunks)).await
}

/// Collects the chunks of a body. `declared` is its length by `Content-Length`.
pub(crate) async fn collect<B: AsRef<[u8]>>(
    memory: &InputMemory,
    limits: UploadLimits,
    declared: Option<usize>,
    mut chunks: impl Stream<Item = Result<B, Problem>> + Unpin,
) -> Result<Upload, Problem> {
    if declared.is_some_and(|declared| declared > limits.bytes) {
        return Err(too_large(limits.bytes));
    }
    memory.check(declared.unwrap_or(0))?;
    let mut reserved = memory.reserve(0)?;
    let mut bytes = Vec::new();
    let all = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            let chunk = chunk.as_ref();
            let length = bytes.len() + chunk.len();
            if length > limits.bytes {
                return Err(too_large(limits.bytes));
            }
            if length > bytes.capacity() {
                let wanted = next_capacity(bytes.capacity(), length, declared).min(limits.bytes);
                let held = reserved.num_permits() * PERMIT_BYTES;
                reserved.merge(memory.reserve(wanted.saturating_sub(held))?);
                bytes.reserve_exact(wanted - bytes.len());
            }
            bytes.extend_from_slice(chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(limits.timeout, all).await {
        Ok(collected) => collected?,
        Err(_) => {
            let message = format!("the body did not arrive within {:?}", limits.timeout);
            return Err(Problem::new(Reason::Timeout, message));
        }
    }
    Ok(Upload { bytes, memory: reserved })
}

/// The new capacity for `length` bytes after `capacity` was too small: twice `capacity`, and at most `declared`
/// unless more bytes have arrived.
fn next_capacity(capacity: usize, length: usize, declared: Option<usize>) -> usize {
    let wanted = length.max(INITIAL_BYTES).max(capacity.saturating_mul(2));
    match declared {
        Some(declared) if declared >= length => wanted.min(declared),
        _ => wanted,
    }
}

fn memory_full() -> Problem {
    let message = "the memory for inputs is full: try again later";
    Problem::new(Reason::Busy, message)
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Reason::TooLarge, format!("the body is too large: the limit is {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: UploadLimits =
        UploadLimits { bytes: 10 * INITIAL_BYTES, timeout: Duration::from_secs(1) };

    /// Memory for `firsts` times [`INITIAL_BYTES`].
    fn memory(firsts: usize) -> InputMemory {
        InputMemory::new((firsts * INITIAL_BYTES) as u64)
    }

    /// Free bytes, as a multiple of [`INITIAL_BYTES`].
    fn free(memory: &InputMemory) -> usize {
        memory.free.available_permits() * PERMIT_BYTES / INITIAL_BYTES
    }

    async fn send(
        memory: &InputMemory,
        declared: Option<usize>,
        sizes: &[usize],
    ) -> Result<Upload, Reason> {
        let chunks = sizes.iter().map(|size| Ok(vec![7u8; *size]));
        let stream = futures_util::stream::iter(chunks);
        collect(memory, LIMITS, declared, stream).await.map_err(|problem| problem.reason)
    }

    #[tokio::test]
    async fn inputs_share_one_limit_and_return_their_memory() {
        let all = memory(8);
        let first = send(&all, Some(5 * INITIAL_BYTES), &[INITIAL_BYTES; 5]).await.unwrap();
        // Doubling stops at the declared length.
        assert_eq!(free(&all), 3);
        // A declared length beyond the free memory is refused before the body arrives.
        assert_eq!(send(&all, Some(4 * INITIAL_BYTES), &[]).await.err(), Some(Reason::Busy));
        // Undeclared bytes are counted as they arrive.
        assert_eq!(send(&all, None, &[INITIAL_BYTES; 4]).await.err(), Some(Reason::Busy));
        assert_eq!(free(&all), 3);
        drop(first);
        assert_eq!(
            send(&all, None, &[INITIAL_BYTES; 4]).await.unwrap().bytes.len(),
            4 * INITIAL_BYTES
        );
        assert_eq!(free(&all), 8);
    }

    #[tokio::test]
    async fn a_declared_body_that_never_arrives_reserves_nothing() {
        let all = memory(8);
        let limits = UploadLimits { timeout: Duration::MAX, ..LIMITS };
        for (received, reserved) in [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8)] {
            let chunks = (0..received).map(|_| Ok::<_, Problem>(vec![7u8; INITIAL_BYTES]));
            let chunks = futures_util::stream::iter(chunks).chain(futures_util::stream::pending());
            let collecting = collect(&all, limits, Some(8 * INITIAL_BYTES), chunks);
            let mut collecting = std::pin::pin!(collecting);
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(collecting.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            assert_eq!(free(&all), 8 - reserved, "{received}");
        }
        assert_eq!(free(&all), 8);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_before_it_is_held() {
        let all = memory(100);
        assert_eq!(send(&all, Some(11 * INITIAL_BYTES), &[]).await.err(), Some(Reason::TooLarge));
        assert_eq!(send(&all, None, &[INITIAL_BYTES; 11]).await.err(), Some(Reason::TooLarge));
        // A declared length below the actual one does not bypass the limit.
        assert_eq!(send(&all, Some(1), &[INITIAL_BYTES; 11]).await.err(), Some(Reason::TooLarge));
        assert_eq!(free(&all), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_times_out() {
        let all = memory(100);
        let never = futures_util::stream::pending::<Result<Vec<u8>, Problem>>();
        let left = collect(&all, LIMITS, Some(5), never).await.map_err(|problem| problem.reason);
        assert_eq!(left.err(), Some(Reason::Timeout));
        assert_eq!(free(&all), 100);
    }
}
