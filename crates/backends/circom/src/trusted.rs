//! The one step of the cache that the compiler cannot check.

// Machine code from disk becomes a module. Only its origin shows that it is valid.
#![allow(unsafe_code)]

use wasmtime::{Engine, Module};

use crate::cache::OwnEntry;

/// Loads a module that this program compiled and stored earlier.
pub(crate) fn module_of(engine: &Engine, entry: &OwnEntry) -> wasmtime::Result<Module> {
    // SAFETY: wasmtime asks that the bytes are the unmodified output of `Module::serialize`, of any
    // version. An `OwnEntry` is only made from a file that this user alone can write (owner and
    // mode checked on the open file), whose digest is that of what `ModuleCache::store` wrote.
    unsafe { Module::deserialize(engine, entry.artefact()) }
}
