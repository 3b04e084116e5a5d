//! TLS 1.3 with raw public keys (RFC 7250): each end shows its node key, and nothing else proves who it is.
//!
//! The secret stays a [`SecretKey`]: it signs the transcript itself and never becomes PKCS#8. One client
//! configuration serves all peers, because the key expected of a peer is carried in the server name.

use super::OverlayError;
use crate::key::{SecretKey, node_strkey};
use ed25519_dalek::{Signature, VerifyingKey};
use fba_core::NodeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureAlgorithm,
    SignatureScheme,
};
use std::sync::Arc;

/// The one application protocol, and its version on the level of TLS.
const ALPN: &[u8] = b"fba/1";

/// DER of a `SubjectPublicKeyInfo` for ed25519, up to the 32 bytes of the key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The server name that expects no particular key.
const ANY_KEY: &str = "any.invalid";

/// Configuration for connections we accept.
pub(super) fn server(secret: &SecretKey) -> Result<rustls::ServerConfig, OverlayError> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(PinVerifier))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(secret))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would not ask the verifier again.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

/// Configuration for connections we dial.
pub(super) fn client(secret: &SecretKey) -> Result<rustls::ClientConfig, OverlayError> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinVerifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(secret))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// Named, never the process default: another crate's features could change that one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The server name by which a peer is dialled. Two labels, because 64 hex digits do not fit into one.
pub(super) fn server_name(expected: Option<NodeId>) -> String {
    let Some(node) = expected else {
        return ANY_KEY.to_owned();
    };
    let digits = hex::encode(node.0);
    let (left, right) = digits.split_at(32);
    format!("{left}.{right}")
}

/// The key a server name expects; `Err` if it is neither a key nor [`ANY_KEY`].
fn expected(name: &ServerName<'_>) -> Result<Option<NodeId>, Error> {
    let no_pin = || Error::InvalidCertificate(CertificateError::NotValidForName);
    let ServerName::DnsName(name) = name else {
        return Err(no_pin());
    };
    if name.as_ref() == ANY_KEY {
        return Ok(None);
    }
    let mut key = [0; 32];
    hex::decode_to_slice(name.as_ref().replace('.', ""), &mut key).map_err(|_| no_pin())?;
    Ok(Some(NodeId(key)))
}

/// The node at the other end of a connection whose handshake is done.
pub(super) fn peer_node(connection: &quinn::Connection) -> Option<NodeId> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let [spki] = identity.as_slice() else {
        return None;
    };
    node_of_spki(spki)
}

fn spki(node: NodeId) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), &node.0].concat()
}

fn node_of_spki(spki: &[u8]) -> Option<NodeId> {
    let key = spki.strip_prefix(&SPKI_PREFIX)?;
    key.try_into().ok().map(NodeId)
}

fn certified(secret: &SecretKey) -> Arc<CertifiedKey> {
    let spki = spki(secret.node_id());
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], Arc::new(NodeKey(secret.clone()))))
}

/// Our key, for TLS.
#[derive(Clone, Debug)]
struct NodeKey(SecretKey);

impl SigningKey for NodeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(self.0.node_id())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for NodeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign_raw(message).0.to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Accepts exactly one raw ed25519 key, and only the expected one where one is expected.
#[derive(Debug)]
struct PinVerifier;

impl PinVerifier {
    fn key(end_entity: &[u8], intermediates: &[CertificateDer<'_>]) -> Result<(NodeId, VerifyingKey), Error> {
        let bad = || Error::InvalidCertificate(CertificateError::BadEncoding);
        if !intermediates.is_empty() {
            return Err(bad());
        }
        let node = node_of_spki(end_entity).ok_or_else(bad)?;
        let key = VerifyingKey::from_bytes(&node.0).map_err(|_| bad())?;
        // Anyone can sign for a key of small order.
        if key.is_weak() { Err(bad()) } else { Ok((node, key)) }
    }

    fn signature(
        message: &[u8],
        end_entity: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let bad = || Error::InvalidCertificate(CertificateError::BadSignature);
        if signed.scheme != SignatureScheme::ED25519 {
            return Err(PeerIncompatible::NoSignatureSchemesInCommon.into());
        }
        let (_, key) = Self::key(end_entity, &[])?;
        let signature = Signature::from_slice(signed.signature()).map_err(|_| bad())?;
        key.verify_strict(message, &signature).map_err(|_| bad())?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

/// What rustls asks of the verifiers of both sides in the same words.
macro_rules! raw_ed25519_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::Tls13RequiredForQuic.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Self::signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (found, _) = Self::key(end_entity, intermediates)?;
        match expected(server_name)? {
            Some(wanted) if wanted != found => Err(Error::General(format!(
                "the peer's key is {}, but {} is expected there: correct the peer's address or key in the configuration",
                node_strkey(found),
                node_strkey(wanted)
            ))),
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    raw_ed25519_signatures!();
}

impl ClientCertVerifier for PinVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Any key may knock: seats are given after the hello.
        Self::key(end_entity, intermediates).map(|_| ClientCertVerified::assertion())
    }

    raw_ed25519_signatures!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_name_carries_the_expected_key() {
        let node = SecretKey::from_seed(&[3; 32]).node_id();
        for expectation in [Some(node), None] {
            let name = ServerName::try_from(server_name(expectation)).unwrap();
            assert_eq!(expected(&name).unwrap(), expectation);
        }
        assert!(expected(&ServerName::try_from("example.org").unwrap()).is_err());
        assert!(expected(&ServerName::try_from("127.0.0.1").unwrap()).is_err());
    }

    #[test]
    fn only_one_strong_ed25519_key_is_taken() {
        let node = SecretKey::from_seed(&[3; 32]).node_id();
        let good = spki(node);
        assert_eq!(PinVerifier::key(&good, &[]).unwrap().0, node);
        assert!(PinVerifier::key(&good, &[CertificateDer::from(good.clone())]).is_err());
        assert!(PinVerifier::key(good.get(1..).unwrap(), &[]).is_err());
        assert!(PinVerifier::key(&[good.as_slice(), &[0]].concat(), &[]).is_err());
        let weak = spki(NodeId(std::array::from_fn(|i| u8::from(i == 0))));
        assert!(PinVerifier::key(&weak, &[]).is_err());
    }
}
