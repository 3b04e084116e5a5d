//! A recording read while it grows.

use fba_core::{NodeId, SlotIndex, Statement};
use fba_server::record::{Record, Records};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The newest slots of each key that are remembered: far more than pass while anybody asks about one.
const SLOTS_KEPT: usize = 4096;

/// What a recording holds, by key and slot.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    offset: u64,
    newest_unix_ms: u64,
    said: BTreeMap<NodeId, BTreeMap<SlotIndex, Said>>,
}

/// What one key said about one slot.
#[derive(Clone, Debug)]
struct Said {
    /// When its first ballot statement came, in milliseconds since the epoch.
    voted_unix_ms: Option<u64>,
    /// Its newest ballot statement.
    newest: Option<Statement>,
}

impl Tail {
    /// Reads the recording at `path` from its beginning.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, newest_unix_ms: 0, said: BTreeMap::new() }
    }

    /// When (milliseconds since the epoch) `node` was first heard voting on a ballot of a slot above `slot`, at
    /// `since_unix_ms` or later; `None` if the recording does not show that yet.
    pub fn vote_after(&mut self, node: NodeId, slot: SlotIndex, since_unix_ms: u64) -> Option<u64> {
        self.read();
        let votes = self.above(node, slot).filter_map(|(_, said)| said.voted_unix_ms);
        votes.filter(|at| *at >= since_unix_ms).min()
    }

    /// The first slot above `slot` that `node` has said anything about, nominations too.
    pub fn spoke_after(&mut self, node: NodeId, slot: SlotIndex) -> Option<SlotIndex> {
        self.read();
        self.above(node, slot).map(|(slot, _)| *slot).next()
    }

    /// The newest ballot statement of `node` about each slot.
    pub fn ballots_of(&mut self, node: NodeId) -> BTreeMap<SlotIndex, Statement> {
        self.read();
        let said = self.said.get(&node).into_iter().flatten();
        said.filter_map(|(slot, said)| Some((*slot, said.newest.clone()?))).collect()
    }

    /// When the newest record was made. Records are written late, so what is older than that is all there only once
    /// something newer is.
    pub fn newest_unix_ms(&mut self) -> u64 {
        self.read();
        self.newest_unix_ms
    }

    fn above(&self, node: NodeId, slot: SlotIndex) -> impl Iterator<Item = (&SlotIndex, &Said)> {
        let from = SlotIndex(slot.0.saturating_add(1));
        self.said.get(&node).into_iter().flat_map(move |said| said.range(from..))
    }

    /// Takes in what was written since. A record that is not whole yet is read the next time.
    fn read(&mut self) {
        let mut records = Records::open_at(&self.path, self.offset).expect("the recording can be read");
        for record in &mut records {
            self.take_in(record.expect("the recording is whole but for its end"));
        }
        self.offset = records.offset();
    }

    fn take_in(&mut self, record: Record) {
        let statement = record.signed.statement;
        self.newest_unix_ms = self.newest_unix_ms.max(record.at_unix_ms);
        let slots = self.said.entry(statement.node).or_default();
        let said = slots.entry(statement.slot).or_insert(Said { voted_unix_ms: None, newest: None });
        if !statement.pledge.is_nomination() {
            said.voted_unix_ms.get_or_insert(record.at_unix_ms);
            if said.newest.as_ref().is_none_or(|newest| statement.is_newer_than(newest)) {
                said.newest = Some(statement);
            }
        }
        if slots.len() > SLOTS_KEPT {
            slots.pop_first();
        }
    }
}
