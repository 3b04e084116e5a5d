//! The event queue, and what happens in it.

use super::faults::{Counts, Mix};
use super::load;
use super::network::{Network, pair};
use super::node::SimNode;
use super::oracle::Oracle;
use super::rng::Rng;
use super::topology::{Layout, Topology};
use fba_core::NodeId;
use fba_server::herder::{Batch, Input, LedgerPart, Notice, Outgoing, Standing, Ticket, TicketOutcome};
use fba_server::ledger::{Ledger, Parameters};
use fba_server::wire::Message;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

const SECOND: u64 = 1_000_000;
/// Faults go on for at most so long, whatever has closed.
const CHAOS_MAX: u64 = 120 * SECOND;
/// How long the others have for their ledgers while one node is absent.
const ABSENCE_MAX: u64 = 1_000 * SECOND;
/// Everybody must have closed further ledgers so long after healing.
const HEAL_BOUND: u64 = 300 * SECOND;
/// How many.
const FURTHER: u64 = 3;
/// More events than this without an end are a live-lock.
const EVENTS_MAX: u64 = 3_000_000;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Ledgers closed before everything is healed.
    pub slots: u64,
    /// One node is away until healing, and nothing else goes wrong: it comes back to a long gap.
    pub absent: bool,
}

/// What a node does that lost its votes at the moment when it was ahead of all others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forgetting {
    /// What the herder does.
    AsBuilt,
    /// It votes again in the slot after the first it sees close: the rule that tempts, and is wrong. A control: the
    /// oracle must notice.
    VotesAfterOneSlot,
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The shape of the network.
    pub topology: Topology,
    /// Ledgers closed, by all nodes together.
    pub closes: u64,
    /// The highest ledger.
    pub ledgers: u64,
    /// What went wrong on purpose.
    pub faults: Counts,
    /// From healing to the last node's third further ledger, in simulated milliseconds.
    pub healed_in_ms: u64,
    /// Events handled.
    pub events: u64,
    /// SHA-256 over every event.
    pub trace: [u8; 32],
}

/// A rule was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// With this seed.
    pub seed: u64,
    /// In this network.
    pub topology: Topology,
    /// At this simulated time, in microseconds.
    pub at: u64,
    /// Which rule.
    pub rule: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, topology, at, rule } = self;
        write!(f, "seed {seed}, {topology:?}, at {} ms: {rule}", at / 1_000)
    }
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is a message")]
enum Event {
    Start { node: usize },
    Deliver { to: usize, from: usize, epochs: (u64, u64), message: Message },
    Wakeup { node: usize, number: u64 },
    Committed { node: usize, epoch: u64 },
    LinkUp { link: (usize, usize) },
    PartitionEnds,
    ClockBack { node: usize, skew_ms: i64 },
    Submit,
    Faults,
    Crash { node: usize },
    Resume { node: usize },
}

struct World {
    rng: Rng,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    bodies: BTreeMap<u64, Event>,
    next: u64,
    nodes: Vec<SimNode>,
    index: BTreeMap<NodeId, usize>,
    network: Network,
    mix: Mix,
    counts: Counts,
    oracle: Oracle,
    layout: Layout,
    genesis: Ledger,
    healed: bool,
    disk_was_lost: bool,
    clock_is_wrong: bool,
    /// Nodes that crash in the middle of their next commit.
    doomed: BTreeSet<usize>,
    closes: u64,
    handled: u64,
    trace: Sha256,
    broken: Option<String>,
    verbose: bool,
    forgetting: Option<Forgetting>,
    /// The node that loses its disk when it crashes next.
    forgets: Option<usize>,
}

/// Runs one seed.
///
/// # Errors
/// The first rule that was broken, with everything needed to see it again.
pub fn run(seed: u64, options: Options) -> Result<Outcome, Failure> {
    finish(World::new(seed, options, None), seed, options)
}

/// Runs one seed in which a node loses its disk right after it was the first to close a ledger, and while it votes in the
/// next slot; whom it hears then is left to a partition.
///
/// # Errors
/// As [`run`].
pub fn run_forgetting(seed: u64, forgetting: Forgetting) -> Result<Outcome, Failure> {
    let options = Options { slots: 30, absent: false };
    finish(World::new(seed, options, Some(forgetting)), seed, options)
}

fn finish(mut world: World, seed: u64, options: Options) -> Result<Outcome, Failure> {
    let result = world.play(options);
    let (topology, at) = (world.layout.topology, world.now);
    let healed_in_ms = result.map_err(|rule| Failure { seed, topology, at, rule })?;
    Ok(Outcome {
        topology,
        closes: world.closes,
        ledgers: world.highest(),
        faults: world.counts,
        healed_in_ms,
        events: world.handled,
        trace: world.trace.finalize().into(),
    })
}

impl World {
    fn new(seed: u64, options: Options, forgetting: Option<Forgetting>) -> Self {
        let mut rng = Rng::new(seed);
        let mut layout = super::topology::layout(&mut rng);
        while (options.absent || forgetting.is_some()) && !layout.spares_one {
            layout = super::topology::layout(&mut rng);
        }
        let parameters = Parameters {
            close_interval_ms: [0, 0, 200, 1_000].get(rng.index(4)).copied().unwrap_or(0),
            heartbeat_ms: [500, 1_000, 5_000].get(rng.index(3)).copied().unwrap_or(1_000),
            ..Parameters::default()
        };
        let parameters = match parameters.check() {
            Ok(()) => parameters,
            Err(_) => Parameters { heartbeat_ms: 5_000, ..parameters },
        };
        let (genesis, _) = Ledger::genesis(&load::genesis(parameters)).expect("the genesis of the simulator is sound");
        let mut nodes: Vec<SimNode> =
            layout.members.iter().map(|member| SimNode::new(member.clone(), genesis.clone())).collect();
        let mut mix = Mix::draw(&mut rng);
        if options.absent {
            mix.heal();
        }
        let mut counts = Counts::default();
        for node in &mut nodes {
            node.skew_ms = i64::try_from(rng.below(2_000)).unwrap_or(0) - 1_000;
        }
        let may_be_far = layout.spares_one && !options.absent && forgetting.is_none();
        let far = if may_be_far && rng.chance(150) { rng.index(nodes.len()) } else { usize::MAX };
        if let Some(node) = nodes.get_mut(far) {
            node.skew_ms = if rng.chance(500) { 3_600_000 } else { -3_600_000 };
            counts.skewed_clocks += 1;
        }
        let index = nodes.iter().enumerate().map(|(index, node)| (node.member.id, index)).collect();
        let mut world = Self {
            network: Network::new(layout.links.clone()),
            rng,
            now: 0,
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            next: 0,
            nodes,
            index,
            mix,
            counts,
            oracle: Oracle::default(),
            layout,
            genesis,
            healed: false,
            // One node beyond help at a time: more than that nobody has to bear.
            disk_was_lost: far != usize::MAX,
            clock_is_wrong: far != usize::MAX,
            doomed: BTreeSet::new(),
            closes: 0,
            handled: 0,
            trace: Sha256::new(),
            broken: None,
            verbose: std::env::var_os("SIM_VERBOSE").is_some(),
            forgetting,
            forgets: None,
        };
        for node in 0..world.nodes.len() - usize::from(options.absent) {
            let at = world.rng.below(2 * SECOND);
            world.schedule(at, Event::Start { node });
        }
        world.schedule(SECOND, Event::Faults);
        world.schedule(SECOND, Event::Submit);
        world
    }

    /// Faults, then none, then everybody closes.
    fn play(&mut self, options: Options) -> Result<u64, String> {
        let most = if options.absent { ABSENCE_MAX } else { CHAOS_MAX };
        while self.now < most && self.highest() < options.slots + 1 {
            self.step()?;
        }
        self.heal();
        let (healed_at, goal) = (self.now, self.highest() + FURTHER);
        while self.lowest() < goal {
            if self.now > healed_at + HEAL_BOUND {
                return Err(format!("not live after healing: {}", self.describe(goal)));
            }
            self.step()?;
        }
        Ok((self.now - healed_at) / 1_000)
    }

    fn describe(&self, goal: u64) -> String {
        let state = |(index, node): (usize, &SimNode)| {
            let Some(herder) = &node.herder else { return format!("{index}: down") };
            let view = herder.view(node.now(self.now));
            let open = view.open.as_ref().map(|slot| {
                (
                    slot.phase,
                    slot.ballot.as_ref().map(|ballot| ballot.counter),
                    slot.nomination_round,
                    slot.nominating,
                    slot.heard_from_quorum,
                    slot.fully_validated,
                )
            });
            format!(
                "{index}: ledger {} {:?} {open:?} waiting {} queued {} peers {}",
                view.last_closed.sequence, view.sync, view.waiting, view.queued, view.peers
            )
        };
        if self.verbose {
            for (index, node) in self.nodes.iter().enumerate() {
                let Some(herder) = &node.herder else { continue };
                eprintln!("{index}: {:#?}", herder.view(node.now(self.now)).open);
            }
        }
        let states: Vec<String> = self.nodes.iter().enumerate().map(state).collect();
        format!("goal {goal}; {}", states.join("; "))
    }

    fn sequences(&self) -> impl Iterator<Item = u64> {
        self.nodes.iter().map(|node| node.disk.written.ledger.sequence())
    }

    fn highest(&self) -> u64 {
        self.sequences().max().unwrap_or(0)
    }

    fn lowest(&self) -> u64 {
        self.sequences().min().unwrap_or(0)
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.next += 1;
        self.events.push(Reverse((at, self.next)));
        self.bodies.insert(self.next, event);
    }

    fn step(&mut self) -> Result<(), String> {
        let Some(Reverse((at, number))) = self.events.pop() else { return Err("nothing happens any more".to_owned()) };
        let Some(event) = self.bodies.remove(&number) else { return Ok(()) };
        self.now = self.now.max(at);
        self.handled += 1;
        if self.handled > EVENTS_MAX {
            return Err(format!("live-lock: {EVENTS_MAX} events; {}", self.describe(0)));
        }
        match event {
            Event::Start { node } => self.start(node),
            Event::Deliver { to, from, epochs, message } => self.deliver(to, from, epochs, message),
            Event::Wakeup { node, number } => {
                let current = self.nodes.get(node).is_some_and(|node| node.wakeup == number && node.is_up());
                if current {
                    self.input(node, Input::Wakeup);
                }
            }
            Event::Committed { node, epoch } => self.committed(node, epoch),
            Event::LinkUp { link } => self.link_up(link),
            Event::PartitionEnds => self.network.island.clear(),
            Event::ClockBack { node, skew_ms } => self.set_clock(node, skew_ms),
            Event::Submit => self.submit(),
            Event::Faults => self.faults(),
            Event::Crash { node } => self.crash(node),
            Event::Resume { node } => self.resume(node),
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    fn note(&mut self, what: &str, numbers: [u64; 3]) {
        self.trace.update(self.now.to_be_bytes());
        self.trace.update(what.as_bytes());
        numbers.iter().for_each(|number| self.trace.update(number.to_be_bytes()));
        if self.verbose {
            eprintln!("{:>10} us  {what} {numbers:?}", self.now);
        }
    }

    fn check(&mut self, result: Result<(), String>) {
        if let Err(rule) = result {
            self.broken.get_or_insert(rule);
        }
    }

    fn start(&mut self, node: usize) {
        self.note("start", [node as u64, 0, 0]);
        let Some(starting) = self.nodes.get_mut(node).filter(|node| !node.is_up()) else { return };
        starting.start();
        let (id, sequence) = (starting.member.id, starting.disk.synced.ledger.sequence());
        self.oracle.restarted(id, sequence);
        self.input(node, Input::Start);
        for other in 0..self.nodes.len() {
            self.tell_link(node, other, true);
        }
    }

    /// Tells both ends that their link is up or down, if it is there and both run.
    fn tell_link(&mut self, one: usize, other: usize, up: bool) {
        let run = |index: usize| self.nodes.get(index).is_some_and(SimNode::is_up);
        if one == other || !run(one) || !run(other) || !self.network.is_linked(one, other) {
            return;
        }
        for (node, peer) in [(one, other), (other, one)] {
            let Some(peer) = self.nodes.get(peer).map(|peer| peer.member.id) else { continue };
            self.input(node, if up { Input::PeerUp { peer } } else { Input::PeerDown { peer } });
        }
    }

    fn link_up(&mut self, link: (usize, usize)) {
        if self.network.down.remove(&link) {
            self.tell_link(link.0, link.1, true);
        }
    }

    fn link_down(&mut self, link: (usize, usize)) {
        self.tell_link(link.0, link.1, false);
        self.network.down.insert(link);
    }

    fn deliver(&mut self, to: usize, from: usize, epochs: (u64, u64), message: Message) {
        let epoch = |index: usize| self.nodes.get(index).map_or(0, |node| node.epoch);
        if epochs != (epoch(from), epoch(to)) || !self.network.is_linked(from, to) {
            return;
        }
        self.note(message.name(), [from as u64, to as u64, 0]);
        if self.verbose
            && let Message::Statement(signed) = &message
        {
            eprintln!("    {:?}", signed.statement);
        }
        let Some(from) = self.nodes.get(from).map(|node| node.member.id) else { return };
        self.input(to, Input::Message { from, message });
    }

    /// Hands an input to a node, or keeps it while its disk is busy.
    fn input(&mut self, node: usize, input: Input) {
        let now = self.now;
        let Some(this) = self.nodes.get_mut(node) else { return };
        if this.committing.is_some() {
            this.inbox.push_back(input);
            return;
        }
        let at = this.now(now);
        if let Some(herder) = this.herder.as_mut() {
            herder.handle(at, input);
            self.flush(node);
        }
    }

    fn flush(&mut self, node: usize) {
        let now = self.now;
        let Some(this) = self.nodes.get_mut(node) else { return };
        let at = this.now(now);
        let Some(herder) = this.herder.as_mut() else { return };
        let mut batch = herder.flush(at);
        if let Some(fatal) = batch.fatal.take() {
            return self.check(Err(format!("node {node} diverged: {fatal}")));
        }
        for outgoing in std::mem::take(&mut batch.first) {
            self.send(node, outgoing);
        }
        self.serve_reads(node, &batch);
        if batch.commit.is_some() {
            let latency = self.rng.between(self.mix.commit.0, self.mix.commit.1);
            if let Some(this) = self.nodes.get_mut(node) {
                this.committing = Some(batch);
                let epoch = this.epoch;
                self.schedule(now + latency, Event::Committed { node, epoch });
            }
            if self.doomed.remove(&node) {
                self.schedule(now + latency / 2, Event::Crash { node });
            }
        } else {
            self.finish(node, batch);
        }
    }

    fn committed(&mut self, node: usize, epoch: u64) {
        let Some(this) = self.nodes.get_mut(node).filter(|this| this.epoch == epoch) else { return };
        let Some(batch) = this.committing.take() else { return };
        if let (Some(commit), Some(herder)) = (&batch.commit, &this.herder) {
            this.disk.commit(commit, herder.ledger());
        }
        self.finish(node, batch);
        // What came meanwhile is handled in one go, as the server does.
        let now = self.now;
        let Some(this) = self.nodes.get_mut(node) else { return };
        let at = this.now(now);
        let inbox = std::mem::take(&mut this.inbox);
        if let Some(herder) = this.herder.as_mut() {
            inbox.into_iter().for_each(|input| herder.handle(at, input));
            self.flush(node);
        }
    }

    /// What may happen only after the commit.
    fn finish(&mut self, node: usize, batch: Batch) {
        for outgoing in batch.then {
            self.send(node, outgoing);
        }
        for notice in batch.notices {
            self.notice(node, &notice);
        }
        self.wake_later(node);
    }

    fn wake_later(&mut self, node: usize) {
        let now = self.now;
        let Some(this) = self.nodes.get_mut(node) else { return };
        let at = this.now(now);
        let Some(wakeup) = this.herder.as_ref().and_then(|herder| herder.next_wakeup(at)) else { return };
        this.wakeup += 1;
        let number = this.wakeup;
        let when = u64::try_from(wakeup.as_micros()).unwrap_or(u64::MAX).max(now + 1_000);
        self.schedule(when, Event::Wakeup { node, number });
    }

    fn notice(&mut self, node: usize, notice: &Notice) {
        let Some(this) = self.nodes.get(node) else { return };
        let id = this.member.id;
        match notice {
            Notice::Closed(summary) => {
                self.closes += 1;
                let result = self.oracle.closed(id, summary);
                self.check(result);
                let first = summary.hash.0.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
                self.note("closed", [node as u64, summary.sequence, first]);
                self.consider_forgetting(node, summary.sequence);
            }
            Notice::Ticket { outcome: TicketOutcome::Closed { ledger, .. }, .. } => {
                let result = self.oracle.acknowledged(&this.disk, *ledger);
                self.check(result);
            }
            Notice::Refused { reason, .. } => {
                if self.verbose {
                    eprintln!("node {node} refused: {reason}");
                }
            }
            Notice::Ticket { .. }
            | Notice::Phase { .. }
            | Notice::Moved(_)
            | Notice::Sync(_)
            | Notice::SilenceOverridden { .. }
            | Notice::TimedOut { .. } => {}
        }
    }

    fn serve_reads(&mut self, node: usize, batch: &Batch) {
        for read in &batch.reads {
            let Some(this) = self.nodes.get(node) else { return };
            let entries = this.disk.written.read(read.from, read.count);
            let message = match read.part {
                LedgerPart::Headers => Message::Headers(entries.into_iter().map(|entry| entry.header).collect()),
                LedgerPart::Whole => Message::Ledgers(entries),
            };
            self.send(node, Outgoing::Send { to: vec![read.peer], message });
        }
    }

    fn send(&mut self, node: usize, outgoing: Outgoing) {
        let (to, message) = match outgoing {
            Outgoing::Send { to, message } => (to, message),
            Outgoing::DropPeer { peer, reason } => {
                return self.check(Err(format!("node {node} drops honest {peer:?}: {reason}")));
            }
        };
        let Some(this) = self.nodes.get(node) else { return };
        if let Message::Statement(signed) = &message
            && signed.statement.node == this.member.id
        {
            let result = self.oracle.says(&signed.statement, &this.disk);
            self.check(result);
        }
        for peer in to {
            if let Some(to) = self.index.get(&peer).copied() {
                self.transmit(node, to, message.clone());
            }
        }
    }

    fn transmit(&mut self, from: usize, to: usize, message: Message) {
        let epoch = |index: usize| self.nodes.get(index).map_or(0, |node| node.epoch);
        let epochs = (epoch(from), epoch(to));
        if !self.network.is_linked(from, to) {
            return;
        }
        if self.network.is_cut(from, to) {
            self.counts.partitioned += 1;
            return;
        }
        if self.rng.chance(self.mix.loss_permille) {
            self.counts.lost += 1;
            return;
        }
        let copies = if self.rng.chance(self.mix.double_permille) { 2 } else { 1 };
        self.counts.doubled += copies - 1;
        for _ in 0..copies {
            let mut latency = self.rng.between(self.mix.latency.0, self.mix.latency.1);
            if self.rng.chance(self.mix.hold_permille) {
                self.counts.held_back += 1;
                latency += self.rng.below(20 * SECOND);
            }
            self.schedule(self.now + latency, Event::Deliver { to, from, epochs, message: message.clone() });
        }
    }

    fn submit(&mut self) {
        if self.mix.load_every_ms == 0 {
            return;
        }
        let gap = self.rng.below(2 * self.mix.load_every_ms * 1_000) + 1;
        self.schedule(self.now + gap, Event::Submit);
        let node = self.rng.index(self.nodes.len());
        let Some(herder) = self.nodes.get(node).and_then(|node| node.herder.as_ref()) else { return };
        let transaction = load::transaction(&mut self.rng, herder.ledger());
        let ticket = Ticket(self.next);
        self.input(node, Input::Submit { transaction, ticket });
    }

    /// Once a second, as long as faults are on.
    fn faults(&mut self) {
        if self.healed {
            return;
        }
        self.schedule(self.now + SECOND, Event::Faults);
        if self.rng.chance(self.mix.crash_permille) {
            let node = self.rng.index(self.nodes.len());
            if self.rng.chance(500) {
                self.doomed.insert(node);
            } else {
                let at = self.now + self.rng.below(SECOND);
                self.schedule(at, Event::Crash { node });
            }
        }
        if self.network.island.is_empty() && self.rng.chance(self.mix.partition_permille) {
            self.counts.partitions += 1;
            self.network.partition(&mut self.rng, self.nodes.len());
            let until = self.now + self.rng.between(SECOND, 30 * SECOND);
            self.schedule(until, Event::PartitionEnds);
        }
        if !self.clock_is_wrong && self.rng.chance(self.mix.clock_permille) {
            self.jump();
        }
        if self.rng.chance(self.mix.flap_permille)
            && let Some(link) = self.network.pick(&mut self.rng)
        {
            self.counts.flaps += 1;
            self.link_down(pair(link.0, link.1));
            let until = self.now + self.rng.between(SECOND / 10, 10 * SECOND);
            self.schedule(until, Event::LinkUp { link });
        }
    }

    /// One clock at a time is wrong: with more of them, a quorum may agree on the wrong time.
    fn jump(&mut self) {
        let node = self.rng.index(self.nodes.len());
        let Some(skew_ms) = self.nodes.get(node).map(|node| node.skew_ms) else { return };
        let hour = 3_600_000;
        let by = i64::try_from(self.rng.below(2 * hour)).unwrap_or(0) - 3_600_000;
        self.counts.clock_jumps += 1;
        self.set_clock(node, skew_ms + by);
        self.clock_is_wrong = true;
        let until = self.now + self.rng.between(SECOND / 10, 20 * SECOND);
        self.schedule(until, Event::ClockBack { node, skew_ms });
    }

    fn set_clock(&mut self, node: usize, skew_ms: i64) {
        self.clock_is_wrong = false;
        if let Some(node) = self.nodes.get_mut(node) {
            node.skew_ms = skew_ms;
        }
    }

    /// The first to close a ledger may lose its disk soon, while it votes in the next slot.
    fn consider_forgetting(&mut self, node: usize, sequence: u64) {
        let Some(forgetting) = self.forgetting else { return };
        let lost_before = self.nodes.get(node).is_some_and(|this| this.standing == Standing::Lost);
        if lost_before && forgetting == Forgetting::VotesAfterOneSlot {
            self.schedule(self.now, Event::Resume { node });
        }
        let others = self.nodes.iter().enumerate().filter(|(index, _)| *index != node);
        let is_first = others.map(|(_, other)| other.disk.written.ledger.sequence()).all(|other| other < sequence);
        if is_first && sequence > 3 && !self.healed && !self.disk_was_lost && self.rng.chance(300) {
            self.disk_was_lost = true;
            self.forgets = Some(node);
            let at = self.now + self.rng.below(SECOND);
            self.schedule(at, Event::Crash { node });
        }
    }

    /// The control: an operator, as it were, who is wrong about which slot is safe.
    fn resume(&mut self, node: usize) {
        let now = self.now;
        let Some(this) = self.nodes.get_mut(node) else { return };
        let at = this.now(now);
        if let Some(herder) = this.herder.as_mut() {
            let slot = herder.view(at).open_slot;
            // Refused while it catches up, and once it votes.
            let _ = herder.override_silence(at, slot);
            if this.committing.is_none() {
                self.flush(node);
            }
        }
    }

    fn crash(&mut self, node: usize) {
        if self.healed || !self.nodes.get(node).is_some_and(SimNode::is_up) {
            return;
        }
        self.note("crash", [node as u64, 0, 0]);
        self.counts.crashes += 1;
        for other in 0..self.nodes.len() {
            if other != node && self.network.is_linked(node, other) {
                let Some(peer) = self.nodes.get(node).map(|node| node.member.id) else { continue };
                self.input(other, Input::PeerDown { peer });
            }
        }
        let (torn, keeps) = (self.rng.chance(500), self.rng.chance(500));
        let forgets = self.forgets.take_if(|forgets| *forgets == node).is_some();
        let by_chance =
            self.layout.spares_one && !self.disk_was_lost && self.forgetting.is_none() && self.rng.chance(100);
        let loses_disk = forgets || by_chance;
        let Some(this) = self.nodes.get_mut(node) else { return };
        if let (Some(batch), Some(herder)) = (this.committing.take(), &this.herder) {
            self.counts.torn_commits += 1;
            if let Some(commit) = batch.commit.as_ref().filter(|_| torn) {
                this.disk.commit(commit, herder.ledger());
            }
        }
        this.stop();
        self.counts.unsynced_lost += u64::from(this.disk.crash(keeps));
        if loses_disk {
            self.disk_was_lost = true;
            self.counts.disks_lost += 1;
            this.disk = super::disk::Disk::new(self.genesis.clone());
            this.standing = Standing::Lost;
            self.oracle.disk_lost(this.member.id);
        }
        if forgets {
            self.counts.lost_ahead += 1;
            self.network.partition(&mut self.rng, self.nodes.len());
            let until = self.now + self.rng.between(SECOND, 30 * SECOND);
            self.schedule(until, Event::PartitionEnds);
        }
        let back = self.now + self.rng.between(SECOND / 10, 20 * SECOND);
        self.schedule(back, Event::Start { node });
    }

    /// No more faults; everybody runs and is linked.
    fn heal(&mut self) {
        self.note("heal", [0; 3]);
        self.healed = true;
        self.mix.heal();
        self.network.island.clear();
        for link in self.network.down.clone() {
            self.link_up(link);
        }
        for node in 0..self.nodes.len() {
            self.start(node);
        }
    }
}
