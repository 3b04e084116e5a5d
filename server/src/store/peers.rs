//! What the overlay remembers of other nodes: bans, and where they are reached.
//!
//! Nothing that is agreed on depends on it. What cannot be read is forgotten, loudly, instead of keeping a validator
//! down; and writes are not synced on their own: they become durable with the next commit that is.

use super::error::{During, StoreError};
use super::row::{BANS, PEERS, to_i64};
use super::{Store, begin, connection};
use fba_core::NodeId;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// A ban as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptBan {
    /// Who.
    pub node: NodeId,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Until when, in Unix milliseconds; `None`: for ever.
    pub until_ms: Option<u64>,
    /// What led to it; 0 for a ban of the operator.
    pub offences: u32,
    /// Why.
    pub reason: String,
}

/// An address as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptPeer {
    /// Where.
    pub address: SocketAddr,
    /// Whose key answers there.
    pub node: NodeId,
    /// Who said so.
    pub source: NodeId,
    /// When it was last reached, in Unix milliseconds.
    pub success_ms: Option<u64>,
    /// How often in a row it was not.
    pub failures: u32,
    /// When it was last not reached, in Unix milliseconds.
    pub failure_ms: u64,
}

/// What is kept, or what has changed; `None`: to be forgotten.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PeerChanges {
    /// By node.
    pub bans: Vec<(NodeId, Option<KeptBan>)>,
    /// By address.
    pub peers: Vec<(SocketAddr, Option<KeptPeer>)>,
}

impl Store {
    /// Writes what has changed, all or nothing. Not synced.
    ///
    /// # Errors
    /// As [`Store::commit`].
    ///
    /// # Panics
    /// If a time is beyond the year 292,277,026: our own mistake.
    pub fn keep_peers(&mut self, changes: &PeerChanges) -> Result<(), StoreError> {
        if changes.bans.is_empty() && changes.peers.is_empty() {
            return Ok(());
        }
        self.guarded(|store| {
            connection::set_synced(&store.connection, &store.path, false)?;
            let transaction = begin(&mut store.connection)?;
            changes.bans.iter().try_for_each(|(node, ban)| match ban {
                Some(ban) => put_ban(&transaction, ban),
                None => BANS.delete(&transaction, "DELETE FROM bans WHERE node = ?", params![node.0]),
            })?;
            changes.peers.iter().try_for_each(|(address, peer)| match peer {
                Some(peer) => put_peer(&transaction, peer),
                None => PEERS.delete(&transaction, "DELETE FROM peers WHERE address = ?", params![address.to_string()]),
            })?;
            transaction.commit().during("keep what is known of peers")?;
            connection::set_synced(&store.connection, &store.path, true)?;
            store.counters.all.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Everything [`Store::keep_peers`] has kept.
    ///
    /// # Errors
    /// What SQLite says. Rows that are not what was written are forgotten, and the log says so.
    pub fn kept_peers(&mut self) -> Result<(Vec<KeptBan>, Vec<KeptPeer>), StoreError> {
        self.guarded(|store| {
            let bans = or_forget(&store.connection, bans(&store.connection), "DELETE FROM bans")?;
            let peers = or_forget(&store.connection, peers(&store.connection), "DELETE FROM peers")?;
            Ok((bans, peers))
        })
    }
}

fn or_forget<T>(connection: &Connection, read: Result<Vec<T>, StoreError>, forget: &str) -> Result<Vec<T>, StoreError> {
    match read {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(%error, "what was known of peers is damaged and forgotten: look at this disk, and at the bans");
            connection.execute_batch(forget).during("forget what was known of peers")?;
            Ok(Vec::new())
        }
        read => read,
    }
}

fn time(ms: Option<u64>) -> ValueRef<'static> {
    ms.map_or(ValueRef::Null, |ms| ValueRef::Integer(to_i64(ms)))
}

fn put_ban(connection: &Connection, ban: &KeptBan) -> Result<(), StoreError> {
    let (node, reason) = (ValueRef::Blob(&ban.node.0), ValueRef::Text(ban.reason.as_bytes()));
    let offences = ValueRef::Integer(i64::from(ban.offences));
    BANS.put(connection, &[node, time(Some(ban.since_ms)), time(ban.until_ms), offences, reason])
}

fn put_peer(connection: &Connection, peer: &KeptPeer) -> Result<(), StoreError> {
    let address = peer.address.to_string();
    let (node, source) = (ValueRef::Blob(&peer.node.0), ValueRef::Blob(&peer.source.0));
    let failures = ValueRef::Integer(i64::from(peer.failures));
    let row = [
        ValueRef::Text(address.as_bytes()),
        node,
        source,
        time(peer.success_ms),
        failures,
        time(Some(peer.failure_ms)),
    ];
    PEERS.put(connection, &row)
}

fn bans(connection: &Connection) -> Result<Vec<KeptBan>, StoreError> {
    let mut bans = Vec::new();
    BANS.each(connection, "SELECT * FROM bans ORDER BY node", [], |row| {
        bans.push(KeptBan {
            node: NodeId(row.array(0)?),
            since_ms: row.number(1)?,
            until_ms: row.optional_number(2)?,
            offences: u32::try_from(row.number(3)?).map_err(|_| row.corrupt("offences are out of range"))?,
            reason: row.text(4)?.to_owned(),
        });
        Ok(())
    })?;
    Ok(bans)
}

fn peers(connection: &Connection) -> Result<Vec<KeptPeer>, StoreError> {
    let mut peers = Vec::new();
    PEERS.each(connection, "SELECT * FROM peers ORDER BY address", [], |row| {
        peers.push(KeptPeer {
            address: row.text(0)?.parse().map_err(|_| row.corrupt("it is not an address"))?,
            node: NodeId(row.array(1)?),
            source: NodeId(row.array(2)?),
            success_ms: row.optional_number(3)?,
            failures: u32::try_from(row.number(4)?).map_err(|_| row.corrupt("failures are out of range"))?,
            failure_ms: row.number(5)?,
        });
        Ok(())
    })?;
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::NetworkId;
    use crate::store::KeyMark;
    use std::path::Path;

    fn open(folder: &Path) -> Store {
        let mark = KeyMark::beside(&folder.join("node.key"));
        Store::open(&folder.join("data"), NetworkId::of_passphrase("peers"), NodeId([1; 32]), &mark).unwrap().0
    }

    fn ban(n: u8, until_ms: Option<u64>) -> KeptBan {
        KeptBan { node: NodeId([n; 32]), since_ms: 5, until_ms, offences: 2, reason: "gefälscht".to_owned() }
    }

    fn peer(address: &str) -> KeptPeer {
        let (node, source) = (NodeId([2; 32]), NodeId([3; 32]));
        KeptPeer { address: address.parse().unwrap(), node, source, success_ms: Some(7), failures: 1, failure_ms: 9 }
    }

    fn changes(bans: &[KeptBan], peers: &[KeptPeer]) -> PeerChanges {
        PeerChanges {
            bans: bans.iter().map(|ban| (ban.node, Some(ban.clone()))).collect(),
            peers: peers.iter().map(|peer| (peer.address, Some(peer.clone()))).collect(),
        }
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart_and_what_is_forgotten_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (bans, peers) = ([ban(1, Some(99)), ban(2, None)], [peer("192.0.2.1:7"), peer("[2001:db8::1]:7")]);
        let mut store = open(folder.path());
        store.keep_peers(&changes(&bans, &peers)).unwrap();
        drop(store);
        let mut store = open(folder.path());
        assert_eq!(store.kept_peers().unwrap(), (bans.to_vec(), peers.to_vec()));
        let forget = PeerChanges { bans: vec![(bans[0].node, None)], peers: vec![(peers[1].address, None)] };
        store.keep_peers(&forget).unwrap();
        assert_eq!(store.kept_peers().unwrap(), (bans[1..].to_vec(), peers[..1].to_vec()));
    }

    #[test]
    fn a_damaged_row_costs_what_is_known_of_peers_and_not_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path());
        store.keep_peers(&changes(&[ban(1, None)], &[peer("192.0.2.1:7")])).unwrap();
        store.connection.execute_batch("UPDATE peers SET failures = 0").unwrap();
        drop(store);
        let mut store = open(folder.path());
        assert_eq!(store.kept_peers().unwrap(), (vec![ban(1, None)], Vec::new()));
        store.keep_peers(&changes(&[], &[peer("192.0.2.1:7")])).unwrap();
        assert_eq!(store.kept_peers().unwrap().1.len(), 1);
    }
}
