//! What a stranger can check of a running network with nothing but its HTTP API.

use fba_core::{Hash, NodeId, Pledge, QuorumSet};
use fba_server::http::dto::{LedgerProof, ProofStatement, Quorum, SlotTrace, SlotTraces};
use fba_server::key::{Domain, NetworkId, node_from_strkey, sha256, verify};
use fba_server::wire::{SignedStatement, decode_quorum_set, decode_statement};
use fba_tests::cluster::{Cluster, Shape};
use quorum_tools::{Budget, Network, intersection, quorum};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_fba-under-test"))
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).expect("hexadecimal digits")
}

fn hash(text: &str) -> Hash {
    Hash(bytes(text).try_into().expect("32 bytes"))
}

/// A statement as peers send it, put together from what the proof has: a CBOR map of two byte strings.
fn decoded(proof: &ProofStatement) -> SignedStatement {
    let (statement, signature) = (bytes(&proof.bytes), bytes(&proof.signature));
    let head = |length: usize| match u16::try_from(length).expect("a statement has less than 64 KiB here") {
        short @ 0..24 => vec![0x40 + short.to_be_bytes()[1]],
        medium @ 24..256 => vec![0x58, medium.to_be_bytes()[1]],
        long => [vec![0x59], long.to_be_bytes().to_vec()].concat(),
    };
    let parts: [&[u8]; 6] =
        [b"\xa2\x69statement", &head(statement.len()), &statement, b"\x69signature", &head(64), &signature];
    decode_statement(&parts.concat()).expect("canonical bytes")
}

/// The counters at which a statement says that its sender has accepted to commit `value`.
fn commits(pledge: &Pledge, value: &[u8]) -> Option<(u32, u32)> {
    match pledge {
        Pledge::Confirm { ballot, commit, high, .. } if ballot.value.as_bytes() == value => Some((*commit, *high)),
        Pledge::Externalize { commit, .. } if commit.value.as_bytes() == value => Some((commit.counter, u32::MAX)),
        Pledge::Confirm { .. } | Pledge::Externalize { .. } | Pledge::Nominate { .. } | Pledge::Prepare { .. } => None,
    }
}

/// Follows docs/http.md, Proof, word for word, for somebody who trusts `trusted`.
fn check(proof: &LedgerProof, trusted: &QuorumSet) {
    let (network, proof) = (NetworkId(hash(&proof.network)), &proof.proof);
    let (header, value) = (bytes(&proof.header), bytes(&proof.value));
    assert_eq!(sha256(&[&header]), hash(&proof.hash));
    let named = sha256(&[&value]).0;
    assert!(header.windows(32).any(|part| part == named), "the header names the value");
    let mut sets = BTreeMap::new();
    for set in &proof.quorum_sets {
        let decoded = decode_quorum_set(&bytes(&set.bytes)).expect("canonical bytes");
        assert_eq!(decoded.hash(), hash(&set.hash));
        sets.insert(decoded.hash(), decoded);
    }
    let mut accepted = BTreeMap::new();
    for statement in &proof.statements {
        let SignedStatement { statement: said, signature } = decoded(statement);
        assert!(verify(network, &said.node.0, Domain::Statement, &bytes(&statement.bytes), &signature));
        assert_eq!((said.slot.0, said.quorum_set), (proof.sequence, hash(&statement.statement.quorum_set)));
        assert_eq!(said.node, node_from_strkey(&statement.statement.node).expect("a key"));
        let set = match said.pledge {
            Pledge::Externalize { .. } => QuorumSet::singleton(said.node),
            Pledge::Nominate { .. } | Pledge::Prepare { .. } | Pledge::Confirm { .. } => {
                sets.get(&said.quorum_set).expect("every set named is there").clone()
            }
        };
        accepted.insert(said.node, (commits(&said.pledge, &value).expect("it commits the value"), set));
    }
    let counters: BTreeSet<u32> = accepted.values().map(|((low, _), _)| *low).collect();
    let is_proven = counters.iter().any(|counter| {
        let at = |(low, high): (u32, u32)| low <= *counter && *counter <= high;
        let nodes = accepted.iter().filter(|(_, (range, _))| at(*range));
        let network = Network::new(nodes.map(|(node, (_, set))| (*node, Some(set.clone())))).expect("no node twice");
        let greatest = quorum::greatest_quorum(&network, &network.all());
        trusted.is_slice(&network.ids(&greatest).into_iter().collect())
    });
    assert!(is_proven, "a quorum by our own slices has accepted to commit the value at one counter");
}

fn set_of(tree: &fba_server::http::dto::QuorumSetTree) -> QuorumSet {
    let keys = tree.validators.iter().map(|key| node_from_strkey(key).expect("a key")).collect();
    QuorumSet::new(tree.threshold, keys, tree.inner_sets.iter().map(set_of).collect()).expect("a sane set")
}

#[test]
fn a_stranger_can_check_closes_quorums_and_slots_over_http_alone() {
    let cluster = Cluster::start(program(), Shape::FOUR);
    cluster.all_closed(6);
    let client = cluster.client(0);
    let quorum: Quorum = client.get("/v1/quorum").expect("an answer");
    for sequence in 2..=6 {
        let proof: LedgerProof = client.get(&format!("/v1/ledgers/{sequence}/proof")).expect("an answer");
        check(&proof, &set_of(&quorum.quorum_set));
    }
    let genesis: LedgerProof = client.get("/v1/ledgers/1/proof").expect("an answer");
    assert!(genesis.proof.statements.is_empty());
    transitive_quorum_intersects(&client.text("/v1/quorum?transitive=true").expect("an answer"));
    let nodes: BTreeSet<NodeId> = cluster.files.nodes.iter().map(|node| node.node).collect();
    let slots: SlotTraces = client.get("/v1/slots").expect("an answer");
    let closed = slots.slots.iter().find(|slot| slot.closed_after_ms.is_some()).expect("a closed slot");
    slot_is_explained(&client.get(&format!("/v1/slots/{}", closed.slot)).expect("still there"), &nodes);
}

fn transitive_quorum_intersects(json: &str) {
    let network = quorum_tools::format::stellar_core::read(json.as_bytes()).expect("stellar-core's form");
    assert_eq!(network.len(), 4);
    assert_eq!(intersection::verdict(&network, &mut Budget::steps(1_000_000)), intersection::Verdict::Intersects);
}

/// The last steps of a slot that went well say who made them, and nobody is in them who is not in the network.
fn slot_is_explained(slot: &SlotTrace, nodes: &BTreeSet<NodeId>) {
    let rules: Vec<&str> = slot.steps.iter().map(|step| step.rule.as_str()).collect();
    assert!(rules.contains(&"B3") && rules.ends_with(&["B6"]), "{rules:?}");
    assert!(slot.steps.is_sorted_by_key(|step| step.at_ms), "{:?}", slot.steps);
    let decided = slot.steps.last().and_then(|step| step.evidence.as_ref()).expect("a decision has evidence");
    let quorum: BTreeSet<NodeId> = decided.nodes.iter().map(|key| node_from_strkey(key).expect("a key")).collect();
    assert!(decided.kind == "quorum" && quorum.len() >= 3 && quorum.is_subset(nodes), "{decided:?}");
    let said = slot.statements.as_ref().expect("one slot has its statements");
    assert!(said.iter().map(|statement| &statement.node).collect::<BTreeSet<_>>().len() >= 3, "{said:?}");
}
