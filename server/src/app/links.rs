//! The overlay as HTTP sees it.

use super::consensus::unix_ms;
use super::show::millis;
use crate::http::admin::{Links, dto};
use crate::http::{Away, Identity};
use crate::key::node_strkey;
use crate::overlay::{Ban, Departure, Overlay, PeerInfo};
use fba_core::NodeId;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Weak, because whoever stops the node has to be the last to hold the overlay.
pub(super) struct OverlayLinks(Weak<Overlay>);

impl OverlayLinks {
    pub(super) fn new(overlay: &Arc<Overlay>) -> Self {
        Self(Arc::downgrade(overlay))
    }
}

impl Links for OverlayLinks {
    fn peers(&self) -> dto::Peers {
        let Some(overlay) = self.0.upgrade() else { return dto::Peers::default() };
        dto::Peers {
            peers: overlay.peers().iter().map(peer).collect(),
            departures: overlay.departures().into_iter().map(departure).collect(),
        }
    }

    fn drop_peer(&self, node: NodeId, reason: &str) -> bool {
        let Some(overlay) = self.0.upgrade() else { return false };
        let linked = overlay.peers().iter().any(|peer| peer.node == node);
        if linked {
            overlay.drop_peer(node, reason);
        }
        linked
    }

    fn ban(&self, node: NodeId, time: Option<Duration>, reason: &str) {
        if let Some(overlay) = self.0.upgrade() {
            overlay.ban(node, time, reason);
        }
    }

    fn unban(&self, node: NodeId) -> bool {
        self.0.upgrade().is_some_and(|overlay| overlay.unban(node))
    }

    fn bans(&self) -> Vec<dto::Ban> {
        self.0.upgrade().map(|overlay| overlay.bans().into_iter().map(ban).collect()).unwrap_or_default()
    }
}

/// Who is not linked, and why, with names.
pub(super) fn away(bans: Vec<Ban>, departures: Vec<Departure>, identity: &Identity) -> Away {
    let name = |node: NodeId| identity.names.get(&node).map(|name| name.name.clone());
    let named_ban = |one: Ban| dto::Ban { name: name(one.node), ..ban(one) };
    let named_departure = |one: Departure| dto::Departure { name: one.node.and_then(name), ..departure(one) };
    Away {
        bans: bans.into_iter().map(named_ban).collect(),
        departures: departures.into_iter().map(named_departure).collect(),
    }
}

fn ban(ban: Ban) -> dto::Ban {
    let Ban { node, since_ms, until_ms, reason, offences } = ban;
    dto::Ban { node: node_strkey(node), name: None, since_ms, until_ms, reason, offences }
}

fn peer(info: &PeerInfo) -> dto::Peer {
    dto::Peer {
        node: node_strkey(info.node),
        name: None,
        address: info.address.to_string(),
        inbound: info.inbound,
        since_ms: unix_ms().saturating_sub(millis(info.up_for)),
        rtt_us: u64::try_from(info.rtt.as_micros()).unwrap_or(u64::MAX),
        bytes_in: info.bytes_received,
        bytes_out: info.bytes_sent,
        waiting: info.waiting as u64,
        waiting_bytes: info.waiting_bytes as u64,
        shed: info.shed,
        version: info.hello.version,
        ledger: info.hello.ledger,
        public_address: info.hello.address.clone(),
    }
}

fn departure(gone: Departure) -> dto::Departure {
    dto::Departure {
        node: gone.node.map(node_strkey),
        name: None,
        address: gone.address,
        at_ms: gone.at_ms,
        reason: gone.reason,
        times: gone.times,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::NodeName;
    use crate::key::NetworkId;
    use std::collections::BTreeMap;

    #[test]
    fn whoever_is_away_is_called_by_the_name_this_node_knows() {
        let (known, stranger) = (NodeId([1; 32]), NodeId([2; 32]));
        let identity = Identity {
            node: NodeId([3; 32]),
            network: NetworkId::of_passphrase("links tests").0,
            validator: true,
            names: BTreeMap::from([(known, NodeName { name: "beta".into(), organization: None })]),
            parameters: crate::ledger::Parameters::default(),
        };
        let ban = |node| Ban { node, since_ms: 1, until_ms: Some(2), reason: "forged".into(), offences: 1 };
        let gone = |node| Departure { at_ms: 3, reason: "timed out".into(), times: 4, node, address: "a:1".into() };
        let departures = vec![gone(Some(known)), gone(None)];
        let away = away(vec![ban(known), ban(stranger)], departures, &identity);
        let beta = Some("beta".to_owned());
        let bans: Vec<_> = away.bans.iter().map(|ban| (ban.node.clone(), ban.name.clone(), ban.until_ms)).collect();
        assert_eq!(bans, [(node_strkey(known), beta.clone(), Some(2)), (node_strkey(stranger), None, Some(2))]);
        let gone: Vec<_> = away.departures.iter().map(|one| (one.node.clone(), one.name.clone(), one.times)).collect();
        assert_eq!(gone, [(Some(node_strkey(known)), beta, 4), (None, None, 4)]);
    }
}
