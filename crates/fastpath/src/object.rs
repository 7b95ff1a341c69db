//! Owned objects: entries of the state with an owner and a version.
//!
//! An object has two adjacent cells of the state: its header (owner, version) and its data. A
//! transaction names the objects that it uses, with their versions, and each version of an owned
//! object can be spent once. An object that only its owner can use needs no order relative to other
//! objects. The fast path depends on this.

use crate::value::{INLINE_BYTES, INLINE_WORDS, Key, Value};

/// The name of an object. Objects and plain keys have separate name spaces.
pub type ObjectId = Key;

/// The name of an owner.
pub type Owner = Key;

/// Who can use an object.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Only this owner, who spends one version per transaction.
    Owned(Owner),
    /// Every sender, in block order.
    Shared,
    /// Every sender, for reading only.
    Immutable,
}

/// An object that a transaction uses, at the version that the transaction cites.
///
/// The versions of shared and immutable objects are not compared, because the block's order
/// decides.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// Name of the object.
    pub id: ObjectId,
    /// The version that the transaction spends.
    pub version: u64,
}

/// An object as a transaction sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Name of the object.
    pub id: ObjectId,
    /// Version of the object.
    pub version: u64,
    /// Who can use the object.
    pub ownership: Ownership,
    /// Data of the object; empty if it was never written.
    pub data: Value,
}

/// Bytes of an encoded header: owner, version, kind. A header fills its cell.
const HEADER_BYTES: u8 = INLINE_BYTES as u8;
/// Index of the header's word that holds the version.
pub(crate) const VERSION_WORD: usize = 4;
const KIND_WORD: usize = 5;

/// Who can use an object, without the owner's name.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Owned = 0,
    Shared = 1,
    Immutable = 2,
}

/// The first cell of an object, in words. Names are compared and moved in the form in which the
/// cell holds them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) version: u64,
    /// Name of the owner; zero if the object has none.
    owner: [u64; 4],
}

impl Header {
    pub(crate) fn new(ownership: Ownership, version: u64) -> Self {
        match ownership {
            Ownership::Owned(owner) => Self { kind: Kind::Owned, version, owner: words(&owner) },
            Ownership::Shared => Self { kind: Kind::Shared, version, owner: [0; 4] },
            Ownership::Immutable => Self { kind: Kind::Immutable, version, owner: [0; 4] },
        }
    }

    pub(crate) fn at(self, version: u64) -> Self {
        Self { version, ..self }
    }

    #[inline]
    pub(crate) fn ownership(&self) -> Ownership {
        match self.kind {
            Kind::Owned => {
                let mut owner = [0; 32];
                for (chunk, word) in owner.chunks_exact_mut(8).zip(self.owner) {
                    chunk.copy_from_slice(&word.to_le_bytes());
                }
                Ownership::Owned(Key(owner))
            }
            Kind::Shared => Ownership::Shared,
            Kind::Immutable => Ownership::Immutable,
        }
    }

    /// Whether `owner` is the object's owner. Compares words, because a comparison of arrays stores
    /// both in memory first and waits for the stores.
    #[inline]
    pub(crate) fn belongs_to(&self, owner: &Owner) -> bool {
        let [a, b, c, d] = self.owner;
        let [e, f, g, h] = words(owner);
        self.kind == Kind::Owned && (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
    }

    pub(crate) fn encode(&self) -> Value {
        let [a, b, c, d] = self.owner;
        Value::from_words(HEADER_BYTES, [a, b, c, d, self.version, self.kind as u64])
    }

    /// The header in `value`; `None` if `value` is not an encoded header.
    pub(crate) fn decode(value: &Value) -> Option<Self> {
        match value.parts() {
            Ok((HEADER_BYTES, words)) => Self::from_words(words),
            _ => None,
        }
    }

    /// As [`Header::decode`], from the words of a value that fills its cell.
    #[inline]
    pub(crate) fn from_words(words: &[u64; INLINE_WORDS]) -> Option<Self> {
        let kind = match words[KIND_WORD] {
            0 => Kind::Owned,
            1 => Kind::Shared,
            2 => Kind::Immutable,
            _ => return None,
        };
        let [a, b, c, d, version, _] = *words;
        Some(Self { kind, version, owner: [a, b, c, d] })
    }
}

#[inline]
fn words(key: &Key) -> [u64; 4] {
    std::array::from_fn(|i| {
        u64::from_le_bytes(key.0[8 * i..8 * i + 8].try_into().expect("8 bytes"))
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_encoding() {
        for ownership in [Ownership::Owned(Key([7; 32])), Ownership::Shared, Ownership::Immutable] {
            let header = Header::new(ownership, 0x0102_0304_0506_0708);
            assert_eq!(Header::decode(&header.encode()), Some(header));
            assert_eq!(header.ownership(), ownership);
            assert_eq!(header.encode().parts().unwrap().1[VERSION_WORD], header.version);
            assert_eq!(header.belongs_to(&Key([7; 32])), header.kind == Kind::Owned);
            assert!(!header.belongs_to(&Key::default()));
        }
        assert_eq!(Header::decode(&Value::from_u64(1)), None);
    }
}
