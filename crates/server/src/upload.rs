//! Bodies on their way in, within a limit for each and one for all together.
//!
//! The bytes of inputs that arrive, or wait with their job, are taken from one allowance
//! ([`crate::Limits::inputs_mib`]): 2,000 clients with large inputs are told to come back, and do
//! not take the memory that proofs need. A declared length is reserved before the first byte is read;
//! without one, room is taken as the bytes come.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Problem, Reason};

/// Bytes to a permit of the allowance.
const UNIT: usize = 4096;

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
        self.free.clone().try_acquire_many_owned(units).map_err(|_| {
            let message = "the inputs that wait fill the memory for inputs; come back later";
            Problem::new(Reason::Busy, message)
        })
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
    let declared = declared.unwrap_or(0);
    if declared > bounds.bytes {
        return Err(too_large(bounds.bytes));
    }
    let mut room = allowance.take(declared)?;
    let mut bytes = Vec::with_capacity(declared);
    let all = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            let chunk = chunk.as_ref();
            let length = bytes.len() + chunk.len();
            if length > bounds.bytes {
                return Err(too_large(bounds.bytes));
            }
            if length > bytes.capacity() {
                // Doubled, as the vector is: the room is what it takes, not what it uses.
                let wanted = length.max(2 * bytes.capacity()).min(bounds.bytes);
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

fn too_large(limit: usize) -> Problem {
    Problem::new(Reason::TooLarge, format!("a body has at most {limit} bytes here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 10 * UNIT, time: Duration::from_secs(1) };

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
        let all = Allowance::new(8 * UNIT as u64);
        let first = send(&all, Some(5 * UNIT), &[5 * UNIT]).await.unwrap();
        assert_eq!(all.free.available_permits(), 3);
        assert_eq!(send(&all, Some(4 * UNIT), &[]).await.err(), Some(Reason::Busy));
        // Undeclared bytes are counted as they come.
        assert_eq!(send(&all, None, &[UNIT; 4]).await.err(), Some(Reason::Busy));
        assert_eq!(all.free.available_permits(), 3);
        drop(first);
        assert_eq!(send(&all, None, &[UNIT; 4]).await.unwrap().bytes.len(), 4 * UNIT);
        assert_eq!(all.free.available_permits(), 8);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_before_it_is_held() {
        let all = Allowance::new(100 * UNIT as u64);
        assert_eq!(send(&all, Some(11 * UNIT), &[]).await.err(), Some(Reason::TooLarge));
        assert_eq!(send(&all, None, &[UNIT; 11]).await.err(), Some(Reason::TooLarge));
        // A length that lies does not help.
        assert_eq!(send(&all, Some(1), &[UNIT; 11]).await.err(), Some(Reason::TooLarge));
        assert_eq!(all.free.available_permits(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_left() {
        let all = Allowance::new(100 * UNIT as u64);
        let never = futures_util::stream::pending::<Result<Vec<u8>, Problem>>();
        let left = collect(&all, BOUNDS, Some(5), never).await.map_err(|problem| problem.reason);
        assert_eq!(left.err(), Some(Reason::Timeout));
        assert_eq!(all.free.available_permits(), 100);
    }
}
