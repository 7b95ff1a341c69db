//! Reference implementations of sums and transforms by their definitions, for tests.

pub(super) mod msm;
pub(super) mod ntt;
