//! Genesis: what a network begins with. One file, the same on every node.

use super::account::{AccountId, Amount};
use super::parameters::{ParameterError, Parameters};
use crate::cbor;
use crate::key::NetworkId;
use fba_core::{Hash, Value};
use serde::{Deserialize, Serialize};

/// The contents of `genesis.toml`.
///
/// ```
/// let genesis = fba_server::ledger::Genesis::from_toml(r#"
///     passphrase = "the lunch network"
///     close_time_ms = 1767225600000
///     root_account = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"
///     total_supply = 1000000000
///     [parameters]
///     close_interval_ms = 500
/// "#);
/// assert!(genesis.is_ok());
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The network's passphrase: its SHA-256 is in every signature.
    pub passphrase: String,
    /// Close time of ledger 1, in milliseconds since the epoch.
    pub close_time_ms: u64,
    /// The account that owns everything at first.
    pub root_account: AccountId,
    /// How much there is, for ever. At most 2^63 − 1, as TOML and SQLite know no larger number.
    pub total_supply: Amount,
    /// The rules.
    #[serde(default)]
    pub parameters: Parameters,
}

/// Why a genesis file is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// Not TOML, or other keys than these; the message has the line.
    #[error("{0}")]
    Toml(String),
    /// The passphrase is empty or too long.
    #[error("passphrase has {found} bytes; it must have 1 to 256: it is what tells networks apart")]
    Passphrase {
        /// Its length in bytes.
        found: usize,
    },
    /// The supply does not fit.
    #[error("total_supply is {found}; it must be at least the minimum balance ({least}) and at most {}", i64::MAX)]
    Supply {
        /// What it is.
        found: Amount,
        /// The least it may be.
        least: Amount,
    },
    /// A time no SQLite integer holds.
    #[error("close_time_ms is {found}; it must be at most {}", i64::MAX)]
    CloseTime {
        /// What it is.
        found: u64,
    },
    /// A parameter outside its bounds.
    #[error("{0}")]
    Parameter(#[from] ParameterError),
}

impl Genesis {
    /// Reads and checks a genesis file.
    ///
    /// # Errors
    /// [`GenesisError`], naming the line or the rule.
    pub fn from_toml(text: &str) -> Result<Self, GenesisError> {
        let genesis: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            GenesisError::Toml(format!("line {line}: {}", error.message()))
        })?;
        genesis.check()?;
        Ok(genesis)
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never for a checked genesis: its numbers fit TOML's.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a checked genesis has no number beyond TOML's")
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`GenesisError`], naming the rule.
    pub fn check(&self) -> Result<(), GenesisError> {
        self.parameters.check()?;
        let passphrase = self.passphrase.len();
        if !(1..=256).contains(&passphrase) {
            return Err(GenesisError::Passphrase { found: passphrase });
        }
        let (found, least) = (self.total_supply, self.parameters.minimum_balance.max(1));
        if found < least || i64::try_from(found).is_err() {
            return Err(GenesisError::Supply { found, least });
        }
        if i64::try_from(self.close_time_ms).is_err() {
            return Err(GenesisError::CloseTime { found: self.close_time_ms });
        }
        Ok(())
    }

    /// The network's id.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        NetworkId::of_passphrase(&self.passphrase)
    }

    /// The value of ledger 1, on which nobody voted: the canonical CBOR of this.
    #[must_use]
    pub fn value(&self) -> Value {
        Value::new(&cbor::encode(self))
    }

    /// SHA-256 of the canonical CBOR.
    #[must_use]
    pub fn hash(&self) -> Hash {
        super::header::value_hash(&self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::genesis;
    use super::*;

    #[test]
    fn a_genesis_file_reads_back() {
        let genesis = genesis();
        assert_eq!(Genesis::from_toml(&genesis.to_toml()), Ok(genesis.clone()));
        assert_ne!(Genesis { close_time_ms: 2, ..genesis.clone() }.hash(), genesis.hash());
    }

    #[test]
    fn a_wrong_genesis_file_is_refused_with_the_rule() {
        let cases = [
            (Genesis { passphrase: String::new(), ..genesis() }, "passphrase has 0"),
            (Genesis { passphrase: "x".repeat(257), ..genesis() }, "passphrase has 257"),
            (Genesis { total_supply: 0, ..genesis() }, "total_supply is 0"),
            (Genesis { total_supply: u64::MAX, ..genesis() }, "at most 9223372036854775807"),
            (Genesis { close_time_ms: u64::MAX, ..genesis() }, "close_time_ms"),
            (
                Genesis { parameters: Parameters { heartbeat_ms: 1, ..Parameters::default() }, ..genesis() },
                "heartbeat_ms",
            ),
        ];
        for (wrong, rule) in cases {
            let refused = wrong.check().unwrap_err().to_string();
            assert!(refused.contains(rule), "{refused} should say {rule}");
        }
        let unknown = format!("colour = \"red\"\n{}", genesis().to_toml());
        let refused = Genesis::from_toml(&unknown).unwrap_err().to_string();
        assert!(refused.contains("line 1") && refused.contains("colour"), "{refused}");
    }
}
