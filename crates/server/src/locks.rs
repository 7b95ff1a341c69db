//! Locks by name: who holds one waits for nobody who holds another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Locks that exist as long as somebody holds or awaits them.
#[derive(Default)]
pub(crate) struct NamedLocks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// A lock that is held.
pub(crate) struct NamedLockGuard<'a> {
    locks: &'a NamedLocks,
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl NamedLocks {
    /// Waits until nobody else holds the lock of that name.
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
        // The map's own reference is the last: nobody waits.
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
    async fn one_name_is_held_once_and_forgotten_after_the_last_who_waits() {
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
