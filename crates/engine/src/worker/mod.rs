//! Runs steps in a child process, for libraries that keep process-wide state or can abort the process.
//! If a child dies, only its step fails. A child that hangs is killed. A child is replaced after a
//! number of steps or above a memory size.

mod frame;
mod parent;
mod serve;

pub(crate) use parent::Children;
pub use serve::serve;
