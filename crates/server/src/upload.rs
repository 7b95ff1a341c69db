//! Bodies on their way in, within a limit for each and one for all together.
//!
//! The bytes of inputs that arrive, or wait with their job, are taken from one allowance
//! ([`crate::Limits::inputs_mib`]): 2,000 clients with large inputs are told to come back, and do
//! not take the memory that proofs need. Room is taken as the bytes come, whatever length was declared:
//! a body that never comes takes nothing from others. A declared length that there is no room for is
//! refused before the first byte is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Problem, Reason};

/// Bytes to a permit of the allowance.
const UNIT: usize = 4096;

/// Room for the first bytes of a body; doubled as more come.
const FIRST: usize = 64 << 10;

/// The allowance that all inputs share.
#[derive(Clone)]
pub(crate) struct Allowance {
    free: Arc<Semaphore>,
    whole: usize,
}

impl Allowance {
    /// So many bytes, and at least room for one unit.
    pub(crate) fn new(bytes: u64) -> Allowance {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT;
        let whole = units.clamp(1, Semaphore::MAX_PERMITS);
        Allowance { free: Arc::new(Semaphore::new(whole)), whole }
    }

    /// Room for that many bytes, now or not.
    pub(crate) fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = bytes.div_ceil(UNIT);
        if units > self.whole {
            return Err(too_large(self.whole.saturating_mul(UNIT)));
        }
        let units = u32::try_from(units).map_err(|_| too_large(self.whole * UNIT))?;
        self.free.clone().try_acquire_many_owned(units).map_err(|_| full())
    }

    /// Whether there would be room for that many bytes now; takes none.
    fn check(&self, bytes: usize) -> Result<(), Problem> {
        let units = bytes.div_ceil(UNIT);
        if units > self.whole {
            return Err(too_large(self.whole.saturating_mul(UNIT)));
        }
        match units <= self.free.available_permits() {
            true => Ok(()),
            false => Err(full()),
        }
    }
}

/// Bytes that came, and the room that they take for as long as they are held.
pub(crate) struct Upload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: OwnedSemaphorePermit,
}

/// How much may come, in what time.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// Reads a request's body. Who asks was found out before: nobody unknown is read from.
pub(crate) async fn read(
    allowance: &Allowance,
    bounds: Bounds,
    headers: &HeaderMap,
    body: Body,
) -> Result<Upload, Problem> {
    // What a compressed body comes to is not known before.
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    let chunks = body.into_data_stream().map(|chunk| {
        chunk.map_err(|_| Problem::new(Reason::BadRequest, "the body broke off or is malformed"))
    });
    collect(allowance, bounds, length, std::pin::pin!(chunks)).await
}

/// Collects chunks of bytes, however they come.
pub(crate) async fn collect<B: AsRef<[u8]>>(
    allowance: &Allowance,
    bounds: Bounds,
    declared: Option<usize>,
    mut chunks: impl Stream<Item = Result<B, Problem>> + Unpin,
) -> Result<Upload, Problem> {
    if declared.is_some_and(|declared| declared > bounds.bytes) {
        return Err(too_large(bounds.bytes));
    }
    allowance.check(declared.unwrap_or(0))?;
    let mut room = allowance.take(0)?;
    let mut bytes = Vec::new();
    let all = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            let chunk = chunk.as_ref();
            let length = bytes.len() + chunk.len();
            if length > bounds.bytes {
                return Err(too_large(bounds.bytes));
            }
            if length > bytes.capacity() {
                let wanted = grown(bytes.capacity(), length, declared).min(bounds.bytes);
                let held = room.num_permits() * UNIT;
                room.merge(allowance.take(wanted.saturating_sub(held))?);
                bytes.reserve_exact(wanted - bytes.len());
            }
            bytes.extend_from_slice(chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(bounds.time, all).await {
        Ok(came) => came?,
        Err(_) => {
            let message = format!("the body did not come within {:?}", bounds.time);
            return Err(Problem::new(Reason::Timeout, message));
        }
    }
    Ok(Upload { bytes, room })
}

/// The capacity for `length` bytes, after one that was too small: twice that, and no more than was declared
/// unless more came.
fn grown(capacity: usize, length: usize, declared: Option<usize>) -> usize {
    let wanted = length.max(FIRST).max(capacity.saturating_mul(2));
    match declared {
        Some(declared) if declared >= length => wanted.min(declared),
        _ => wanted,
    }
}

fn full() -> Problem {
    let message = "the inputs that wait fill the memory for inputs; come back later";
    Problem::new(Reason::Busy, message)
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Reason::TooLarge, format!("a body has at most {limit} bytes here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 10 * FIRST, time: Duration::from_secs(1) };

    /// Room for so many times [`FIRST`].
    fn allowance(firsts: usize) -> Allowance {
        Allowance::new((firsts * FIRST) as u64)
    }

    /// Free bytes, as a multiple of [`FIRST`].
    fn free(allowance: &Allowance) -> usize {
        allowance.free.available_permits() * UNIT / FIRST
    }

    async fn send(
        allowance: &Allowance,
        declared: Option<usize>,
        sizes: &[usize],
    ) -> Result<Upload, Reason> {
        let chunks = sizes.iter().map(|size| Ok(vec![7u8; *size]));
        let stream = futures_util::stream::iter(chunks);
        collect(allowance, BOUNDS, declared, stream).await.map_err(|problem| problem.reason)
    }

    #[tokio::test]
    async fn inputs_share_one_allowance_and_give_it_back() {
        let all = allowance(8);
        let first = send(&all, Some(5 * FIRST), &[FIRST; 5]).await.unwrap();
        // What was declared, and no more for the doubling.
        assert_eq!(free(&all), 3);
        // No room for what is declared: refused before it comes.
        assert_eq!(send(&all, Some(4 * FIRST), &[]).await.err(), Some(Reason::Busy));
        // Undeclared bytes are counted as they come.
        assert_eq!(send(&all, None, &[FIRST; 4]).await.err(), Some(Reason::Busy));
        assert_eq!(free(&all), 3);
        drop(first);
        assert_eq!(send(&all, None, &[FIRST; 4]).await.unwrap().bytes.len(), 4 * FIRST);
        assert_eq!(free(&all), 8);
    }

    #[tokio::test]
    async fn a_declared_body_that_never_comes_takes_no_room() {
        let all = allowance(8);
        let bounds = Bounds { time: Duration::MAX, ..BOUNDS };
        for (came, taken) in [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8)] {
            let chunks = (0..came).map(|_| Ok::<_, Problem>(vec![7u8; FIRST]));
            let chunks = futures_util::stream::iter(chunks).chain(futures_util::stream::pending());
            let collecting = collect(&all, bounds, Some(8 * FIRST), chunks);
            let mut collecting = std::pin::pin!(collecting);
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(collecting.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            assert_eq!(free(&all), 8 - taken, "{came}");
        }
        assert_eq!(free(&all), 8);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_before_it_is_held() {
        let all = allowance(100);
        assert_eq!(send(&all, Some(11 * FIRST), &[]).await.err(), Some(Reason::TooLarge));
        assert_eq!(send(&all, None, &[FIRST; 11]).await.err(), Some(Reason::TooLarge));
        // A length that lies does not help.
        assert_eq!(send(&all, Some(1), &[FIRST; 11]).await.err(), Some(Reason::TooLarge));
        assert_eq!(free(&all), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_left() {
        let all = allowance(100);
        let never = futures_util::stream::pending::<Result<Vec<u8>, Problem>>();
        let left = collect(&all, BOUNDS, Some(5), never).await.map_err(|problem| problem.reason);
        assert_eq!(left.err(), Some(Reason::Timeout));
        assert_eq!(free(&all), 100);
    }
}
