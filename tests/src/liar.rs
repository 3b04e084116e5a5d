//! A peer that lies: it passes questions for ledgers on to an honest node, and the answers back, changed.

use fba_core::{Hash, NodeId};
use fba_server::key::{NetworkId, SecretKey};
use fba_server::ledger::{LedgerEntry, TxSet};
use fba_server::overlay::{self, Event, Overlay, OverlayConfig, OverlayError, PeerAddress, Seats};
use fba_server::runtime;
use fba_server::wire::{Message, VersionRange};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Messages that may wait for the liar.
const QUEUE: usize = 1_024;

/// What it lies about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lie {
    /// The lowest header of every page names another one before it.
    Headers,
    /// The last ledger of every answer has other transactions than its header says.
    Transactions,
    /// The last ledger of every answer has a header of its own.
    State,
    /// It never answers.
    Mute,
}

/// A running liar. Dropping it stops it.
pub struct Liar {
    overlay: Option<Arc<Overlay>>,
    told: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Liar {
    /// Begins to lie to `victim`, which must accept strangers, with what `honest` says.
    ///
    /// # Errors
    /// When it cannot listen.
    ///
    /// # Panics
    /// Without randomness.
    pub fn start(
        network: NetworkId,
        lie: Lie,
        victim: (NodeId, SocketAddr),
        honest: (NodeId, SocketAddr),
    ) -> Result<Self, OverlayError> {
        let address =
            |(key, address): (NodeId, SocketAddr)| PeerAddress { address: address.to_string(), key: Some(key) };
        let config = OverlayConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public: None,
            peers: vec![address(victim), address(honest)],
            trusted: BTreeSet::new(),
            bans: Vec::new(),
            known: Vec::new(),
            target_outbound: 2,
            seats: Seats::default(),
            network,
            versions: VersionRange::OURS,
        };
        let key = SecretKey::generate().expect("randomness");
        let (votes, said) = async_channel::bounded(QUEUE);
        let (rest, asked) = async_channel::bounded(QUEUE);
        let overlay = Arc::new(overlay::start(config, &key, Arc::default(), votes, rest)?);
        let told = Arc::new(AtomicU64::new(0));
        // Who is up and what is voted is nothing to a liar.
        let ignore = std::thread::spawn(move || while runtime::block_on(said.recv()).is_ok() {});
        let (answers, count) = (Arc::downgrade(&overlay), Arc::clone(&told));
        let work = std::thread::spawn(move || {
            while let Ok(event) = runtime::block_on(asked.recv()) {
                let (Event::Message { from, message }, Some(overlay)) = (event, answers.upgrade()) else { continue };
                if from == honest.0 {
                    let (message, is_lie) = changed(lie, message);
                    let sent = overlay.send(victim.0, &message);
                    count.fetch_add(u64::from(sent && is_lie), Ordering::Relaxed);
                } else if lie != Lie::Mute && matches!(message, Message::GetHeaders { .. } | Message::GetLedgers { .. })
                {
                    overlay.send(honest.0, &message);
                }
            }
        });
        Ok(Self { overlay: Some(overlay), told, threads: vec![ignore, work] })
    }

    /// How many lies it has sent.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.overlay = None;
        for thread in self.threads.drain(..) {
            // A panic there was printed; the test that uses the liar sees that it told no lies.
            let _ = thread.join();
        }
    }
}

/// The answer to pass on, and whether it is a lie.
fn changed(lie: Lie, message: Message) -> (Message, bool) {
    match (lie, message) {
        (Lie::Headers, Message::Headers(mut headers)) => {
            let lowest = headers.first_mut();
            let is_lie = lowest.is_some_and(|header| {
                header.previous = Hash([66; 32]);
                true
            });
            (Message::Headers(headers), is_lie)
        }
        (Lie::Transactions | Lie::State, Message::Ledgers(mut entries)) => {
            let is_lie = entries.last_mut().is_some_and(|entry| {
                forge(lie, entry);
                true
            });
            (Message::Ledgers(entries), is_lie)
        }
        (_, message) => (message, false),
    }
}

fn forge(lie: Lie, entry: &mut LedgerEntry) {
    if lie == Lie::State {
        entry.header.state_hash = Hash([66; 32]);
    } else {
        entry.tx_set = TxSet::empty(Hash([66; 32]));
    }
}
