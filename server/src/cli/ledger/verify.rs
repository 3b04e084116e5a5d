//! `fba ledger verify`: checks stored ledgers again, without asking anybody.

use super::source::{SourceArgs, failed};
use crate::audit::{self, Auditor, PAGE, Tally, Wrong};
use crate::cli::exit::{CliError, Exit};
use crate::cli::progress::Progress;
use crate::cli::text;
use crate::config::Config;
use crate::ledger::Genesis;
use crate::store::Archive;
use serde::Serialize;
use std::path::PathBuf;

/// A running node closes ledgers meanwhile; so often the state is looked at again until both are of one ledger.
const STATE_LOOKS_MAX: u32 = 20;

/// Check stored ledgers again: header chain, signatures, replay from genesis, and what proves each
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "\
Everything is checked from what is stored, against the genesis file; nobody is asked, and the node may run meanwhile. Of
each ledger: that it names the header before it, that value, transactions and results are what the header commits to,
that proposer and transactions are signed, that replaying it from genesis gives this very header, and that its proof, if
one is kept, was made by a quorum that satisfies the quorum set of --config. A proof of one ledger proves every ledger
before it, through the header chain.

Exit codes: 0 all of that holds; 1 all is genuine, but some proof is no quorum for this quorum set (if it has changed,
check the ledgers before with the configuration of then and --to); 65 a ledger is not what it claims to be.")]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The genesis file, if not the configuration's
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    genesis: Option<PathBuf>,
    /// The first ledger to check [default: 1]
    #[arg(long, value_name = "SEQUENCE", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// The last ledger to check [default: the newest]
    #[arg(long, value_name = "SEQUENCE", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// Do not replay: quicker, but balances and data are not checked
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    /// `good`, `no` or `wrong`.
    verdict: &'static str,
    node: String,
    from: u64,
    to: u64,
    /// The hash of the last header.
    hash: Option<String>,
    replayed: bool,
    /// Was the stored state compared with what replaying gave?
    state_checked: bool,
    #[serde(flatten)]
    tally: Tally,
    seconds: f64,
    ledgers_per_second: f64,
    /// What is wrong.
    error: Option<String>,
}

/// Checks and prints what was found.
///
/// # Errors
/// When configuration, genesis or database cannot be read.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let config = args.source.config()?;
    let genesis = genesis(args, config.as_ref())?;
    let archive = args.source.archive(config.as_ref())?;
    if archive.network() != genesis.network_id() {
        let message = "the database is of another network than the genesis file: give the genesis file of its network";
        return Err(CliError::new(Exit::Data, format_args!("{}: {message}", archive.path().display())));
    }
    let last = archive.reader().totals().map_err(failed)?.last_ledger;
    let (from, to) = range(args, last)?;
    let quorum_set = config.map(|config| config.trust.quorum_set);
    let wrong = |error: Wrong| CliError::new(Exit::Data, error);
    let auditor = if args.quick {
        let before = match from.checked_sub(1) {
            Some(before) if before > 0 => archive.reader().ledger(before).map_err(failed)?,
            _ => None,
        };
        Auditor::quick(&genesis, quorum_set, before.as_ref()).map_err(wrong)?
    } else {
        Auditor::replaying(&genesis, quorum_set, from).map_err(wrong)?
    };
    let mut work = Work { archive, genesis, auditor, to, state_checked: false };
    let mut progress = Progress::new("checking", "ledgers");
    let outcome = work.ledgers(&mut progress).and_then(|()| match args.to {
        None if !args.quick => work.state(&mut progress),
        _ => Ok(()),
    });
    let error = match outcome {
        Ok(()) => None,
        Err(Stopped::Wrong(wrong)) => Some(wrong.to_string()),
        Err(Stopped::Failed(error)) => return Err(error),
    };
    let report = work.report(args, from, error, &progress);
    drop(progress);
    report.show(args.json)
}

fn genesis(args: &Args, config: Option<&Config>) -> Result<Genesis, CliError> {
    match (&args.genesis, config) {
        (Some(file), _) => {
            let shown = file.display();
            let text =
                std::fs::read_to_string(file).map_err(|error| CliError::io(format_args!("reading {shown}"), &error))?;
            Genesis::from_toml(&text).map_err(|error| CliError::new(Exit::Config, format_args!("{shown}: {error}")))
        }
        (None, Some(config)) => config.load_genesis().map_err(|errors| CliError::new(errors.exit(), errors)),
        (None, None) => Err(CliError::new(Exit::Usage, "give --genesis, or --config, which names it")),
    }
}

/// What to check, of ledgers 1 to `last`.
fn range(args: &Args, last: u64) -> Result<(u64, u64), CliError> {
    let (from, to) = (args.from.unwrap_or(1), args.to.unwrap_or(last));
    if last == 0 || from > to || to > last {
        let message = format!("there are no ledgers {from} to {to}: the database holds 1 to {last}");
        return Err(CliError::new(Exit::Usage, message));
    }
    Ok((from, to))
}

/// Why checking ended early.
enum Stopped {
    /// A ledger is wrong.
    Wrong(Wrong),
    /// It could not be read.
    Failed(CliError),
}

struct Work {
    archive: Archive,
    genesis: Genesis,
    auditor: Auditor,
    to: u64,
    state_checked: bool,
}

impl Work {
    /// Checks the ledgers up to `self.to`.
    fn ledgers(&mut self, progress: &mut Progress) -> Result<(), Stopped> {
        while self.auditor.next() <= self.to {
            let next = self.auditor.next();
            let count = (self.to - next).saturating_add(1).min(PAGE);
            let page = audit::read(self.archive.reader(), next, count);
            let page = page.map_err(|error| Stopped::Failed(failed(error)))?;
            if page.is_empty() {
                return Err(Stopped::Wrong(Wrong::Missing { sequence: next }));
            }
            self.auditor.check(&page).map_err(Stopped::Wrong)?;
            progress.at(self.auditor.next() - 1, self.to);
        }
        Ok(())
    }

    /// Compares the stored state with what replaying gave, once both are of the same ledger.
    fn state(&mut self, progress: &mut Progress) -> Result<(), Stopped> {
        for _ in 0..STATE_LOOKS_MAX {
            let state = self.archive.state().map_err(|error| Stopped::Failed(failed(error)))?;
            let Some(state) = state else { return Ok(()) };
            self.to = state.header.sequence;
            if self.auditor.next() > self.to {
                self.auditor.check_state(&self.genesis, state).map_err(Stopped::Wrong)?;
                self.state_checked = true;
                return Ok(());
            }
            self.ledgers(progress)?;
        }
        Ok(())
    }

    fn report(&self, args: &Args, from: u64, error: Option<String>, progress: &Progress) -> Report {
        let tally = self.auditor.tally().clone();
        let verdict = match (&error, tally.proofs.not_by_this_quorum_set) {
            (Some(_), _) => "wrong",
            (None, 0) => "good",
            (None, _) => "no",
        };
        let last = self.auditor.last();
        Report {
            verdict,
            node: crate::key::node_strkey(self.archive.node()),
            from,
            to: last.map_or(0, |(sequence, _)| sequence),
            hash: last.map(|(_, hash)| hash.to_string()),
            replayed: !args.quick,
            state_checked: self.state_checked,
            seconds: progress.seconds(),
            ledgers_per_second: progress.rate(tally.ledgers),
            tally,
            error,
        }
    }
}

impl Report {
    fn show(&self, json: bool) -> Result<Exit, CliError> {
        let exit = match self.verdict {
            "good" => Exit::Good,
            "no" => Exit::No,
            _ => Exit::Data,
        };
        if json {
            text::say_json(self)?;
            return Ok(exit);
        }
        if self.tally.ledgers > 0 {
            text::say(&text::facts(&self.facts()).to_string())?;
        }
        match &self.error {
            Some(error) => Err(CliError::new(
                exit,
                format_args!(
                    "{error}. Do not rely on this ledger or a later one of this database; compare it with another node's, \
                     and let this node fetch the ledger anew"
                ),
            )),
            None => Ok(exit),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let Tally { ledgers, transactions, signatures, proofs } = &self.tally;
        let replay = match (self.replayed, self.state_checked) {
            (false, _) => "not replayed: balances and data were not checked".to_owned(),
            (true, false) => "replayed from genesis; every header is the same".to_owned(),
            (true, true) => "replayed from genesis; every header and the stored state are the same".to_owned(),
        };
        let mut facts = vec![
            ("Ledgers", format!("{ledgers} ({} to {}), {:.0}/s", self.from, self.to, self.ledgers_per_second)),
            ("Last header", self.hash.clone().unwrap_or_default()),
            ("Transactions", transactions.to_string()),
            ("Signatures", signatures.to_string()),
            ("Replay", replay),
        ];
        if proofs.hold > 0 {
            let newest = proofs.newest.unwrap_or(0);
            let text = format!("{} hold for this quorum set; every ledger up to {newest} is proven", proofs.hold);
            facts.push(("Proofs", text));
        }
        if let (Some(first), Some(last)) = (proofs.first_not_by_this_quorum_set, proofs.last_not_by_this_quorum_set) {
            let count = proofs.not_by_this_quorum_set;
            let text = format!(
                "{count} are genuine but no quorum for this quorum set (ledgers {first} to {last}); if it has changed, check \
                 those with the configuration of then"
            );
            facts.push(("Not proven", text));
        }
        if proofs.genuine > 0 {
            let text = format!("{} are genuine; give --config to judge them by its quorum set", proofs.genuine);
            facts.push(("Proofs", text));
        }
        facts.push(("Without proof", format!("{} (genesis, fetched, or not kept any more)", proofs.none)));
        facts
    }
}
