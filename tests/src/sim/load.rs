//! Clients.

use super::rng::Rng;
use super::signer::StandIn;
use fba_core::NodeId;
use fba_server::cbor;
use fba_server::key::{Domain, NetworkId, Signatures};
use fba_server::ledger::{AccountId, Genesis, Ledger, Operation, Parameters, SignedTransaction, Transaction};
use std::sync::Arc;

const PASSPHRASE: &str = "simulated network";
const ROOT: AccountId = AccountId([200; 32]);
const ACCOUNTS: u64 = 5;

/// The first ledger of every run.
pub(super) fn genesis(parameters: Parameters) -> Genesis {
    Genesis {
        passphrase: PASSPHRASE.to_owned(),
        close_time_ms: super::node::EPOCH_MS,
        root_account: ROOT,
        total_supply: 1_000_000_000_000,
        parameters,
    }
}

/// A transaction that is likely to be valid on `ledger`: opens one of a few accounts, or pays between those there are.
pub(super) fn transaction(rng: &mut Rng, ledger: &Ledger) -> Arc<SignedTransaction> {
    let account = |number: u64| AccountId([u8::try_from(number).unwrap_or(0) + 210; 32]);
    let to = account(rng.below(ACCOUNTS));
    let from = Some(account(rng.below(ACCOUNTS))).filter(|from| *from != to && ledger.account(from).is_some());
    let source = from.unwrap_or(ROOT);
    let amount = rng.between(1, 50);
    let operation = if ledger.account(&to).is_some() {
        Operation::Payment { to, amount }
    } else {
        Operation::CreateAccount { account: to, balance: 1_000_000 }
    };
    // Sometimes ahead of what is queued, sometimes a rival of it.
    let ahead = if rng.chance(300) { 2 } else { 1 };
    let sequence = ledger.account(&source).map_or(0, |account| account.sequence) + ahead;
    let transaction =
        Transaction { memo: rng.next().to_be_bytes().to_vec(), ..Transaction::new(source, sequence, vec![operation]) };
    let signature = StandIn(NodeId(source.0)).sign(Domain::Transaction, &cbor::encode(&transaction));
    let network = NetworkId::of_passphrase(PASSPHRASE);
    let signed = SignedTransaction::assemble(network, transaction, vec![(source, signature)]);
    Arc::new(signed.expect("small transactions with one signature are well-formed"))
}
