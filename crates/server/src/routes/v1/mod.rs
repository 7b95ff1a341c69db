//! The native API.

pub(super) mod circuits;
pub(super) mod jobs;
pub(super) mod status;
pub(super) mod verify;
