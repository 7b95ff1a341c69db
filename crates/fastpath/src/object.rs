//! Owned objects: entries of the state with an owner and a version.
//!
//! An object is two neighbouring cells of the state: its header (owner, version) and its data.
//! A transaction names the objects that it consumes together with their versions; a version can
//! be spent once. An object that only its owner can touch needs no order with respect to anything
//! but itself, which is what the fast path lives on.

use crate::value::{INLINE_WORDS, Key, Value};

/// The name of an object. Objects and plain keys are separate name spaces.
pub type ObjectId = Key;

/// The name of an owner.
pub type Owner = Key;

/// Who may use an object.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// One owner, who consumes it at a version.
    Owned(Owner),
    /// Everybody, in block order.
    Shared,
    /// Everybody, to read.
    Immutable,
}

/// An object that a transaction consumes, at the version that it has seen.
///
/// The version of shared and immutable objects is not compared: the block's order decides.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The object.
    pub id: ObjectId,
    /// The version that the transaction spends.
    pub version: u64,
}

/// An object as a transaction sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub id: ObjectId,
    /// Its version.
    pub version: u64,
    /// Who may use it.
    pub ownership: Ownership,
    /// Its data; empty if none was ever written.
    pub data: Value,
}

const OWNED: u64 = 0;
const SHARED: u64 = 1;
const IMMUTABLE: u64 = 2;
/// Bytes of an encoded header: owner, version, kind.
const HEADER_BYTES: u8 = 48;

/// The first cell of an object.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) ownership: Ownership,
    pub(crate) version: u64,
}

impl Header {
    pub(crate) fn encode(self) -> Value {
        let (kind, owner) = match self.ownership {
            Ownership::Owned(owner) => (OWNED, owner),
            Ownership::Shared => (SHARED, Key::default()),
            Ownership::Immutable => (IMMUTABLE, Key::default()),
        };
        let mut words = [0; INLINE_WORDS];
        for (word, chunk) in words.iter_mut().zip(owner.0.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().expect("8 bytes"));
        }
        words[4] = self.version;
        words[5] = kind;
        Value::from_words(HEADER_BYTES, words)
    }

    /// `None` for a value that no executor wrote.
    pub(crate) fn decode(value: &Value) -> Option<Self> {
        let Ok((HEADER_BYTES, words)) = value.parts() else { return None };
        let ownership = match words[5] {
            OWNED => {
                let mut owner = [0; 32];
                for (chunk, word) in owner.chunks_exact_mut(8).zip(words) {
                    chunk.copy_from_slice(&word.to_le_bytes());
                }
                Ownership::Owned(Key(owner))
            }
            SHARED => Ownership::Shared,
            IMMUTABLE => Ownership::Immutable,
            _ => return None,
        };
        Some(Self { ownership, version: words[4] })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_encoding() {
        for ownership in [Ownership::Owned(Key([7; 32])), Ownership::Shared, Ownership::Immutable] {
            let header = Header { ownership, version: 0x0102_0304_0506_0708 };
            assert_eq!(Header::decode(&header.encode()), Some(header));
        }
        assert_eq!(Header::decode(&Value::from_u64(1)), None);
    }
}
