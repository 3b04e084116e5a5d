//! `fba run`: one server, until it is told to stop.

use crate::app::{self, AppError, Options};
use crate::cli::admin::token_exit;
use crate::cli::exit::{CliError, Exit, print};
use crate::cli::panics;
use crate::cli::signing::key_error;
use crate::config::{Config, Keys};
use crate::http::admin::AdminError;
use crate::store::{LockError, StoreError};
use crate::telemetry::{LogFormat, start_log};
use async_channel::{Receiver, Sender};
use futures::{FutureExt, pin_mut, select_biased};
use std::io::Read;
use std::path::PathBuf;

/// What a server prints on standard output, before its URL, once it serves HTTP.
pub const SERVING: &str = "serving ";

/// Run one server until Ctrl-C.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The configuration file (`fba network init` or docs/configuration.md).
    config: PathBuf,
    /// Write every statement received to this file, to be checked later.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Also stop when standard input closes: for programs that start servers and must leave none behind.
    #[arg(long)]
    until_stdin_closes: bool,
    /// What to log, to standard error: a level, or levels by module (`info,fba_server::overlay=debug`).
    /// [default: $FBA_LOG, else info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Log one JSON object per line.
    #[arg(long)]
    log_json: bool,
}

/// Runs the server.
///
/// # Errors
/// When it cannot start, or had to stop by itself (a failed disk, a ledger that is not the network's).
pub fn run(args: &Args) -> Result<(), CliError> {
    panics::end_the_process();
    let filter = args.log.clone().or_else(|| std::env::var("FBA_LOG").ok()).unwrap_or_else(|| "info".to_owned());
    let format = if args.log_json { LogFormat::Json } else { LogFormat::Text };
    let log = start_log(format, &filter).map_err(|error| CliError::new(Exit::Usage, error))?;
    let config = Config::load(&args.config, Keys::Required).map_err(|errors| CliError::new(errors.exit(), errors))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (stop, stopped) = async_channel::bounded(1);
    listen_for_the_end(stop, args.until_stdin_closes)?;
    let options = Options { record: args.record.clone(), log: Some(log) };
    let running = app::start(&config, &options).map_err(|error| cli_error(&error))?;
    tracing::info!(quic = %running.overlay_address(), http = %running.http_address(), "started");
    if let Some(address) = running.admin_address() {
        tracing::info!(%address, "the admin side listens");
    }
    print(&format!("{SERVING}http://{}\n", running.http_address()))?;
    crate::runtime::block_on(either(&stopped, &running.ended));
    tracing::info!("stopping");
    running.stop().map_err(|error| cli_error(&error))
}

/// Ctrl-C, SIGTERM and, if asked for, the end of standard input all end the server in the same way.
fn listen_for_the_end(stop: Sender<()>, stdin: bool) -> Result<(), CliError> {
    if stdin {
        let stop = stop.clone();
        std::thread::spawn(move || {
            // What arrives is of no interest; the end of it (or an error, which is an end too) is.
            let mut sink = [0; 256];
            while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
            // Full if the end was announced already.
            let _ = stop.try_send(());
        });
    }
    ctrlc::set_handler(move || {
        // Full if the end was announced already.
        let _ = stop.try_send(());
    })
    .map_err(|error| CliError::new(Exit::Io, format!("cannot listen for Ctrl-C: {error}")))
}

async fn either(stopped: &Receiver<()>, ended: &Receiver<()>) {
    let (stopped, ended) = (stopped.recv().fuse(), ended.recv().fuse());
    pin_mut!(stopped, ended);
    // Both end the wait, whether by a message or because the sender is gone.
    select_biased! { _ = stopped => (), _ = ended => () }
}

/// How `fba run` ends when starting again would end the same way: what supervises a node leaves it stopped then.
pub const FINAL_EXITS: [Exit; 5] = [Exit::No, Exit::Usage, Exit::Data, Exit::Permission, Exit::Config];

fn cli_error(error: &AppError) -> CliError {
    let exit = match error {
        AppError::Config(errors) => errors.exit(),
        AppError::Genesis(_) | AppError::OtherKey { .. } => Exit::Config,
        AppError::Key(error) => key_error(error).exit,
        AppError::Store(error) => store_exit(error),
        AppError::Restore(_) => Exit::Data,
        AppError::Overlay(_) | AppError::Http(_) => Exit::Unavailable,
        AppError::Admin(error) => admin_exit(error),
        AppError::Record(_) | AppError::Thread(_) => Exit::Io,
        AppError::Diverged { .. } => Exit::No,
    };
    CliError::new(exit, error)
}

fn admin_exit(error: &AdminError) -> Exit {
    match error {
        AdminError::Token(error) => token_exit(error),
        AdminError::Bind { .. } | AdminError::Threads(_) => Exit::Unavailable,
    }
}

fn is_no_database(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase)
}

pub(crate) fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::Io { source, .. } => Exit::of_io(source),
        StoreError::Exists { .. } => Exit::Io,
        StoreError::Lock(LockError::Io { source, .. }) => Exit::of_io(source),
        StoreError::Sqlite { source, .. } if is_no_database(source) => Exit::Data,
        StoreError::Lock(_) | StoreError::SqliteTooOld { .. } | StoreError::Setting { .. } => Exit::Unavailable,
        StoreError::OtherNetwork { .. } | StoreError::OtherNode { .. } => Exit::Config,
        StoreError::NotOurs { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::Damaged { .. }
        | StoreError::Corrupt { .. }
        | StoreError::MayNotVote { .. } => Exit::Data,
        StoreError::Sqlite { .. } | StoreError::Poisoned => Exit::Io,
    }
}
