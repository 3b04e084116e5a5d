//! The UDP socket and the QUIC endpoint on it, with the limits of every connection.

use super::{OverlayError, tls};
use crate::key::SecretKey;
use crate::runtime;
use async_channel::Receiver;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// A silent connection says this often that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// A connection from which nothing was heard for so long is dead.
const IDLE_TIMEOUT_MS: u32 = 10_000;
/// Bytes a peer may have under way on one stream.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Streams of a peer for payload: fetch and transactions.
const PAYLOAD_STREAMS: u32 = 2;
/// Bytes a peer may have under way in all: more than the payload streams can hold, so that votes always have room.
const CONNECTION_WINDOW: u32 = (PAYLOAD_STREAMS + 2) * STREAM_WINDOW;
/// Unacknowledged bytes we keep for one peer: more than one of our own kind allows us.
const SEND_WINDOW: u64 = 2 * CONNECTION_WINDOW as u64;
/// Enough that no two connections of a node get the same one.
const CONNECTION_ID_BYTES: usize = 8;
/// Asked of the operating system, which may give less: at full blast its default overflows.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Handshakes begun by strangers that quinn holds back for us until we look at them.
const INCOMING_MAX: usize = 1_024;
/// Bytes it holds for all of them.
const INCOMING_BYTES_MAX: u64 = 4 * 1024 * 1024;

const _: () = assert!(CONNECTION_WINDOW > PAYLOAD_STREAMS * STREAM_WINDOW);

/// An endpoint bound to `listen` that accepts and dials with the key `secret`, and a channel that is closed when the
/// endpoint is gone for good.
pub(super) fn bind(listen: SocketAddr, secret: &SecretKey) -> Result<(Endpoint, Receiver<()>), OverlayError> {
    let transport = Arc::new(transport());
    let tls = QuicServerConfig::try_from(tls::server(secret)?).expect("ring has the initial cipher suite of QUIC");
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::clone(&transport))
        // A link's seat is counted under the address it came from.
        .migration(false)
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX);
    let tls = QuicClientConfig::try_from(tls::client(secret)?).expect("ring has the initial cipher suite of QUIC");
    let mut client = quinn::ClientConfig::new(Arc::new(tls));
    client.transport_config(transport);

    let failed = |source| OverlayError::Bind { listen, source };
    let socket = socket(listen).map_err(failed)?;
    let (runtime, gone) = runtime::quic_runtime();
    let mut endpoint = Endpoint::new(endpoint_config(secret), Some(server), socket, runtime).map_err(failed)?;
    endpoint.set_default_client_config(client);
    Ok((endpoint, gone))
}

/// With what a stateless reset is made of (RFC 9000 §10.3) derived from the node's key. A node that was killed and
/// started again can then tell its peers at their next packet that their connections are gone. With keys of the process
/// alone, they would believe in them until [`IDLE_TIMEOUT_MS`] is over, and dial again only then.
fn endpoint_config(secret: &SecretKey) -> EndpointConfig {
    let key = blake3::derive_key("fba 2026-11 QUIC stateless reset tokens", secret.to_strkey().as_bytes());
    let mut config = EndpointConfig::new(Arc::new(ResetKey(key)));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// Connection ids by chance, each taken for possibly ours: quinn's own generator would not know those of an earlier
/// process, and leave their packets unanswered. Resets are rate-limited by quinn, and smaller than what causes them.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CONNECTION_ID_BYTES];
        getrandom::fill(&mut id).expect("a system that had randomness for our socket's handshakes has it still");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// A keyed hash that makes the token of a connection id.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // Compared in constant time.
        let wanted = blake3::Hash::from_slice(signature).map_err(|_| CryptoError)?;
        if blake3::keyed_hash(&self.0, data) == wanted { Ok(()) } else { Err(CryptoError) }
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(PAYLOAD_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        // Nothing is sent in datagrams, so nothing is taken.
        .datagram_receive_buffer_size(None);
    transport
}

fn socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        // [::] takes IPv4 too.
        socket.set_only_v6(false)?;
    }
    for result in [socket.set_recv_buffer_size(SOCKET_BUFFER), socket.set_send_buffer_size(SOCKET_BUFFER)] {
        if let Err(error) = result {
            tracing::warn!(%error, "the operating system does not let the QUIC socket have larger buffers");
        }
    }
    socket.bind(&listen.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
