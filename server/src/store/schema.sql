-- Schema 1. Every table is STRICT, and the last column of every row is a checksum over the table's name and all other
-- columns (row.rs), verified whenever the row is read. Hashes, keys and ids are 32 bytes; `bytes`, `header`,
-- `statement` and `result` are canonical CBOR.

-- Whose database this is. `store` is random: two databases of one node are told apart by it. `boot` names the run of
-- the system that wrote last; up to slot `forgotten` first ballots may have been lost with an earlier one.
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  network BLOB NOT NULL, node BLOB NOT NULL, store BLOB NOT NULL, boot BLOB NOT NULL, forgotten INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- How far the key has voted: commits with ballot votes, the highest slot, and a digest over all rows of `votes`, so
-- that a row that got lost is noticed too.
CREATE TABLE last_signed (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  count INTEGER NOT NULL, slot INTEGER NOT NULL, votes BLOB NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- Each time an operator ended the silence after a loss of votes, before it was known to be safe.
CREATE TABLE overrides (
  slot INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (slot, at_ms)
) STRICT, WITHOUT ROWID;

-- Our own newest statement per slot and protocol (0 nomination, 1 ballot); nominations with their round.
CREATE TABLE votes (
  slot INTEGER NOT NULL, protocol INTEGER NOT NULL,
  statement BLOB NOT NULL, round INTEGER, previous BLOB,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (slot, protocol)
) STRICT, WITHOUT ROWID;

-- What others said last, per protocol, in the slot that is open: what our votes in it may follow from.
CREATE TABLE heard (
  slot INTEGER NOT NULL, node BLOB NOT NULL, protocol INTEGER NOT NULL,
  statement BLOB NOT NULL,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (slot, node, protocol)
) STRICT, WITHOUT ROWID;

-- Quorum sets named by our votes, by what was heard and by proofs: `slot` and `proof` are the newest slot and the newest
-- ledger whose statements were seen to name it.
CREATE TABLE quorum_sets (
  hash BLOB PRIMARY KEY NOT NULL, bytes BLOB NOT NULL, slot INTEGER NOT NULL, proof INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Transaction sets our votes and what was heard refer to, until the slot is closed for a while.
CREATE TABLE tx_sets (
  hash BLOB PRIMARY KEY NOT NULL, slot INTEGER NOT NULL, bytes BLOB NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- Closed ledgers, without gaps. `total` counts the transactions up to and including this ledger.
CREATE TABLE ledgers (
  sequence INTEGER PRIMARY KEY,
  hash BLOB NOT NULL, header BLOB NOT NULL, value BLOB NOT NULL,
  transactions INTEGER NOT NULL, failed INTEGER NOT NULL, total INTEGER NOT NULL, proven INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX ledgers_by_hash ON ledgers (hash);

-- Closed transactions; id = sequence * 65536 + place in the order of application.
CREATE TABLE transactions (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL, source BLOB NOT NULL, bytes BLOB NOT NULL, result BLOB NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX transactions_by_hash ON transactions (hash);
CREATE INDEX transactions_by_source ON transactions (source);

-- The signed CONFIRM and EXTERNALIZE statements that prove a ledger's value, and the hashes of the quorum sets kept
-- with them, one after the other.
CREATE TABLE proofs (
  sequence INTEGER PRIMARY KEY, statements BLOB NOT NULL, sets BLOB NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- The first ledger whose proof is kept; no row means all.
CREATE TABLE retention (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  proofs_from INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- The state after the newest ledger.
CREATE TABLE accounts (
  id BLOB PRIMARY KEY NOT NULL, bytes BLOB NOT NULL,
  checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE data_entries (
  account BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
  checksum INTEGER NOT NULL,
  PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  sequence INTEGER NOT NULL, lattice BLOB NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;

-- Who is banned, or was lately: until `until_ms` (Unix), or for ever. `offences` is 0 for a ban of the operator.
CREATE TABLE bans (
  node BLOB PRIMARY KEY NOT NULL,
  since_ms INTEGER NOT NULL, until_ms INTEGER, offences INTEGER NOT NULL, reason TEXT NOT NULL,
  checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where nodes were reached or are said to be: IP address and port, whose key answers, who said so, when it was last
-- reached, how often in a row it was not, and when last not (Unix milliseconds).
CREATE TABLE peers (
  address TEXT PRIMARY KEY NOT NULL,
  node BLOB NOT NULL, source BLOB NOT NULL, success_ms INTEGER, failures INTEGER NOT NULL, failure_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
