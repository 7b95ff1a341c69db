//! The one place where a borrowed closure crosses to threads that outlive it.

#![allow(unsafe_code)]

/// A closure whose lifetime the compiler no longer sees. It exists only inside [`scoped`].
#[derive(Copy, Clone)]
pub(super) struct Erased(&'static (dyn Fn(usize) + Sync));

impl Erased {
    pub(super) fn call(self, index: usize) {
        (self.0)(index);
    }
}

/// Calls `body` with an erased `f`. By the time `body` returns or unwinds, no copy of it may be
/// called any more, on any thread; `Pool::run` waits for its workers before either.
pub(super) fn scoped<R>(f: &(dyn Fn(usize) + Sync), body: impl FnOnce(Erased) -> R) -> R {
    // SAFETY: the reference is used through `Erased::call` only. A worker calls it only between
    // moving its offer from "offered" to "begun" and to "over", and `Pool::run`, the only caller,
    // does not leave `body` before every offer is "over", be it taken back or done; so no call
    // happens after `f`'s borrow ends. All panics are caught before that wait.
    let erased = unsafe {
        std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(f)
    };
    body(Erased(erased))
}
