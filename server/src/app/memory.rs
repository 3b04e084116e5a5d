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

/// Writes down what has changed.
pub(super) fn keep(overlay: &Overlay, store: &mut Store) -> Result<(), StoreError> {
    let bans = overlay.take_ban_changes(ROWS_MAX).into_iter();
    let peers = overlay.take_book_changes(ROWS_MAX).into_iter();
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
