//! Keys and values: 32-byte names, and byte strings of which short ones are stored inline.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Words of an inline value. With it, a cell of the state is one 64-byte line.
pub(crate) const INLINE_WORDS: usize = 6;
/// Maximum length of an inline value in bytes (48). Longer values are allocated on the heap.
pub const INLINE_BYTES: usize = INLINE_WORDS * 8;
/// Maximum length of a value that a transaction writes, in bytes (1 MiB).
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// The name of an entry of the state: 32 bytes, which the executor does not interpret.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// A key whose first eight bytes are `n` in little-endian order; the others are zero.
    #[must_use]
    pub fn from_u64(n: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        Self(bytes)
    }

    /// A key for an arbitrary byte string: its BLAKE3 digest.
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        Self(*blake3::hash(name).as_bytes())
    }
}

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A byte string of the state. Up to [`INLINE_BYTES`] bytes are stored inline; longer ones are
/// shared. A clone does not copy bytes on the heap.
#[derive(Clone)]
pub struct Value(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, words: [u64; INLINE_WORDS] },
    Heap(Arc<[u8]>),
}

impl Value {
    /// A copy of `bytes` as a value.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE_BYTES {
            return Self(Repr::Heap(Arc::from(bytes)));
        }
        let mut words = [0; INLINE_WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(padded);
        }
        Self(Repr::Inline { len: bytes.len() as u8, words })
    }

    /// A value of eight bytes: `n` in little-endian order.
    #[inline]
    #[must_use]
    pub fn from_u64(n: u64) -> Self {
        let mut words = [0; INLINE_WORDS];
        words[0] = n;
        Self(Repr::Inline { len: 8, words })
    }

    /// The first eight bytes as a little-endian number. A shorter value is padded with zeros.
    #[inline]
    #[must_use]
    pub fn as_u64(&self) -> u64 {
        match &self.0 {
            Repr::Inline { words, .. } => words[0],
            Repr::Heap(bytes) => u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")),
        }
    }

    /// The number in a value of exactly eight bytes; `None` for other lengths and for a long value.
    #[inline]
    pub(crate) fn word(&self) -> Option<u64> {
        match &self.0 {
            Repr::Inline { len: 8, words } => Some(words[0]),
            _ => None,
        }
    }

    /// A copy of the value with `n` in its first eight bytes. A shorter value is extended to eight
    /// bytes.
    #[inline]
    #[must_use]
    pub fn with_u64(&self, n: u64) -> Self {
        match &self.0 {
            Repr::Inline { len, words } => {
                let mut words = *words;
                words[0] = n;
                Self(Repr::Inline { len: (*len).max(8), words })
            }
            Repr::Heap(bytes) => {
                let mut bytes = bytes.to_vec();
                bytes[..8].copy_from_slice(&n.to_le_bytes());
                Self(Repr::Heap(bytes.into()))
            }
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Inline { len, .. } => usize::from(*len),
            Repr::Heap(bytes) => bytes.len(),
        }
    }

    /// Whether the length is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// Calls `f` with the bytes, without an allocation.
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match &self.0 {
            Repr::Inline { len, words } => {
                let mut bytes = [0; INLINE_BYTES];
                for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
                    chunk.copy_from_slice(&word.to_le_bytes());
                }
                f(&bytes[..usize::from(*len)])
            }
            Repr::Heap(bytes) => f(bytes),
        }
    }

    /// An inline value of `len` bytes from its words. Bytes past `len` must be zero.
    #[inline]
    pub(crate) fn from_words(len: u8, words: [u64; INLINE_WORDS]) -> Self {
        Self(Repr::Inline { len, words })
    }

    pub(crate) fn from_shared(bytes: Arc<[u8]>) -> Self {
        Self(Repr::Heap(bytes))
    }

    /// Length and words of an inline value, or the shared bytes of a long one.
    #[inline]
    pub(crate) fn parts(&self) -> Result<(u8, &[u64; INLINE_WORDS]), &Arc<[u8]>> {
        match &self.0 {
            Repr::Inline { len, words } => Ok((*len, words)),
            Repr::Heap(bytes) => Err(bytes),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Inline { len: a, words: x }, Repr::Inline { len: b, words: y }) => {
                a == b && x == y
            }
            (Repr::Heap(a), Repr::Heap(b)) => a == b,
            // Every length has one representation, so values of different representations have
            // different lengths.
            _ => false,
        }
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len() == 8 {
            return write!(f, "Value({})", self.as_u64());
        }
        self.with_bytes(|bytes| {
            f.write_str("Value(0x")?;
            bytes.iter().take(INLINE_BYTES).try_for_each(|byte| write!(f, "{byte:02x}"))?;
            if bytes.len() > INLINE_BYTES {
                write!(f, "… {} bytes", bytes.len())?;
            }
            f.write_str(")")
        })
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::from_u64(n)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_value_gives_back_its_bytes_at_every_length_around_the_inline_limit() {
        for len in 0..=2 * INLINE_BYTES {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + 1) as u8).collect();
            let value = Value::from_bytes(&bytes);
            assert_eq!(value.len(), len);
            assert_eq!(value.to_vec(), bytes);
            assert_eq!(value, Value::from_bytes(&bytes));
            if len > 0 {
                assert_ne!(value, Value::from_bytes(&bytes[..len - 1]));
            }
        }
    }

    #[test]
    fn numbers_round_trip() {
        for n in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(Value::from_u64(n).as_u64(), n);
            assert_eq!(Value::from_u64(n), Value::from_bytes(&n.to_le_bytes()));
        }
    }
}
