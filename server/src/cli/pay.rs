//! `fba pay`: moves money; opens the receiver's account if there is none.

use crate::cli::exit::{CliError, Exit};
use crate::cli::signing::{SignArgs, Signing, account_path, amount};
use crate::http::dto;
use crate::ledger::{AccountId, Operation};

/// Pay an amount to an account; if there is no such account, open it with that amount
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The receiver's public key: G…
    #[arg(long, value_name = "ACCOUNT")]
    to: AccountId,
    /// How much, in the smallest unit
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    amount: u64,
    #[command(flatten)]
    sign: SignArgs,
}

/// Signs and submits the payment.
///
/// # Errors
/// [`Exit::No`] if the payment is refused or there is nothing to pay from, [`Exit::Permission`] and [`Exit::Io`] for the
/// key file, [`Exit::Unavailable`] if the node does not answer or takes no transactions now. A payment that failed in a
/// ledger returns [`Exit::No`], one still pending after `--wait` [`Exit::Unknown`].
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let signing = Signing::new(&args.sign)?;
    let known = signing.client.find::<dto::Account>(&account_path(args.to))?;
    if known.is_some() {
        return signing.submit(vec![Operation::Payment { to: args.to, amount: args.amount }]);
    }
    let least = amount(&signing.parameters.minimum_balance)?;
    if args.amount < least {
        let message = format!("{} has no account, and opening one takes at least {least}", args.to);
        return Err(CliError::new(Exit::No, message));
    }
    eprintln!("{} has no account yet: opening it with {}", args.to, args.amount);
    signing.submit(vec![Operation::CreateAccount { account: args.to, balance: args.amount }])
}
