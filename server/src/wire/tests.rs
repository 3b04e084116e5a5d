//! The codec: both ways, its limits, and hostile bytes.

use super::*;
use crate::key::Ed25519;
use fba_core::{Pledge, Value};
use proptest::prelude::*;

fn decoded(message: &Message, lane: Lane) -> Result<Message, WireError> {
    decode(samples::network(), lane, &encode(message))
}

#[test]
fn every_message_reads_back_on_its_own_lane_and_on_no_other() {
    for message in samples::all() {
        for lane in Lane::ALL {
            let read = decoded(&message, lane);
            if lane == message.lane() {
                assert_eq!(read.as_ref(), Ok(&message));
            } else {
                assert!(matches!(read, Err(WireError::WrongLane { .. })), "{read:?}");
            }
        }
    }
}

#[test]
fn a_full_transaction_set_fits_and_one_byte_more_than_allowed_does_not() {
    let message = Message::TxSet(samples::large_tx_set());
    assert!(encode(&message).len() > 3 * 1024 * 1024);
    assert_eq!(decoded(&message, Lane::Fetch), Ok(message));
    for (kind, lane) in [(Kind::Statement, Lane::Votes), (Kind::GetTxSet, Lane::Fetch), (Kind::TxSet, Lane::Fetch)] {
        let mut bytes = vec![0; kind.rules().bytes_max + 1];
        bytes[..2].copy_from_slice(&[ARRAY_OF_TWO, kind as u8]);
        let read = decode(samples::network(), lane, &bytes);
        assert!(matches!(read, Err(WireError::TooLong { .. })), "{kind:?}: {read:?}");
    }
}

#[test]
fn a_message_no_peer_would_take_is_not_framed() {
    let many = Message::Transactions(vec![samples::transaction(1, 12); 100]);
    assert!(matches!(encode_frame(&many), Err(WireError::TooLong { .. })));
    let message = samples::prepare(1, 1);
    assert_eq!(encode_frame(&message), Ok(frame(&encode(&message))));
}

#[test]
fn lists_and_counts_are_bounded() {
    let hashes = |count| Message::TxAdvert(vec![Hash([0; 32]); count]);
    assert!(decoded(&hashes(HASHES_MAX), Lane::Transactions).is_ok());
    assert!(decoded(&hashes(HASHES_MAX + 1), Lane::Transactions).is_err());
    let ledgers = |count| decoded(&Message::GetLedgers { from: 1, count }, Lane::Fetch);
    assert!(ledgers(1_000).is_ok());
    assert!(ledgers(0).is_err() && ledgers(1_001).is_err() && ledgers(u32::MAX).is_err());
}

#[test]
fn a_signature_is_checked_over_the_statements_one_encoding() {
    let Message::Statement(signed) = samples::prepare(5, 1) else { unreachable!("prepare makes a statement") };
    let signatures = Ed25519::new(samples::network(), samples::key(2));
    let read = decode_statement(&encode_statement(&signed)).unwrap();
    assert!(read.is_signed(&signatures));
    assert_eq!(read.hash(), signed.hash());
    let mut other = read;
    other.statement.slot = other.statement.slot.next();
    assert!(!other.is_signed(&signatures));
}

#[test]
fn the_signed_bytes_of_a_statement_are_frozen() {
    let signed = samples::statement(1, 5, Pledge::Externalize { commit: samples::ballot(1), high: 2 });
    let bytes = statement_bytes(&signed.statement);
    let text = "a4646e6f64655820{node}64736c6f74056a71756f72756d5f73657458200707070707070707070707070707070707070707\
                07070707070707070707070766706c65646765a16b65787465726e616c697a65a266636f6d6d6974a267636f756e7465720165\
                76616c756558c8{value}646869676802";
    let expected =
        text.replace("{node}", &hex::encode(samples::key(1).node_id().0)).replace("{value}", &"01".repeat(200));
    assert_eq!(hex::encode(bytes), expected);
}

#[test]
fn a_quorum_set_that_is_not_sane_is_refused() {
    // Threshold 3 of one validator.
    let bytes =
        [b"\xa3\x69threshold\x03\x6avalidators\x81\x58\x20".as_slice(), &[1; 32], b"\x6ainner_sets\x80"].concat();
    assert!(matches!(decode_quorum_set(&bytes), Err(WireError::QuorumSet(_))), "{:?}", decode_quorum_set(&bytes));
    let set = samples::quorum_set();
    assert_eq!(decode_quorum_set(&encode_quorum_set(&set)), Ok(set));
}

#[test]
fn the_largest_quorum_set_fits() {
    let node = |n: u16| {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&n.to_be_bytes());
        fba_core::NodeId(key)
    };
    let chain =
        |n: u16| (0..3).fold(QuorumSet::singleton(node(n)), |set, _| QuorumSet::new(1, Vec::new(), vec![set]).unwrap());
    let largest = QuorumSet::new(667, Vec::new(), (0..1_000).map(chain).collect()).unwrap();
    let read = decode(samples::network(), Lane::Fetch, &encode(&Message::QuorumSet(largest.clone())));
    assert_eq!(read, Ok(Message::QuorumSet(largest)));
}

#[test]
fn a_hello_reads_back_and_its_address_is_plain_and_short() {
    let hello = |address: &str| Hello {
        network: samples::network(),
        versions: VersionRange { min: 1, max: 2 },
        node: fba_core::NodeId([1; 32]),
        peer: fba_core::NodeId([2; 32]),
        instance: [3; 16],
        ledger: 4,
        port: 5,
        address: Some(address.to_owned()),
    };
    let good = hello("example.org:11625");
    assert_eq!(Hello::decode(&good.encode()), Ok(good));
    assert!(Hello::decode(&hello("a\u{1b}[2J:1").encode()).is_err());
    assert!(Hello::decode(&hello(&"x".repeat(300)).encode()).is_err());
    assert!(Hello::decode(&[0; HELLO_BYTES_MAX + 1]).is_err());
}

/// Whatever is accepted is the one encoding of what it means.
fn accepted_is_canonical(bytes: &[u8]) {
    for lane in Lane::ALL {
        if let Ok(message) = decode(samples::network(), lane, bytes) {
            assert_eq!(encode(&message), bytes);
        }
    }
    if let Ok(hello) = Hello::decode(bytes) {
        assert_eq!(hello.encode(), bytes);
    }
}

#[test]
fn a_statement_is_never_longer_than_it_is_taken_for() {
    let many: Vec<Value> = (0..64u8).map(|seed| Value::new(&vec![seed; 2 << 10])).collect();
    let nominate =
        Message::Statement(samples::statement(1, 5, Pledge::Nominate { voted: many.clone(), accepted: many }));
    for message in samples::all().into_iter().chain([nominate]) {
        let Message::Statement(signed) = message else { continue };
        let length = encode_statement(&signed).len();
        assert!(length <= signed.bytes_at_most(), "{length} bytes: {signed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic(kind in 0u8..14, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        accepted_is_canonical(&bytes);
        accepted_is_canonical(&[&[ARRAY_OF_TWO, kind], bytes.as_slice()].concat());
    }

    #[test]
    fn damaged_messages_never_panic(
        which in 0usize..16,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let all = samples_encoded();
        let mut bytes = all[which].clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if shorten {
            bytes.truncate(cut.index(bytes.len()));
        }
        accepted_is_canonical(&bytes);
    }
}

fn samples_encoded() -> &'static [Vec<u8>] {
    static SAMPLES: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(|| samples::all().iter().chain([&samples::peers()]).map(encode).collect())
}
