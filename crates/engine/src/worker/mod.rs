//! Steps in a child process of the same binary: for libraries that keep state for the whole process
//! or can abort it. A child that dies takes its step with it and nothing else; one that hangs is
//! killed; one that proved often or grew large is replaced.

mod frame;
mod parent;
mod serve;

pub(crate) use parent::Children;
pub use serve::serve;
