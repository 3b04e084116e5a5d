//! `fba run`: one server, until it is told to stop.

use crate::app::{self, AppError, Options};
use crate::cli::exit::{CliError, Exit};
use crate::config::Config;
use crate::demo::SERVING;
use crate::telemetry::{LogFormat, start_log};
use async_channel::{Receiver, Sender};
use futures::{FutureExt, pin_mut, select_biased};
use std::io::Read;
use std::path::PathBuf;

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
    #[arg(long, env = "FBA_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// Log one JSON object per line.
    #[arg(long)]
    log_json: bool,
}

/// Runs the server.
///
/// # Errors
/// When it cannot start, or had to stop by itself (a failed disk, a ledger that is not the network's).
pub fn run(args: &Args) -> Result<(), CliError> {
    let format = if args.log_json { LogFormat::Json } else { LogFormat::Text };
    start_log(format, &args.log).map_err(|error| CliError::new(Exit::Usage, error))?;
    let config = Config::load(&args.config)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let (stop, stopped) = async_channel::bounded(1);
    listen_for_the_end(stop, args.until_stdin_closes)?;
    let options = Options { record: args.record.clone() };
    let running = app::start(&config, &options).map_err(|error| cli_error(&error))?;
    tracing::info!(quic = %running.overlay_address(), http = %running.http_address(), "started");
    println!("{SERVING}http://{}", running.http_address());
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

fn cli_error(error: &AppError) -> CliError {
    let exit = match error {
        AppError::Genesis(_) | AppError::OtherNetwork { .. } => Exit::Config,
        AppError::Read { source, .. } => Exit::of_io(source),
        AppError::Store(error) => error.exit(),
        AppError::Restore(_) => Exit::Data,
        AppError::Overlay(_) | AppError::Http(_) => Exit::Unavailable,
        AppError::Record(_) | AppError::Thread(_) => Exit::Io,
        AppError::Diverged(_) => Exit::No,
    };
    CliError::new(exit, error)
}
