//! ed25519 keys and signatures, domain-separated and bound to a network.
//!
//! A node *is* its key. Keys are shown in Stellar's strkey form: `G…` public, `S…` secret. One verification rule
//! everywhere: `verify_strict`, because every node must agree on which signatures are valid.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use fba_core::{Hash, NodeId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A 64-byte ed25519 signature.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Signature(pub serde_bytes::ByteArray<64>);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", hex::encode(self.0.get(..4).unwrap_or_default()))
    }
}

/// SHA-256 of the network passphrase: in every signature, so nothing can be replayed on another network.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NetworkId(pub Hash);

impl NetworkId {
    /// The id of the network with this passphrase.
    #[must_use]
    pub fn of_passphrase(passphrase: &str) -> Self {
        Self(sha256(&[passphrase.as_bytes()]))
    }
}

/// What kind of message a signature is for. A signature of one kind is never valid for another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Domain {
    /// An SCP statement.
    Statement,
    /// A proposed ledger value.
    Value,
    /// A transaction.
    Transaction,
}

impl Domain {
    const fn tag(self) -> &'static [u8; 8] {
        match self {
            Self::Statement => b"fba:stmt",
            Self::Value => b"fba:valu",
            Self::Transaction => b"fba:txn\0",
        }
    }
}

/// The bytes that are signed: network id (32) ‖ domain tag (8) ‖ payload.
#[must_use]
pub fn signed_bytes(network: NetworkId, domain: Domain, payload: &[u8]) -> Vec<u8> {
    [network.0.0.as_slice(), domain.tag(), payload].concat()
}

/// SHA-256 over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    Hash(hasher.finalize().into())
}

/// Who signs and checks. The server uses [`Ed25519`]; the simulator a stand-in that costs nothing.
pub trait Signatures: Send + Sync {
    /// The node whose key signs.
    fn node(&self) -> NodeId;
    /// Signs with our own key.
    fn sign(&self, domain: Domain, payload: &[u8]) -> Signature;
    /// Is this `key`'s signature?
    fn verify(&self, key: &[u8; 32], domain: Domain, payload: &[u8], signature: &Signature) -> bool;
}

/// Real signatures by our node's key on one network.
#[derive(Clone)]
pub struct Ed25519 {
    network: NetworkId,
    secret: SecretKey,
}

impl Ed25519 {
    /// Signs with `secret` on `network`.
    #[must_use]
    pub fn new(network: NetworkId, secret: SecretKey) -> Self {
        Self { network, secret }
    }
}

impl Signatures for Ed25519 {
    fn node(&self) -> NodeId {
        self.secret.node_id()
    }

    fn sign(&self, domain: Domain, payload: &[u8]) -> Signature {
        self.secret.sign(self.network, domain, payload)
    }

    fn verify(&self, key: &[u8; 32], domain: Domain, payload: &[u8], signature: &Signature) -> bool {
        verify(self.network, key, domain, payload, signature)
    }
}

/// Is `signature` the signature of `key` over this payload, on this network and in this domain?
#[must_use]
pub fn verify(network: NetworkId, key: &[u8; 32], domain: Domain, payload: &[u8], signature: &Signature) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(&signed_bytes(network, domain, payload), &signature).is_ok())
}

/// A secret key. Wiped from memory when dropped; `Debug` shows the public half only.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has none to give.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| KeyError::NoRandomness(error.to_string()))?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads a strkey seed, `S…`.
    ///
    /// # Errors
    /// [`KeyError::NotASeed`]; the message never repeats the text.
    pub fn from_strkey(text: &str) -> Result<Self, KeyError> {
        let seed = stellar_strkey::ed25519::PrivateKey::from_string(text.trim()).map_err(|_| KeyError::NotASeed)?;
        Ok(Self::from_seed(&seed.0))
    }

    /// The strkey form, `S…`. Secret.
    #[must_use]
    pub fn to_strkey(&self) -> zeroize::Zeroizing<String> {
        let key = stellar_strkey::ed25519::PrivateKey(self.0.to_bytes());
        zeroize::Zeroizing::new(key.as_unredacted().to_string().as_str().to_owned())
    }

    /// The public half.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId(self.0.verifying_key().to_bytes())
    }

    /// Signs `payload` for `domain` on `network`.
    #[must_use]
    pub fn sign(&self, network: NetworkId, domain: Domain, payload: &[u8]) -> Signature {
        self.sign_raw(&signed_bytes(network, domain, payload))
    }

    /// Signs exactly `message`: for TLS, whose transcripts carry a domain of their own.
    #[must_use]
    pub fn sign_raw(&self, message: &[u8]) -> Signature {
        Signature(serde_bytes::ByteArray::new(self.0.sign(message).to_bytes()))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {}", node_strkey(self.node_id()))
    }
}

/// The strkey form of a public key, `G…` (56 characters).
#[must_use]
pub fn node_strkey(node: NodeId) -> String {
    stellar_strkey::ed25519::PublicKey(node.0).to_string().as_str().to_owned()
}

/// How many characters a strkey has, public or secret.
const STRKEY_LEN: usize = 56;

/// Reads `G…`, and refuses keys of small order, which anyone can sign for.
///
/// # Errors
/// [`KeyError`], which never repeats what could be a seed.
pub fn node_from_strkey(text: &str) -> Result<NodeId, KeyError> {
    let not_a_key = || {
        let long = text.len() >= STRKEY_LEN && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match text.chars().next() {
            // Even mistyped: most of a seed is a secret, too.
            Some('S') if long => KeyError::SeedForKey,
            Some('G') if text.len() == STRKEY_LEN && long => KeyError::Mistyped(text.to_owned()),
            _ => KeyError::NotAPublicKey(text.chars().take(60).collect()),
        }
    };
    let key = stellar_strkey::ed25519::PublicKey::from_string(text).map_err(|_| not_a_key())?;
    let decoded = VerifyingKey::from_bytes(&key.0).map_err(|_| not_a_key())?;
    if decoded.is_weak() {
        return Err(KeyError::WeakKey(text.to_owned()));
    }
    Ok(NodeId(key.0))
}

/// Why a key was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a secret key.
    #[error("not a secret key: expected 56 characters beginning with S, as `fba keygen` writes them")]
    NotASeed,
    /// Not a public key.
    #[error("{0:?} is not a public key: expected 56 characters beginning with G, as `fba keygen` prints them")]
    NotAPublicKey(String),
    /// A public key with a letter wrong.
    #[error("{0} has the form of a public key, but its check digits do not fit: a letter is wrong; copy it again")]
    Mistyped(String),
    /// A seed.
    #[error(
        "a seed (S…) stands where a public key (G…) belongs; write the public key instead, and if anybody else could \
         read the seed here, stop using it: make a new one with `fba keygen`"
    )]
    SeedForKey,
    /// A key of small order.
    #[error("{0} is a weak key (small order): anyone can sign for it; make a new one with `fba keygen`")]
    WeakKey(String),
    /// No randomness.
    #[error("the operating system gave no randomness: {0}")]
    NoRandomness(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_valid_only_for_its_key_network_domain_and_payload() {
        let network = NetworkId::of_passphrase("one");
        let key = SecretKey::from_seed(&[7; 32]);
        let signature = key.sign(network, Domain::Value, b"x");
        let id = key.node_id().0;
        assert!(verify(network, &id, Domain::Value, b"x", &signature));
        assert!(!verify(network, &id, Domain::Statement, b"x", &signature));
        assert!(!verify(network, &id, Domain::Value, b"y", &signature));
        assert!(!verify(NetworkId::of_passphrase("two"), &id, Domain::Value, b"x", &signature));
        assert!(!verify(network, &[9; 32], Domain::Value, b"x", &signature));
    }

    #[test]
    fn strkeys_read_back() {
        let key = SecretKey::from_seed(&[7; 32]);
        assert_eq!(SecretKey::from_strkey(&key.to_strkey()).unwrap().node_id(), key.node_id());
        assert_eq!(node_from_strkey(&node_strkey(key.node_id())).unwrap(), key.node_id());
        assert!(!format!("{key:?}").contains(&*key.to_strkey()));
        let weak = node_strkey(NodeId(std::array::from_fn(|i| u8::from(i == 0))));
        assert!(matches!(node_from_strkey(&weak), Err(KeyError::WeakKey(_))));
        let mistyped = format!("{}A", &node_strkey(key.node_id())[..55]);
        assert_eq!(node_from_strkey(&mistyped), Err(KeyError::Mistyped(mistyped)));
    }

    #[test]
    fn a_seed_in_the_place_of_a_public_key_is_never_repeated() {
        let seed = SecretKey::from_seed(&[7; 32]).to_strkey();
        for text in [seed.as_str(), &format!("{}A", &seed[..55]), &format!("{}A", seed.as_str())] {
            let refused = node_from_strkey(text).unwrap_err();
            assert!(!refused.to_string().contains(&text[..8]), "{refused}");
            assert_eq!(refused, KeyError::SeedForKey);
        }
    }
}
