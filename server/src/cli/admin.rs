//! `fba admin`: change a running node, through its admin side.

use crate::cli::client::{AdminClient, reachable, segment};
use crate::cli::exit::{CliError, Exit};
use crate::cli::{peers, text};
use crate::config::{Config, Keys};
use crate::http::admin::{PREFIX, Token, TokenError, dto};
use std::path::{Path, PathBuf};

/// Change a running node: drop peers, change the log, stop it
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The node's configuration, which says where its admin side is and where the token [default: node.toml]
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["at", "token_file"])]
    config: Option<PathBuf>,
    /// The admin side's address, if there is no configuration here
    #[arg(long, global = true, value_name = "URL", requires = "token_file")]
    at: Option<String>,
    /// The file with the token, if there is no configuration here
    #[arg(long, global = true, value_name = "FILE", requires = "at")]
    token_file: Option<PathBuf>,
    /// Print the node's JSON instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum AdminCommand {
    /// Show links, and why others ended
    Peers,
    /// End the link to a peer; it may come back
    Drop {
        /// Its key (G…), or its name in the node's configuration
        node: String,
        /// Told to the peer, and kept
        #[arg(long)]
        reason: Option<String>,
    },
    /// Keep a node away
    Ban {
        /// Its key (G…), or its name in the node's configuration
        node: String,
        /// For how long; without it, until `unban`
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
        /// Told to the peer, and kept
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a node in again
    Unban {
        /// Its key (G…), or its name in the node's configuration
        node: String,
    },
    /// Show who is kept away
    Bans,
    /// Show what the log lets through, or change it until the node stops
    Log {
        /// A level, or levels by module: `info,fba_server::overlay=debug`
        filter: Option<String>,
    },
    /// Stop the node, cleanly
    Shutdown,
    /// Let a node that lost its votes vote again at once. Can fork the network: read docs/operators.md first
    ResumeVoting {
        /// The open slot, as `fba status` shows it
        #[arg(long)]
        slot: u64,
    },
}

/// Carries out the command.
///
/// # Errors
/// [`Exit::Config`] for a configuration without an admin side, [`Exit::Permission`] for a token that may not be read,
/// [`Exit::Unavailable`] when the node does not answer, [`Exit::No`] when it refuses.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let client = client(args)?;
    match &args.command {
        AdminCommand::Peers => {
            let seen: dto::Peers = client.get(&format!("{PREFIX}peers"))?;
            if args.json { text::say_json(&seen)? } else { text::say(&peers::admin_view(&seen))? }
        }
        AdminCommand::Drop { node, reason } => {
            let path = format!("{PREFIX}peers/{}/drop", segment(node.as_bytes()));
            done(args, &client.send("POST", &path, &dto::DropPeer { reason: reason.clone() })?)?;
        }
        AdminCommand::Ban { node, seconds, reason } => {
            let body = dto::BanPeer { seconds: *seconds, reason: reason.clone() };
            done(args, &client.send("POST", &ban_of(node), &body)?)?;
        }
        AdminCommand::Unban { node } => done(args, &client.send("DELETE", &ban_of(node), &dto::Nothing {})?)?,
        AdminCommand::Bans => {
            let bans: dto::Bans = client.get(&format!("{PREFIX}bans"))?;
            if args.json { text::say_json(&bans)? } else { text::say(&peers::bans_view(&bans))? }
        }
        AdminCommand::Log { filter: None } => log(args, &client.get(&format!("{PREFIX}log"))?)?,
        AdminCommand::Log { filter: Some(filter) } => {
            log(args, &client.send("PUT", &format!("{PREFIX}log"), &dto::Log { filter: filter.clone() })?)?;
        }
        AdminCommand::Shutdown => done(args, &client.send("POST", &format!("{PREFIX}shutdown"), &dto::Nothing {})?)?,
        AdminCommand::ResumeVoting { slot } => {
            let path = format!("{PREFIX}resume-voting");
            done(args, &client.send("POST", &path, &dto::ResumeVoting { slot: *slot })?)?;
        }
    }
    Ok(Exit::Good)
}

fn ban_of(node: &str) -> String {
    format!("{PREFIX}bans/{}", segment(node.as_bytes()))
}

fn done(args: &Args, done: &dto::Done) -> Result<(), CliError> {
    if args.json { text::say_json(done) } else { text::say(&done.done) }
}

fn log(args: &Args, log: &dto::Log) -> Result<(), CliError> {
    if args.json { text::say_json(log) } else { text::say(&log.filter) }
}

fn client(args: &Args) -> Result<AdminClient, CliError> {
    if let (Some(at), Some(file)) = (&args.at, &args.token_file) {
        return AdminClient::new(at, token(file)?);
    }
    let file = args.config.clone().unwrap_or_else(|| PathBuf::from("node.toml"));
    if args.config.is_none() && !file.exists() {
        let message = "there is no node.toml here: name the node's configuration with --config FILE, or its admin side \
                       with --at URL --token-file FILE";
        return Err(CliError::new(Exit::Usage, message));
    }
    let config = Config::load(&file, Keys::IfPresent).map_err(|errors| CliError::new(errors.exit(), errors))?;
    let shown = file.display();
    let admin = config.admin.ok_or_else(|| {
        let message = format!("{shown} has no [admin]: add it and restart the node; docs/configuration.md says how");
        CliError::new(Exit::Config, message)
    })?;
    if admin.listen.port() == 0 {
        let message = format!("{shown}: admin.listen has port 0, so any; the node's log says which: give it with --at");
        return Err(CliError::new(Exit::Config, message));
    }
    AdminClient::new(&reachable(admin.listen).to_string(), token(&admin.token_file)?)
}

fn token(file: &Path) -> Result<Token, CliError> {
    Token::read(file).map_err(|error| {
        let missing =
            matches!(&error, TokenError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
        let way_out = if missing { "; a node makes it when it starts with [admin]" } else { "" };
        CliError::new(token_exit(&error), format_args!("{error}{way_out}"))
    })
}

/// The exit code for a token that cannot be used.
pub(crate) fn token_exit(error: &TokenError) -> Exit {
    match error {
        TokenError::Read { source, .. } | TokenError::Write { source, .. } => Exit::of_io(source),
        TokenError::NotRegular { .. } | TokenError::Permissions { .. } => Exit::Permission,
        TokenError::NotAToken { .. } => Exit::Data,
        TokenError::NoRandomness(_) => Exit::Unavailable,
    }
}
