//! The conversion of a borrowed closure for threads that outlive the borrow.

#![allow(unsafe_code)]

/// A closure whose lifetime is hidden from the compiler. It exists only during [`scoped`].
#[derive(Copy, Clone)]
pub(super) struct Erased(&'static (dyn Fn(usize) + Sync));

impl Erased {
    pub(super) fn call(self, index: usize) {
        (self.0)(index);
    }
}

/// Calls `body` with `f`, whose lifetime is erased. When `body` returns or unwinds, no thread may
/// call a copy of the erased closure any more. `Pool::run` ensures this by settling every offer
/// first.
pub(super) fn scoped<R>(f: &(dyn Fn(usize) + Sync), body: impl FnOnce(Erased) -> R) -> R {
    // SAFETY: the transmute changes only the lifetime of the reference. The reference is used only
    // through `Erased::call`. A worker calls it only while its offer is in the state `BEGUN`.
    // `Pool::run`, the only caller, does not leave `body` until it has moved every offer from
    // `OFFERED` to `OVER` itself or has seen the worker's store of `OVER`. It catches the panics of
    // `f` on its own thread, so no panic leaves `body` before that. The borrow of `f` therefore
    // outlives every use of the reference.
    let erased = unsafe {
        std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(f)
    };
    body(Erased(erased))
}
