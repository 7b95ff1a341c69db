//! [`Input`]: the bytes of a submitted input and their kind. The bytes are shared and wiped after use.

use std::sync::Arc;
use zeroize::Zeroizing;

/// The input of a job as the client sent it. Clones share the bytes. Dropping the last clone wipes them.
#[derive(Clone)]
pub struct Input {
    /// The format of the bytes, a name that the backend defines, such as `json` or `wtns`.
    pub kind: Arc<str>,
    bytes: Arc<Zeroizing<Vec<u8>>>,
}

impl Input {
    /// An input of the given kind.
    pub fn new(kind: &str, bytes: Vec<u8>) -> Input {
        Input { kind: kind.into(), bytes: Arc::new(Zeroizing::new(bytes)) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// BLAKE3 digest of kind and bytes.
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

/// Reason that a circuit does not accept an input. A retry with the same input cannot succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InputError {
    /// A stable error code in kebab case.
    pub code: &'static str,
    /// Description and remedy for people. It contains no secret.
    pub message: String,
}

impl InputError {
    /// An error with its code and message.
    pub fn new(code: &'static str, message: impl ToString) -> InputError {
        InputError { code, message: message.to_string() }
    }
}
