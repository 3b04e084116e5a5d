//! Real signatures whose checks are shared: what one node of this process has signed or checked, no other checks again.

use fba_core::NodeId;
use fba_server::key::{Domain, Ed25519, Signature, Signatures};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Signatures remembered at once: those of many slots of a hundred nodes, in a few megabytes.
const REMEMBERED_MAX: usize = 10_000;

/// What a genuine signature is over.
#[derive(Debug, Eq, PartialEq)]
struct Signed {
    key: [u8; 32],
    domain: Domain,
    payload: Vec<u8>,
}

/// Genuine signatures, shared by the nodes of one network.
#[derive(Clone, Debug, Default)]
pub(super) struct Genuine(Arc<Mutex<BTreeMap<[u8; 64], Signed>>>);

impl Genuine {
    fn has(&self, signature: &Signature, signed: &Signed) -> bool {
        // The map is whole at every point a panic could come from.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&*signature.0) == Some(signed)
    }

    fn add(&self, signature: &Signature, signed: Signed) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(*signature.0, signed);
    }
}

/// One node's signatures.
pub(super) struct Shared {
    own: Ed25519,
    genuine: Genuine,
}

impl Shared {
    pub(super) fn new(own: Ed25519, genuine: Genuine) -> Self {
        Self { own, genuine }
    }
}

impl Signatures for Shared {
    fn node(&self) -> NodeId {
        self.own.node()
    }

    fn sign(&self, domain: Domain, payload: &[u8]) -> Signature {
        let signature = self.own.sign(domain, payload);
        let signed = Signed { key: self.own.node().0, domain, payload: payload.to_vec() };
        self.genuine.add(&signature, signed);
        signature
    }

    fn verify(&self, key: &[u8; 32], domain: Domain, payload: &[u8], signature: &Signature) -> bool {
        let signed = Signed { key: *key, domain, payload: payload.to_vec() };
        if self.genuine.has(signature, &signed) {
            return true;
        }
        let is_genuine = self.own.verify(key, domain, payload, signature);
        if is_genuine {
            self.genuine.add(signature, signed);
        }
        is_genuine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fba_server::key::{NetworkId, SecretKey};

    #[test]
    fn only_exactly_what_was_signed_is_remembered_as_genuine() {
        let network = NetworkId::of_passphrase("x");
        let node = |seed| Ed25519::new(network, SecretKey::from_seed(&[seed; 32]));
        let genuine = Genuine::default();
        let (one, other) = (Shared::new(node(1), genuine.clone()), Shared::new(node(2), genuine));
        let signature = one.sign(Domain::Statement, b"yes");
        let key = one.node().0;
        assert!(other.verify(&key, Domain::Statement, b"yes", &signature));
        assert!(!other.verify(&key, Domain::Statement, b"no", &signature));
        assert!(!other.verify(&key, Domain::Value, b"yes", &signature));
        assert!(!other.verify(&other.node().0, Domain::Statement, b"yes", &signature));
    }
}
