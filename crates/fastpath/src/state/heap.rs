//! Storage for values that are too long for a cell, by ticket.

use std::sync::{Arc, Mutex};

use super::cell::Content;
use crate::sync::{AtomicU32, Ordering};
use crate::value::Value;

/// The long values of an arena. A ticket is an index; removed tickets are reused.
#[derive(Default)]
pub(crate) struct Heap {
    slots: Mutex<Tickets>,
    used: AtomicU32,
}

#[derive(Default)]
struct Tickets {
    values: Vec<Option<Arc<[u8]>>>,
    free: Vec<u64>,
}

impl Heap {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.used.load(Ordering::Acquire) == 0
    }

    #[inline]
    pub(crate) fn put(&self, value: Option<&Value>) -> Content {
        let Some(value) = value else { return Content::Absent };
        match value.parts() {
            Ok((len, words)) => Content::Inline { len, words: *words },
            Err(bytes) => self.put_long(bytes),
        }
    }

    #[cold]
    fn put_long(&self, bytes: &Arc<[u8]>) -> Content {
        let Tickets { values, free } = &mut *crate::sync_lock(&self.slots);
        self.used.fetch_add(1, Ordering::Release);
        let ticket = free.pop().unwrap_or_else(|| {
            values.push(None);
            values.len() as u64 - 1
        });
        values[ticket as usize] = Some(Arc::clone(bytes));
        Content::Heap { ticket }
    }

    #[cold]
    pub(crate) fn get(&self, ticket: u64) -> Option<Arc<[u8]>> {
        crate::sync_lock(&self.slots).values.get(ticket as usize).cloned().flatten()
    }

    #[cold]
    pub(crate) fn remove(&self, ticket: u64) {
        let Tickets { values, free } = &mut *crate::sync_lock(&self.slots);
        values[ticket as usize] = None;
        free.push(ticket);
        self.used.fetch_sub(1, Ordering::Release);
    }
}
