//! An input as it came: bytes with a kind, shared, wiped after use.

use std::sync::Arc;
use zeroize::Zeroizing;

/// What a job proves, as the client sent it. Clones share the bytes, which are wiped with the last.
#[derive(Clone)]
pub struct Input {
    /// What the bytes are, by the names the backend knows (`json`, `wtns`).
    pub kind: Arc<str>,
    bytes: Arc<Zeroizing<Vec<u8>>>,
}

impl Input {
    /// An input of that kind.
    pub fn new(kind: &str, bytes: Vec<u8>) -> Input {
        Input { kind: kind.into(), bytes: Arc::new(Zeroizing::new(bytes)) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// BLAKE3 over kind and bytes.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("athanor input 1");
        hasher.update(&(self.kind.len() as u64).to_le_bytes());
        hasher.update(self.kind.as_bytes()).update(&self.bytes);
        *hasher.finalize().as_bytes()
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({}, {} bytes hidden)", self.kind, self.bytes.len())
    }
}

/// Why an input is not taken. Sending it again cannot help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// A stable name, in kebab case.
    pub code: &'static str,
    /// What is wrong and what to do; never a secret.
    pub message: String,
}

impl InputError {
    /// With its code and words.
    pub fn new(code: &'static str, message: impl ToString) -> InputError {
        InputError { code, message: message.to_string() }
    }
}
