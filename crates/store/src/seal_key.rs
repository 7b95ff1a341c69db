//! Encryption of inputs at rest: XChaCha20-Poly1305 with a random nonce per blob and the blob's name as associated
//! data. Format: 24 bytes of nonce, then ciphertext and tag.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::StoreError;

const NONCE: usize = 24;

/// A key that encrypts inputs at rest.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// A key of 32 bytes.
    pub fn new(key: [u8; 32]) -> SealKey {
        SealKey(Zeroizing::new(key))
    }

    /// Parses 64 hexadecimal digits; surrounding white space is ignored.
    pub fn from_hex(text: &str) -> Option<SealKey> {
        let text = text.trim();
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut key = Zeroizing::new([0; 32]);
        for (at, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(SealKey(key))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.0.as_ref().into())
    }

    /// The key's id in the journal and in messages: 16 hexadecimal digits of a keyed hash, which do not reveal the
    /// key.
    pub fn id(&self) -> String {
        let keyed = blake3::keyed_hash(&self.0, b"athanor seal key id 1");
        keyed.to_hex()[..16].to_owned()
    }

    /// Encrypts the blob `name`.
    pub(crate) fn seal(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut sealed = vec![0; NONCE];
        getrandom::fill(&mut sealed)?;
        let payload = Payload { msg: bytes, aad: name.as_bytes() };
        let ciphertext = self.cipher().encrypt(XNonce::from_slice(&sealed), payload);
        let ciphertext = ciphertext.map_err(|_| StoreError::Sealed { name: name.to_owned() })?;
        sealed.extend(ciphertext);
        Ok(sealed)
    }

    /// Decrypts the blob `name`.
    pub(crate) fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let failed = || StoreError::Sealed { name: name.to_owned() };
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE).ok_or_else(failed)?;
        let payload = Payload { msg: ciphertext, aad: name.as_bytes() };
        let opened = self.cipher().decrypt(XNonce::from_slice(nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| failed())
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_blob_opens_only_with_its_key_and_name() {
        let key = SealKey::from_hex(&"0f".repeat(32)).unwrap();
        let sealed = key.seal("a", b"secret").unwrap();
        assert_eq!(**key.open("a", &sealed).unwrap(), *b"secret");
        assert_ne!(key.seal("a", b"secret").unwrap(), sealed, "a nonce of its own");
        assert!(key.open("b", &sealed).is_err());
        assert!(SealKey::new([1; 32]).open("a", &sealed).is_err());
        assert!(key.open("a", &sealed[..20]).is_err());
        assert!(SealKey::from_hex("xyz").is_none() && SealKey::from_hex(&"é".repeat(32)).is_none());
        assert!(!format!("{key:?}").contains("15"));
        assert_ne!(key.id(), SealKey::new([1; 32]).id());
        assert!(!"0f".repeat(32).contains(&key.id()));
    }
}
