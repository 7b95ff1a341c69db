//! The slow twins: the plainest code for a sum and a transform, which the fast ones must equal.

pub(super) mod msm;
pub(super) mod ntt;
