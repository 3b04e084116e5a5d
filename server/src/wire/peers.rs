//! Where nodes are reached, as one node tells another.

use super::WireError;
use fba_core::NodeId;
use serde_bytes::{ByteArray, ByteBuf};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Most addresses in one message.
pub const PEERS_MAX: usize = 50;

/// CBOR items: per address an array with key, IP address and port.
pub(super) const ITEMS_MAX: usize = 4 * PEERS_MAX + 1;

/// An address of a node. Only whoever answers there with that key is believed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PeerHint {
    /// Whose key answers there.
    pub node: NodeId,
    /// Where.
    pub address: SocketAddr,
}

/// Key, IP address (4 or 16 bytes) and port.
pub(super) type Form = (ByteArray<32>, ByteBuf, u16);

pub(super) fn forms(hints: &[PeerHint]) -> Vec<Form> {
    let form = |hint: &PeerHint| {
        let ip = match hint.address.ip().to_canonical() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        (ByteArray::new(hint.node.0), ByteBuf::from(ip), hint.address.port())
    };
    hints.iter().map(form).collect()
}

pub(super) fn read(forms: Vec<Form>) -> Result<Vec<PeerHint>, WireError> {
    forms.into_iter().map(|(node, ip, port)| hint(NodeId(node.into_array()), &ip, port)).collect()
}

fn hint(node: NodeId, ip: &[u8], port: u16) -> Result<PeerHint, WireError> {
    let refused = |reason: &str| WireError::Payload { what: "peers", reason: reason.to_owned() };
    let ip = match ip.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(ip).expect("four bytes were counted")),
        16 => IpAddr::from(<[u8; 16]>::try_from(ip).expect("sixteen bytes were counted")),
        _ => return Err(refused("an IP address has 4 or 16 bytes")),
    };
    if ip.to_canonical() != ip {
        return Err(refused("an IPv4 address is written in 4 bytes, not mapped into IPv6"));
    }
    if port == 0 || ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err(refused("nobody can listen there"));
    }
    Ok(PeerHint { node, address: SocketAddr::new(ip, port) })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::wire::{Lane, Message, decode, encode, encode_frame};

    fn decoded(addresses: &[&str]) -> Result<Message, WireError> {
        let hint = |address: &&str| PeerHint { node: NodeId([1; 32]), address: address.parse().unwrap() };
        decode(samples::network(), Lane::Fetch, &encode(&Message::Peers(addresses.iter().map(hint).collect())))
    }

    #[test]
    fn addresses_where_nobody_can_listen_are_refused() {
        assert_eq!(decode(samples::network(), Lane::Fetch, &encode(&samples::peers())), Ok(samples::peers()));
        for wrong in ["192.0.2.1:0", "0.0.0.0:1", "[::]:1", "224.0.0.1:1", "[ff02::1]:1", "255.255.255.255:1"] {
            let error = decoded(&[wrong]).unwrap_err();
            assert_eq!(error.to_string(), "peers: nobody can listen there", "{wrong}");
        }
        let bytes = |ip: &[u8]| hint(NodeId([1; 32]), ip, 7).unwrap_err().to_string();
        assert!(bytes(&[1; 5]).contains("4 or 16 bytes"));
        assert!(bytes(&Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets()).contains("mapped"));
    }

    #[test]
    fn a_message_holds_so_many_addresses_and_no_more() {
        let most = vec!["[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"; PEERS_MAX];
        assert!(decoded(&most).is_ok());
        assert!(decoded(&[most.as_slice(), &["192.0.2.1:1"]].concat()).is_err());
        let hint = PeerHint { node: NodeId([255; 32]), address: most[0].parse().unwrap() };
        assert!(encode_frame(&Message::Peers(vec![hint; PEERS_MAX])).is_ok());
    }
}
