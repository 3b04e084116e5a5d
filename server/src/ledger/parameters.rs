//! Network parameters: fixed by genesis, the same on every node.

use super::account::Amount;
use super::tx_set::{TX_SET_BYTES_MAX, TX_SET_COUNT_MAX};
use crate::cbor;
use crate::key::sha256;
use fba_core::Hash;
use serde::{Deserialize, Serialize};

/// What every node of a network must agree on beforehand. Times in milliseconds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Shortest time between two closes under load; 0 = as soon as there is something to close.
    pub close_interval_ms: u64,
    /// Without transactions, an empty ledger closes after this time.
    pub heartbeat_ms: u64,
    /// How far a proposed close time may be ahead of a node's clock.
    pub clock_slip_ms: u64,
    /// How long the first nomination round lasts.
    pub nomination_initial_ms: u64,
    /// By how much every further nomination round is longer.
    pub nomination_increment_ms: u64,
    /// How long the first ballot lasts.
    pub ballot_initial_ms: u64,
    /// By how much every further ballot is longer.
    pub ballot_increment_ms: u64,
    /// Most transactions in one ledger.
    pub tx_count_max: u32,
    /// Most bytes all signed transactions of one ledger have together.
    pub tx_bytes_max: u32,
    /// What must stay in an account: once for itself, once per data entry and once per extra signer.
    pub minimum_balance: Amount,
    /// Least fee per operation; may be zero.
    pub base_fee: Amount,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            close_interval_ms: 1_000,
            heartbeat_ms: 5_000,
            clock_slip_ms: 60_000,
            nomination_initial_ms: 1_000,
            nomination_increment_ms: 1_000,
            ballot_initial_ms: 1_000,
            ballot_increment_ms: 1_000,
            tx_count_max: 5_000,
            tx_bytes_max: 2 << 20,
            minimum_balance: 10,
            base_fee: 0,
        }
    }
}

/// A parameter outside its bounds.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("parameter {name} is {found}; it must be {least} to {most}")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// What it is.
    pub found: u64,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

const HOUR_MS: u64 = 3_600_000;
/// Room for the set's own CBOR: the map, and at most five bytes of head per transaction.
const SET_OVERHEAD: usize = 64 + 5 * TX_SET_COUNT_MAX;

impl Parameters {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first [`ParameterError`].
    pub fn check(&self) -> Result<(), ParameterError> {
        let bounds = [
            ("close_interval_ms", self.close_interval_ms, 0, HOUR_MS),
            // Not 0: empty ledgers would close as fast as the network can.
            ("heartbeat_ms", self.heartbeat_ms, 100, HOUR_MS),
            // At least a second: clocks of well-kept machines differ by less.
            ("clock_slip_ms", self.clock_slip_ms, 1_000, HOUR_MS),
            ("nomination_initial_ms", self.nomination_initial_ms, 100, HOUR_MS),
            ("nomination_increment_ms", self.nomination_increment_ms, 100, HOUR_MS),
            ("ballot_initial_ms", self.ballot_initial_ms, 100, HOUR_MS),
            ("ballot_increment_ms", self.ballot_increment_ms, 100, HOUR_MS),
            ("tx_count_max", u64::from(self.tx_count_max), 1, TX_SET_COUNT_MAX as u64),
            // At least one transaction of the longest kind fits.
            ("tx_bytes_max", u64::from(self.tx_bytes_max), 128 << 10, (TX_SET_BYTES_MAX - SET_OVERHEAD) as u64),
            ("minimum_balance", self.minimum_balance, 0, 1 << 40),
            ("base_fee", self.base_fee, 0, 1 << 40),
        ];
        match bounds.into_iter().find(|(_, found, least, most)| !(least..=most).contains(&found)) {
            Some((name, found, least, most)) => Err(ParameterError { name, found, least, most }),
            None => Ok(()),
        }
    }

    /// SHA-256 of the canonical CBOR; every header carries it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&[&cbor::encode(self)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_bounds_and_every_bound_holds() {
        assert_eq!(Parameters::default().check(), Ok(()));
        let good = Parameters::default;
        let refused: [(Parameters, &str); 8] = [
            (Parameters { close_interval_ms: HOUR_MS + 1, ..good() }, "close_interval_ms"),
            (Parameters { heartbeat_ms: 0, ..good() }, "heartbeat_ms"),
            (Parameters { clock_slip_ms: 1, ..good() }, "clock_slip_ms"),
            (Parameters { nomination_initial_ms: 99, ..good() }, "nomination_initial_ms"),
            (Parameters { ballot_increment_ms: 99, ..good() }, "ballot_increment_ms"),
            (Parameters { tx_count_max: 0, ..good() }, "tx_count_max"),
            (Parameters { tx_bytes_max: 4 << 20, ..good() }, "tx_bytes_max"),
            (Parameters { base_fee: u64::MAX, ..good() }, "base_fee"),
        ];
        for (parameters, name) in refused {
            assert_eq!(parameters.check().unwrap_err().name, name);
        }
    }

    #[test]
    fn other_parameters_have_another_hash() {
        let other = Parameters { base_fee: 1, ..Parameters::default() };
        assert_ne!(other.hash(), Parameters::default().hash());
    }
}
