//! A recording read while it grows.

use fba_core::{NodeId, SlotIndex};
use fba_server::record::Records;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The newest ballot votes in a recording, by key.
pub(super) struct Tail {
    path: PathBuf,
    offset: u64,
    /// When each key first voted in each slot; slots asked about grow, so what is below them is forgotten.
    votes: BTreeMap<NodeId, BTreeMap<SlotIndex, u64>>,
}

impl Tail {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, votes: BTreeMap::new() }
    }

    /// When (milliseconds since the epoch) `node` was first heard voting on a ballot of a slot above `slot`, at
    /// `since_unix_ms` or later; `None` if the recording does not show that yet.
    pub(super) fn vote_after(&mut self, node: NodeId, slot: SlotIndex, since_unix_ms: u64) -> Option<u64> {
        self.read();
        let votes = self.votes.get_mut(&node)?;
        *votes = votes.split_off(&SlotIndex(slot.0.saturating_add(1)));
        votes.values().copied().filter(|at| *at >= since_unix_ms).min()
    }

    /// Takes in what was written since. A record that is not whole yet is read the next time.
    fn read(&mut self) {
        let mut records = Records::open_at(&self.path, self.offset).expect("the recording can be read");
        for record in &mut records {
            let record = record.expect("the recording is whole but for its end");
            let statement = &record.signed.statement;
            if !statement.pledge.is_nomination() {
                let votes = self.votes.entry(statement.node).or_default();
                votes.entry(statement.slot).or_insert(record.at_unix_ms);
            }
        }
        self.offset = records.offset();
    }
}
