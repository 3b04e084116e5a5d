//! Clients: a few accounts that pay one another.

use fba_server::key::{NetworkId, SecretKey, sha256};
use fba_server::ledger::{AccountId, Ledger, Operation, SignedTransaction, Transaction};
use std::sync::Arc;

/// What each account begins with.
const BALANCE: u64 = 1_000_000_000;

/// The accounts, and the root account that opens them.
pub(super) struct Payers {
    network: NetworkId,
    root: SecretKey,
    keys: Vec<SecretKey>,
}

impl Payers {
    /// `count` accounts. Their keys follow from the network's name: they hold play money.
    pub(super) fn new(network: NetworkId, root: SecretKey, count: usize) -> Self {
        let key =
            |number: usize| SecretKey::from_seed(&sha256(&[b"history payer", &network.0.0, &number.to_be_bytes()]).0);
        Self { network, root, keys: (0..count).map(key).collect() }
    }

    /// One payment from each account to the next; at first, what opens them all.
    pub(super) fn transactions(&self, ledger: &Ledger) -> Vec<Arc<SignedTransaction>> {
        let missing: Vec<AccountId> =
            self.keys.iter().map(AccountId::of).filter(|id| ledger.account(id).is_none()).collect();
        if missing.is_empty() {
            return (0..self.keys.len()).filter_map(|payer| self.payment(payer, ledger)).collect();
        }
        let open = |account| Operation::CreateAccount { account, balance: BALANCE };
        let operations = missing.into_iter().map(open).collect();
        self.signed(&self.root, ledger, operations).into_iter().collect()
    }

    fn payment(&self, payer: usize, ledger: &Ledger) -> Option<Arc<SignedTransaction>> {
        let next = self.keys.get(payer.saturating_add(1)).or_else(|| self.keys.first())?;
        // A payer alone pays the root account.
        let to = if self.keys.len() > 1 { AccountId::of(next) } else { AccountId::of(&self.root) };
        self.signed(self.keys.get(payer)?, ledger, vec![Operation::Payment { to, amount: 1 }])
    }

    fn signed(&self, key: &SecretKey, ledger: &Ledger, operations: Vec<Operation>) -> Option<Arc<SignedTransaction>> {
        let source = AccountId::of(key);
        let transaction = Transaction::new(source, ledger.account(&source)?.sequence.saturating_add(1), operations);
        let built = SignedTransaction::build(self.network, transaction, &[key]);
        Some(Arc::new(built.expect("a hundred operations at most, and one signature, are well-formed")))
    }
}
