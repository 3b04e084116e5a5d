//! Messages between nodes, their canonical CBOR and their limits.
//!
//! A frame is a big-endian `u32` length and that many bytes; the bytes are the CBOR array `[kind, body]`. The kind is
//! one byte, so that the limits of a kind are known before anything of its body is looked at (`Kind` is the table).
//! What belongs to another module (transactions, sets, ledgers) travels as a byte string in its own encoding.

mod hello;
mod peers;
#[cfg(test)]
pub(crate) mod samples;
mod statement;
#[cfg(test)]
mod tests;

pub use hello::{ADDRESS_BYTES_MAX, Hello, VersionRange};
pub use peers::{PEERS_MAX, PeerHint};
pub use statement::{
    SignedStatement, decode_quorum_set, decode_statement, encode_quorum_set, encode_statement, statement_bytes,
};

use crate::cbor::{self, CborError};
use crate::key::NetworkId;
use crate::ledger::{Header, LedgerEntry, SignedTransaction, TxSet};
use fba_core::{Hash, QuorumSet};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use std::sync::Arc;

/// Longest frame before the hello is accepted: strangers get no more.
pub const HELLO_BYTES_MAX: usize = 4 * 1024;
/// Longest SCP frame.
pub const VOTE_BYTES_MAX: usize = 256 * 1024;
/// Longest payload frame: a 4 MiB transaction set, and the header, value and heads around it.
pub const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024 + 64 * 1024;
/// Longest request or answer that is only a few numbers or one hash.
pub const SMALL_BYTES_MAX: usize = 256;
/// Most hashes in one advert or demand.
pub const HASHES_MAX: usize = 1_000;
/// Most transactions in one message; [`PAYLOAD_BYTES_MAX`] bounds their bytes.
pub const TRANSACTIONS_MAX: usize = 1_000;
/// Most ledgers in one answer, and most that may be asked for at once; [`PAYLOAD_BYTES_MAX`] bounds their bytes.
pub const LEDGERS_MAX: usize = 1_000;
/// Most headers in one answer, and most that may be asked for at once.
pub const HEADERS_MAX: usize = 1_000;
/// Longest answer with headers, which have less than 600 bytes each.
pub const HEADERS_BYTES_MAX: usize = 600 * 1_000;

/// Everything one node says to another after the hello. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A vote: flooded.
    Statement(SignedStatement),
    /// Asks for the statements of recent slots, from this slot on.
    GetScpState {
        /// The lowest slot wanted.
        from: u64,
    },
    /// Asks for a quorum set by hash.
    GetQuorumSet(Hash),
    /// Answers [`Message::GetQuorumSet`].
    QuorumSet(QuorumSet),
    /// Asks for a transaction set by hash.
    GetTxSet(Hash),
    /// Answers [`Message::GetTxSet`].
    TxSet(Arc<TxSet>),
    /// The peer does not have what was asked for.
    DontHave(Hash),
    /// Where other nodes are reached, at most [`PEERS_MAX`]: said once, by the side that was dialled.
    Peers(Vec<PeerHint>),
    /// Hashes of transactions the sender has, at most [`HASHES_MAX`].
    TxAdvert(Vec<Hash>),
    /// Asks for transactions by hash, at most [`HASHES_MAX`].
    TxDemand(Vec<Hash>),
    /// Transactions asked for, at most [`TRANSACTIONS_MAX`].
    Transactions(Vec<Arc<SignedTransaction>>),
    /// Asks for closed ledgers, oldest first.
    GetLedgers {
        /// The first wanted.
        from: u64,
        /// How many at most: 1 to [`LEDGERS_MAX`].
        count: u32,
    },
    /// Answers [`Message::GetLedgers`]: consecutive, possibly fewer than asked for, empty if there are none or no time.
    Ledgers(Vec<LedgerEntry>),
    /// Asks for the headers of closed ledgers, oldest first.
    GetHeaders {
        /// The first wanted.
        from: u64,
        /// How many at most: 1 to [`HEADERS_MAX`].
        count: u32,
    },
    /// Answers [`Message::GetHeaders`], as [`Message::Ledgers`] does.
    Headers(Vec<Header>),
}

/// What a message has to wait behind, and which stream carries it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// Votes: never behind anything else.
    Votes,
    /// Questions and their answers.
    Fetch,
    /// Transactions, their adverts and demands: the first to be shed.
    Transactions,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Self; 3] = [Self::Votes, Self::Fetch, Self::Transactions];

    /// Longest frame on the stream of this lane.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Votes => VOTE_BYTES_MAX,
            Self::Fetch | Self::Transactions => PAYLOAD_BYTES_MAX,
        }
    }
}

/// The kind of a frame, as its first byte says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
enum Kind {
    Statement = 1,
    GetScpState = 2,
    GetQuorumSet = 3,
    QuorumSet = 4,
    GetTxSet = 5,
    TxSet = 6,
    DontHave = 7,
    Peers = 15,
    TxAdvert = 8,
    TxDemand = 9,
    Transactions = 10,
    GetLedgers = 11,
    Ledgers = 12,
    GetHeaders = 13,
    Headers = 14,
}

/// What is allowed of one kind.
struct Rules {
    name: &'static str,
    lane: Lane,
    bytes_max: usize,
    /// CBOR items in the body.
    items_max: usize,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Statement,
        Self::GetScpState,
        Self::GetQuorumSet,
        Self::QuorumSet,
        Self::GetTxSet,
        Self::TxSet,
        Self::DontHave,
        Self::Peers,
        Self::TxAdvert,
        Self::TxDemand,
        Self::Transactions,
        Self::GetLedgers,
        Self::Ledgers,
        Self::GetHeaders,
        Self::Headers,
    ];

    fn of(message: &Message) -> Self {
        match message {
            Message::Statement(_) => Self::Statement,
            Message::GetScpState { .. } => Self::GetScpState,
            Message::GetQuorumSet(_) => Self::GetQuorumSet,
            Message::QuorumSet(_) => Self::QuorumSet,
            Message::GetTxSet(_) => Self::GetTxSet,
            Message::TxSet(_) => Self::TxSet,
            Message::DontHave(_) => Self::DontHave,
            Message::Peers(_) => Self::Peers,
            Message::TxAdvert(_) => Self::TxAdvert,
            Message::TxDemand(_) => Self::TxDemand,
            Message::Transactions(_) => Self::Transactions,
            Message::GetLedgers { .. } => Self::GetLedgers,
            Message::Ledgers(_) => Self::Ledgers,
            Message::GetHeaders { .. } => Self::GetHeaders,
            Message::Headers(_) => Self::Headers,
        }
    }

    const fn rules(self) -> Rules {
        let (name, lane, bytes_max, items_max) = match self {
            Self::Statement => ("statement", Lane::Votes, VOTE_BYTES_MAX, statement::SIGNED_ITEMS_MAX),
            Self::GetScpState => ("get-scp-state", Lane::Fetch, SMALL_BYTES_MAX, 1),
            Self::GetQuorumSet => ("get-quorum-set", Lane::Fetch, SMALL_BYTES_MAX, 1),
            Self::QuorumSet => ("quorum-set", Lane::Fetch, VOTE_BYTES_MAX, statement::QUORUM_SET_ITEMS_MAX),
            Self::GetTxSet => ("get-tx-set", Lane::Fetch, SMALL_BYTES_MAX, 1),
            Self::TxSet => ("tx-set", Lane::Fetch, PAYLOAD_BYTES_MAX, 1),
            Self::DontHave => ("dont-have", Lane::Fetch, SMALL_BYTES_MAX, 1),
            Self::Peers => ("peers", Lane::Fetch, 4 * 1024, peers::ITEMS_MAX),
            Self::TxAdvert => ("tx-advert", Lane::Transactions, 64 * 1024, HASHES_MAX + 1),
            Self::TxDemand => ("tx-demand", Lane::Transactions, 64 * 1024, HASHES_MAX + 1),
            Self::Transactions => ("transactions", Lane::Transactions, PAYLOAD_BYTES_MAX, TRANSACTIONS_MAX + 1),
            Self::GetLedgers => ("get-ledgers", Lane::Fetch, SMALL_BYTES_MAX, 5),
            Self::Ledgers => ("ledgers", Lane::Fetch, PAYLOAD_BYTES_MAX, LEDGERS_MAX + 1),
            Self::GetHeaders => ("get-headers", Lane::Fetch, SMALL_BYTES_MAX, 5),
            Self::Headers => ("headers", Lane::Fetch, HEADERS_BYTES_MAX, HEADERS_MAX + 1),
        };
        Rules { name, lane, bytes_max, items_max }
    }
}

impl Message {
    /// The stream that carries it.
    #[must_use]
    pub fn lane(&self) -> Lane {
        Kind::of(self).rules().lane
    }

    /// Its name in logs and reasons, such as `get-tx-set`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Kind::of(self).rules().name
    }
}

/// Why bytes from a peer, or from the store, were refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Not `[kind, body]` with a kind of this protocol version.
    #[error("a frame of no known kind: begins with {begins:02x?}")]
    UnknownKind {
        /// The first bytes.
        begins: Vec<u8>,
    },
    /// On a stream it does not belong to.
    #[error("{what} message on the {lane:?} stream")]
    WrongLane {
        /// Its kind.
        what: &'static str,
        /// The stream it came on.
        lane: Lane,
    },
    /// Longer than its kind may be.
    #[error("{what} of {bytes} bytes: at most {allowed} are allowed")]
    TooLong {
        /// Its kind.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        allowed: usize,
    },
    /// Not the canonical encoding of its kind.
    #[error("{what}: {source}")]
    Cbor {
        /// Its kind.
        what: &'static str,
        /// What is wrong with it.
        source: CborError,
    },
    /// A quorum set that breaks a rule of sanity.
    #[error("quorum set is not sane: {0}")]
    QuorumSet(String),
    /// A number outside its range.
    #[error("{what} asks for {count}: 1 to {allowed} are allowed")]
    Count {
        /// Its kind.
        what: &'static str,
        /// What it asks for.
        count: u32,
        /// The limit.
        allowed: usize,
    },
    /// A byte string that its owning module refused.
    #[error("{what}: {reason}")]
    Payload {
        /// What it should have been.
        what: &'static str,
        /// What that module says.
        reason: String,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LedgersForm {
    from: u64,
    count: u32,
}

const _: () = assert!(crate::ledger::LEDGER_ENTRY_BYTES_MAX + 64 <= PAYLOAD_BYTES_MAX, "any one ledger can be served");
const _: () = assert!(crate::ledger::TX_SET_BYTES_MAX + 64 <= PAYLOAD_BYTES_MAX, "any transaction set can be served");

/// `[kind, …`: an array of two, and a kind below 24.
const ARRAY_OF_TWO: u8 = 0x82;

/// The bytes of a message, without the length in front.
#[must_use]
pub fn encode(message: &Message) -> Vec<u8> {
    let body = match message {
        Message::Statement(signed) => encode_statement(signed),
        Message::GetScpState { from } => cbor::encode(from),
        Message::QuorumSet(set) => encode_quorum_set(set),
        Message::GetQuorumSet(hash) | Message::GetTxSet(hash) | Message::DontHave(hash) => {
            cbor::encode(&ByteArray::new(hash.0))
        }
        Message::Peers(hints) => cbor::encode(&peers::forms(hints)),
        Message::TxSet(set) => cbor::encode(&ByteBuf::from(carried::tx_set_bytes(set))),
        Message::TxAdvert(hashes) | Message::TxDemand(hashes) => {
            cbor::encode(&hashes.iter().map(|hash| ByteArray::new(hash.0)).collect::<Vec<_>>())
        }
        Message::Transactions(list) => cbor::encode(&byte_strings(list, |one| carried::transaction_bytes(one))),
        Message::GetLedgers { from, count } | Message::GetHeaders { from, count } => {
            cbor::encode(&LedgersForm { from: *from, count: *count })
        }
        Message::Ledgers(list) => cbor::encode(&byte_strings(list, carried::ledger_bytes)),
        Message::Headers(list) => cbor::encode(&byte_strings(list, Header::to_bytes)),
    };
    [&[ARRAY_OF_TWO, Kind::of(message) as u8], body.as_slice()].concat()
}

fn byte_strings<T>(list: &[T], bytes: impl Fn(&T) -> Vec<u8>) -> Vec<ByteBuf> {
    list.iter().map(|one| ByteBuf::from(bytes(one))).collect()
}

/// `bytes` with their length in front, as they go on a stream.
///
/// # Panics
/// If `bytes` is longer than 4 GiB, which no message of ours is.
#[must_use]
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("messages are at most a few MiB long");
    [&length.to_be_bytes(), bytes].concat()
}

/// The frame of a message.
///
/// # Errors
/// [`WireError::TooLong`]: no peer would take it. Whoever puts lists into messages must count their bytes.
pub fn encode_frame(message: &Message) -> Result<Vec<u8>, WireError> {
    let bytes = encode(message);
    let Rules { name, bytes_max, .. } = Kind::of(message).rules();
    if bytes.len() > bytes_max {
        return Err(WireError::TooLong { what: name, bytes: bytes.len(), allowed: bytes_max });
    }
    Ok(frame(&bytes))
}

/// Reads one message that came on the stream of `lane`, on `network`. Checks form and limits, never signatures.
///
/// # Errors
/// See [`WireError`]: every one is the sender's mistake. Allocates at most a small multiple of `bytes.len()`.
pub fn decode(network: NetworkId, lane: Lane, bytes: &[u8]) -> Result<Message, WireError> {
    let (kind, body) = kind_and_body(bytes)?;
    let rules = kind.rules();
    let what = rules.name;
    if rules.lane != lane {
        return Err(WireError::WrongLane { what, lane });
    }
    if bytes.len() > rules.bytes_max {
        return Err(WireError::TooLong { what, bytes: bytes.len(), allowed: rules.bytes_max });
    }
    let body = Body { what, items_max: rules.items_max, bytes: body };
    Ok(match kind {
        Kind::Statement => Message::Statement(decode_statement(body.bytes)?),
        Kind::GetScpState => Message::GetScpState { from: body.read()? },
        Kind::GetQuorumSet => Message::GetQuorumSet(body.hash()?),
        Kind::QuorumSet => Message::QuorumSet(decode_quorum_set(body.bytes)?),
        Kind::GetTxSet => Message::GetTxSet(body.hash()?),
        Kind::TxSet => Message::TxSet(Arc::new(carried::tx_set(network, &body.read::<ByteBuf>()?)?)),
        Kind::DontHave => Message::DontHave(body.hash()?),
        Kind::Peers => Message::Peers(peers::read(body.read()?)?),
        Kind::TxAdvert => Message::TxAdvert(body.hashes()?),
        Kind::TxDemand => Message::TxDemand(body.hashes()?),
        Kind::Transactions => {
            Message::Transactions(body.list(|bytes| carried::transaction(network, bytes).map(Arc::new))?)
        }
        Kind::GetLedgers => {
            let (from, count) = body.range(LEDGERS_MAX)?;
            Message::GetLedgers { from, count }
        }
        Kind::GetHeaders => {
            let (from, count) = body.range(HEADERS_MAX)?;
            Message::GetHeaders { from, count }
        }
        Kind::Headers => Message::Headers(body.list(carried::header)?),
        Kind::Ledgers => Message::Ledgers(body.list(|bytes| carried::ledger(network, bytes))?),
    })
}

fn kind_and_body(bytes: &[u8]) -> Result<(Kind, &[u8]), WireError> {
    let unknown = || WireError::UnknownKind { begins: bytes.iter().take(4).copied().collect() };
    let [ARRAY_OF_TWO, tag, body @ ..] = bytes else {
        return Err(unknown());
    };
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == *tag).ok_or_else(unknown)?;
    Ok((kind, body))
}

/// The body of one frame and what is allowed in it.
struct Body<'a> {
    what: &'static str,
    items_max: usize,
    bytes: &'a [u8],
}

impl Body<'_> {
    fn read<T: serde::de::DeserializeOwned + Serialize>(&self) -> Result<T, WireError> {
        cbor::decode(self.bytes, self.items_max).map_err(|source| WireError::Cbor { what: self.what, source })
    }

    fn hash(&self) -> Result<Hash, WireError> {
        self.read().map(|hash: ByteArray<32>| Hash(hash.into_array()))
    }

    fn hashes(&self) -> Result<Vec<Hash>, WireError> {
        let list: Vec<ByteArray<32>> = self.read()?;
        Ok(list.into_iter().map(|hash| Hash(hash.into_array())).collect())
    }

    fn list<T>(&self, one: impl Fn(&[u8]) -> Result<T, WireError>) -> Result<Vec<T>, WireError> {
        let list: Vec<ByteBuf> = self.read()?;
        list.iter().map(|bytes| one(bytes)).collect()
    }

    /// The first ledger asked for, and how many.
    fn range(&self, allowed: usize) -> Result<(u64, u32), WireError> {
        let LedgersForm { from, count } = self.read()?;
        let asked = usize::try_from(count).unwrap_or(usize::MAX);
        if !(1..=allowed).contains(&asked) {
            return Err(WireError::Count { what: self.what, count, allowed });
        }
        Ok((from, count))
    }
}

/// The encodings that belong to the ledger.
mod carried {
    use super::{Header, LedgerEntry, NetworkId, SignedTransaction, TxSet, WireError};

    pub(super) fn tx_set_bytes(set: &TxSet) -> Vec<u8> {
        set.to_bytes()
    }

    pub(super) fn tx_set(network: NetworkId, bytes: &[u8]) -> Result<TxSet, WireError> {
        TxSet::from_bytes(network, bytes).map_err(|error| payload("transaction set", &error))
    }

    pub(super) fn transaction_bytes(transaction: &SignedTransaction) -> Vec<u8> {
        transaction.bytes().to_vec()
    }

    pub(super) fn transaction(network: NetworkId, bytes: &[u8]) -> Result<SignedTransaction, WireError> {
        SignedTransaction::from_bytes(network, bytes).map_err(|error| payload("transaction", &error))
    }

    pub(super) fn ledger_bytes(ledger: &LedgerEntry) -> Vec<u8> {
        ledger.to_bytes()
    }

    pub(super) fn ledger(network: NetworkId, bytes: &[u8]) -> Result<LedgerEntry, WireError> {
        LedgerEntry::from_bytes(network, bytes).map_err(|error| payload("ledger", &error))
    }

    pub(super) fn header(bytes: &[u8]) -> Result<Header, WireError> {
        Header::from_bytes(bytes).map_err(|error| payload("header", &error))
    }

    fn payload(what: &'static str, error: &impl ToString) -> WireError {
        WireError::Payload { what, reason: error.to_string() }
    }
}
