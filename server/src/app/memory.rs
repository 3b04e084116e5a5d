//! What the overlay remembers from one process to the next: the store keeps it, and neither knows the other.

use crate::overlay::{Ban, KnownPeer, Overlay};
use crate::store::{KeptBan, KeptPeer, PeerChanges, Store, StoreError};
use std::time::Duration;

/// What has changed is written down so often.
pub(super) const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Rows of each kind written at once: the consensus thread waits for them, though not for the disk.
const ROWS_MAX: usize = 64;

/// What an earlier process has kept.
pub(super) fn recall(store: &mut Store) -> Result<(Vec<Ban>, Vec<KnownPeer>), StoreError> {
    let (bans, peers) = store.kept_peers()?;
    Ok((bans.into_iter().map(recalled_ban).collect(), peers.into_iter().map(recalled_peer).collect()))
}

/// Writes down some of what has changed; the rest next time.
pub(super) fn keep(overlay: &Overlay, store: &mut Store) -> Result<(), StoreError> {
    keep_most(overlay, store, ROWS_MAX)
}

/// Writes down all that has changed: there is no next time. The overlay bounds how much that is.
pub(super) fn keep_all(overlay: &Overlay, store: &mut Store) -> Result<(), StoreError> {
    keep_most(overlay, store, usize::MAX)
}

fn keep_most(overlay: &Overlay, store: &mut Store, rows_max: usize) -> Result<(), StoreError> {
    let bans = overlay.take_ban_changes(rows_max).into_iter();
    let peers = overlay.take_book_changes(rows_max).into_iter();
    store.keep_peers(&PeerChanges {
        bans: bans.map(|(node, ban)| (node, ban.map(kept_ban))).collect(),
        peers: peers.map(|(address, known)| (address, known.map(kept_peer))).collect(),
    })
}

fn recalled_ban(KeptBan { node, since_ms, until_ms, offences, reason }: KeptBan) -> Ban {
    Ban { node, since_ms, until_ms, reason, offences }
}

fn kept_ban(Ban { node, since_ms, until_ms, reason, offences }: Ban) -> KeptBan {
    KeptBan { node, since_ms, until_ms, offences, reason }
}

fn recalled_peer(KeptPeer { address, node, source, success_ms, failures, failure_ms }: KeptPeer) -> KnownPeer {
    KnownPeer { address, node, source, success_ms, failures, failure_ms }
}

fn kept_peer(KnownPeer { address, node, source, success_ms, failures, failure_ms }: KnownPeer) -> KeptPeer {
    KeptPeer { address, node, source, success_ms, failures, failure_ms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{NetworkId, SecretKey};
    use crate::overlay::{self, OverlayConfig, Seats};
    use crate::store::KeyMark;
    use crate::wire::VersionRange;
    use fba_core::NodeId;
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    fn store(folder: &Path) -> Store {
        let mark = KeyMark::beside(&folder.join("node.key"));
        Store::open(&folder.join("data"), NetworkId::of_passphrase("memory"), NodeId([1; 32]), &mark).unwrap().0
    }

    fn overlay((bans, known): (Vec<Ban>, Vec<KnownPeer>)) -> Overlay {
        let config = OverlayConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            public: None,
            peers: Vec::new(),
            trusted: BTreeSet::new(),
            bans,
            known,
            target_outbound: 0,
            seats: Seats::default(),
            network: NetworkId::of_passphrase("memory"),
            versions: VersionRange::OURS,
        };
        let [(votes, _), (rest, _)] = [(); 2].map(|()| async_channel::bounded(1));
        overlay::start(config, &SecretKey::from_seed(&[1; 32]), Arc::default(), votes, rest).unwrap()
    }

    #[test]
    fn bans_and_addresses_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let address = ([192, 0, 2, 1], 7001).into();
        let (node, source) = (NodeId([2; 32]), NodeId([3; 32]));
        let known = KnownPeer { address, node, source, success_ms: Some(5), failures: 0, failure_ms: 0 };
        let before = overlay((Vec::new(), vec![known]));
        before.ban(NodeId([7; 32]), None, "as agreed by phone");
        before.punish(NodeId([8; 32]), "passed on a forged signature");
        before.ban(NodeId([9; 32]), None, "by mistake");
        assert!(before.unban(NodeId([9; 32])));
        let mut kept = store(folder.path());
        keep(&before, &mut kept).unwrap();
        drop(kept);
        let after = overlay(recall(&mut store(folder.path())).unwrap());
        assert_eq!(after.bans(), before.bans());
        assert_eq!(after.bans().len(), 2);
    }
}
