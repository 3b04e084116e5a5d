//! A network with a long past, made quickly: the real herder, ledger, store and signatures of every validator in one
//! process, in virtual time. Messages are handed over in memory, checks of signatures are shared, and many ledgers
//! share one commit; what is in the folders afterwards is what stopped servers leave.

mod buffer;
mod load;
mod node;
mod signatures;

use fba_core::NodeId;
use fba_server::cli::exit::CliError;
use fba_server::cli::network_init::{self, NetworkFiles, network_init};
use fba_server::config::ConfigErrors;
use fba_server::herder::{Divergence, Input, Now, Outgoing, Ticket};
use fba_server::ledger::{Genesis, GenesisError};
use fba_server::store::{KeyFileError, StoreError, key_file};
use fba_server::wire::Message;
use load::Payers;
use node::Node;
use std::collections::BTreeMap;
use std::time::Duration;

/// The last ledgers are written one by one, as servers do.
const LEDGERS_ONE_BY_ONE: u64 = 20;

/// Virtual time goes on by at least so much.
const STEP: Duration = Duration::from_millis(1);

/// A ledger that takes longer than this, in virtual time, never comes.
const PATIENCE: Duration = Duration::from_secs(300);

/// What to make.
#[derive(Clone, Debug)]
pub struct Past {
    /// The network. Its genesis is moved back, so that the last ledger closes about when it says now.
    pub network: network_init::Plan,
    /// The sequence of the last ledger.
    pub ledgers: u64,
    /// Every so many ledgers there are transactions; 0 for never.
    pub transactions_every: u64,
    /// So many.
    pub transactions: usize,
    /// Ledgers in one commit.
    pub ledgers_per_commit: usize,
}

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The network's files could not be made.
    #[error(transparent)]
    Files(#[from] CliError),
    /// They could not be read.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A key could not be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// Its genesis is none.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node found the others to be wrong.
    #[error("a node diverged: {0}")]
    Diverged(Box<Divergence>),
    /// A node found another to break rules.
    #[error("a node drops another: {0}")]
    Dropped(String),
    /// Nothing closes.
    #[error("ledger {sequence} does not close")]
    Halted {
        /// The ledger all wait for.
        sequence: u64,
    },
    /// More ledgers than the time since 1970 allows.
    #[error("{ledgers} ledgers would begin before 1970: ask for fewer, or for a shorter heartbeat")]
    TooMany {
        /// How many.
        ledgers: u64,
    },
}

/// Makes the network and its past. `progress` is told of every ledger all nodes have closed.
///
/// # Errors
/// [`HistoryError`]. What was made by then stays.
pub fn make(past: &Past, mut progress: impl FnMut(u64)) -> Result<NetworkFiles, HistoryError> {
    let now = past.network.genesis_close_time_ms;
    let begin = now.checked_sub(past.duration_ms()).ok_or(HistoryError::TooMany { ledgers: past.ledgers })?;
    let files = network_init(&network_init::Plan { genesis_close_time_ms: begin, ..past.network.clone() })?;
    let mut world = World::open(past, &files, begin)?;
    for sequence in 2..=past.ledgers {
        world.close(sequence)?;
        let one_by_one = sequence.saturating_add(LEDGERS_ONE_BY_ONE) > past.ledgers;
        let ledgers = if one_by_one { 1 } else { past.ledgers_per_commit };
        world.nodes.iter_mut().try_for_each(|node| node.write(ledgers))?;
        progress(sequence);
    }
    world.nodes.into_iter().try_for_each(Node::finish)?;
    Ok(files)
}

impl Past {
    /// How long all of it takes in virtual time, and a little more.
    fn duration_ms(&self) -> u64 {
        let parameters = &self.network.parameters;
        let busy = self.ledgers.checked_div(self.transactions_every).unwrap_or(0);
        let idle = self.ledgers.saturating_sub(busy);
        // What a close takes beyond its interval: a step or two for what is handed on.
        let of = |count: u64, ms: u64| count.saturating_mul(ms.saturating_add(2));
        let busy = of(busy, parameters.close_interval_ms.min(parameters.heartbeat_ms));
        of(idle, parameters.heartbeat_ms).saturating_add(busy)
    }

    fn has_transactions(&self, sequence: u64) -> bool {
        self.transactions > 0 && sequence.checked_rem(self.transactions_every) == Some(0)
    }
}

/// All nodes, and what is on its way between them.
struct World<'p> {
    past: &'p Past,
    payers: Payers,
    nodes: Vec<Node>,
    index: BTreeMap<NodeId, usize>,
    inboxes: Vec<Vec<Input>>,
    begin: u64,
    now: Duration,
    submitted: u64,
}

impl<'p> World<'p> {
    fn open(past: &'p Past, files: &NetworkFiles, begin: u64) -> Result<Self, HistoryError> {
        let root = key_file::read(&files.root_key)?;
        let config = files.nodes.first().map(|node| node.config.as_path()).expect("a network has nodes");
        let config = fba_server::config::Config::load(config, fba_server::config::Keys::Required)?;
        let genesis: Genesis = config.load_genesis()?;
        let genuine = signatures::Genuine::default();
        let open = |node: &network_init::NodeFiles| Node::open(&node.config, &genesis, &genuine);
        let nodes = files.nodes.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
        let meet = |id: &NodeId| {
            let peers = ids.iter().filter(|peer| *peer != id).map(|peer| Input::PeerUp { peer: *peer });
            [Input::Start].into_iter().chain(peers).collect()
        };
        Ok(Self {
            past,
            payers: Payers::new(genesis.network_id(), root, past.transactions),
            inboxes: ids.iter().map(meet).collect(),
            index: ids.iter().copied().zip(0..).collect(),
            nodes,
            begin,
            now: Duration::ZERO,
            submitted: 0,
        })
    }

    fn now(&self) -> Now {
        let since = u64::try_from(self.now.as_millis()).expect("a past of less than 500 million years");
        Now { monotonic: self.now, unix_ms: self.begin.saturating_add(since) }
    }

    /// Lets time go on until every node has closed ledger `sequence`.
    fn close(&mut self, sequence: u64) -> Result<(), HistoryError> {
        if self.past.has_transactions(sequence) {
            self.submit();
        }
        let patience = self.now.saturating_add(PATIENCE);
        self.settle()?;
        while self.nodes.iter().any(|node| node.ledger().sequence() < sequence) {
            if self.now > patience {
                return Err(HistoryError::Halted { sequence });
            }
            self.wait();
            self.settle()?;
        }
        Ok(())
    }

    /// Clients hand their transactions to one node after the other.
    fn submit(&mut self) {
        let Some(ledger) = self.nodes.first().map(Node::ledger) else { return };
        for transaction in self.payers.transactions(ledger) {
            self.submitted = self.submitted.wrapping_add(1);
            let node = usize::try_from(self.submitted).unwrap_or(0) % self.nodes.len();
            let input = Input::Submit { transaction, ticket: Ticket(self.submitted) };
            self.inboxes.get_mut(node).expect("each node has an inbox").push(input);
        }
    }

    /// Goes on to when the next node wants to be woken, and wakes it.
    fn wait(&mut self) {
        let now = self.now();
        let next = self.nodes.iter().filter_map(|node| node.next_wakeup(now)).min().unwrap_or_default();
        self.now = next.max(self.now.saturating_add(STEP));
        for (node, inbox) in self.nodes.iter().zip(&mut self.inboxes) {
            if node.next_wakeup(now).is_some_and(|due| due <= self.now) {
                inbox.push(Input::Wakeup);
            }
        }
    }

    /// Hands messages over until nobody has anything to say.
    fn settle(&mut self) -> Result<(), HistoryError> {
        let now = self.now();
        while self.inboxes.iter().any(|inbox| !inbox.is_empty()) {
            for index in 0..self.nodes.len() {
                let inbox = self.inboxes.get_mut(index).map(std::mem::take).unwrap_or_default();
                let Some(node) = self.nodes.get_mut(index).filter(|_| !inbox.is_empty()) else { continue };
                inbox.into_iter().for_each(|input| node.handle(now, input));
                let from = node.id;
                for outgoing in node.flush(now)? {
                    self.deliver(from, outgoing)?;
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self, from: NodeId, outgoing: Outgoing) -> Result<(), HistoryError> {
        let (to, message): (Vec<NodeId>, Message) = match outgoing {
            Outgoing::Send { to, message } => (to, message),
            Outgoing::DropPeer { peer, reason } => return Err(HistoryError::Dropped(format!("{peer:?}: {reason}"))),
        };
        for peer in to {
            let inbox = self.index.get(&peer).and_then(|index| self.inboxes.get_mut(*index));
            inbox.expect("only members are peers").push(Input::Message { from, message: message.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
