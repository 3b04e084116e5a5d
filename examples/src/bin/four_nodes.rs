//! Four nodes in memory agree on one value, and every step says why it was taken.
//!
//! `fba-core` does no I/O: this program is the network, the clock and the application. Each node wants three of the four;
//! each proposes another lunch.

use fba_core::{
    Attested, Driver, Effect, Evidence, Input, Moved, Node, NodeId, Purpose, QuorumSet, SenderSet, SlotIndex, Timer,
    Validity, Value, leader,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

const SLOT: SlotIndex = SlotIndex(1);
const FRIENDS: [(&str, &str); 4] = [("ann", "pizza"), ("ben", "salad"), ("cat", "ramen"), ("dan", "curry")];

/// The application: any lunch is valid, and of several candidates the first in the alphabet is taken.
struct Lunch;

impl Driver for Lunch {
    fn validate(&self, _: SlotIndex, _: &Value, _: Purpose) -> Validity {
        Validity::Valid
    }

    fn extract_valid(&self, _: SlotIndex, _: &Value) -> Option<Value> {
        None
    }

    fn combine(&self, _: SlotIndex, candidates: &BTreeSet<Value>) -> Option<Value> {
        candidates.first().cloned()
    }

    fn priority(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
        leader::priority(slot, previous, round, node)
    }

    fn neighborhood(&self, slot: SlotIndex, previous: &Value, round: u32, node: NodeId) -> u64 {
        leader::neighborhood(slot, previous, round, node)
    }

    fn value_hash(&self, slot: SlotIndex, previous: &Value, round: u32, value: &Value) -> u64 {
        leader::value_hash(slot, previous, round, value)
    }

    fn timeout(&self, _: Timer, round: u32) -> Duration {
        Duration::from_secs(u64::from(round))
    }
}

/// The network and the clock: inputs on their way, and timers by when they run out.
struct World {
    nodes: BTreeMap<NodeId, Node>,
    quorum_set: Arc<QuorumSet>,
    inbox: VecDeque<(NodeId, Input)>,
    timers: BTreeMap<(Duration, NodeId, Timer), u64>,
    now: Duration,
    decided: BTreeMap<NodeId, Value>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let ids: Vec<NodeId> = (1u8..).zip(FRIENDS).map(|(n, _)| NodeId([n; 32])).collect();
    let quorum_set = QuorumSet::new(3, ids.clone(), Vec::new())?;
    let mut world = World {
        nodes: ids.iter().map(|id| (*id, Node::new(*id, true, quorum_set.clone()))).collect(),
        quorum_set: Arc::new(quorum_set),
        inbox: VecDeque::new(),
        timers: BTreeMap::new(),
        now: Duration::ZERO,
        decided: BTreeMap::new(),
    };
    world.nodes.values_mut().for_each(|node| node.open(SLOT));
    for (id, (_, lunch)) in ids.iter().zip(FRIENDS) {
        let value = Some(Value::new(lunch.as_bytes()));
        let nominate = Input::Nominate { slot: SLOT, value, previous: Value::new(b""), timed_out: false };
        world.inbox.push_back((*id, nominate));
    }
    while world.decided.len() < world.nodes.len() {
        let Some((node, input)) = world.next() else {
            return Err("nothing left to do, and not everybody decided".into());
        };
        world.deliver(node, input);
    }
    let lunches: BTreeSet<_> = world.decided.values().map(text).collect();
    println!("\neverybody: {}", lunches.into_iter().collect::<Vec<_>>().join(" and "));
    Ok(())
}

impl World {
    /// The next message; if there is none, the next timer that runs out.
    fn next(&mut self) -> Option<(NodeId, Input)> {
        self.inbox.pop_front().or_else(|| {
            let ((at, node, timer), generation) = self.timers.pop_first()?;
            self.now = at;
            Some((node, Input::TimerFired { slot: SLOT, timer, generation }))
        })
    }

    fn deliver(&mut self, id: NodeId, input: Input) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        match node.handle(input, &Lunch) {
            Ok(effects) => effects.into_iter().for_each(|effect| self.carry_out(id, effect)),
            Err(refused) => println!("{:>6?} {} refuses: {refused:?}", self.now, name(id)),
        }
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect) {
        match effect {
            // A real host makes it durable and signs it first.
            Effect::Emit(statement) => {
                let others = self.nodes.keys().filter(|other| **other != id);
                let quorum_set = SenderSet::Known(Arc::clone(&self.quorum_set));
                let attested = Attested { statement, quorum_set };
                self.inbox.extend(others.map(|other| (*other, Input::Receive(attested.clone()))));
            }
            Effect::StartTimer { timer, generation, after, .. } => {
                self.timers.retain(|(_, node, kind), _| (*node, *kind) != (id, timer));
                self.timers.insert((self.now.saturating_add(after), id, timer), generation);
            }
            Effect::StopTimer { timer, .. } => self.timers.retain(|(_, node, kind), _| (*node, *kind) != (id, timer)),
            Effect::Externalize { value, .. } => {
                println!("{:>6?} {} DECIDES {}", self.now, name(id), text(&value));
                self.decided.insert(id, value);
            }
            Effect::Moved(moved) => println!("{:>6?} {} {}", self.now, name(id), why(&moved)),
        }
    }
}

fn why(Moved { rule, ballot, evidence, .. }: &Moved) -> String {
    let what = format!("{rule:?} {}", text(&ballot.value));
    let names = |nodes: &BTreeSet<NodeId>| nodes.iter().map(|node| name(*node)).collect::<Vec<_>>().join(", ");
    match evidence {
        None => what,
        Some(Evidence::Quorum(nodes)) => format!("{what}, because of the quorum {}", names(nodes)),
        Some(Evidence::VBlocking(nodes)) => format!("{what}, because no slice does without {}", names(nodes)),
    }
}

fn name(id: NodeId) -> &'static str {
    let position = usize::from(id.0[0]).checked_sub(1);
    position.and_then(|position| FRIENDS.get(position)).map_or("?", |(name, _)| name)
}

fn text(value: &Value) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
