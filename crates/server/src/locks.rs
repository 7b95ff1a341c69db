//! Asynchronous locks by name. Locks of different names are independent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// A set of locks. A lock exists while it is held or awaited.
#[derive(Default)]
pub(crate) struct NamedLocks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// A held lock, released when dropped.
pub(crate) struct NamedLockGuard<'a> {
    locks: &'a NamedLocks,
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl NamedLocks {
    /// Acquires the lock of this name.
    pub(crate) async fn lock(&self, name: String) -> NamedLockGuard<'_> {
        let lock = self.all().entry(name.clone()).or_default().clone();
        let mut held = NamedLockGuard { locks: self, name, guard: None };
        held.guard = Some(lock.lock_owned().await);
        held
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NamedLockGuard<'_> {
    fn drop(&mut self) {
        let mut all = self.locks.all();
        self.guard.take();
        // Only the map refers to the lock, so no task waits for it.
        if all.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            all.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_name_is_locked_once_and_removed_after_the_last_waiter() {
        let locks = NamedLocks::default();
        let first = locks.lock("a".into()).await;
        let _other = locks.lock("b".into()).await;
        let mut second = Box::pin(locks.lock("a".into()));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(locks.lock("a".into()));
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        drop(first);
        drop(third.await);
        assert_eq!(locks.all().keys().collect::<Vec<_>>(), ["b"]);
    }
}
