//! `fba ledger export`: stored ledgers for other programs, one after the other.

use super::source::{SourceArgs, failed};
use crate::audit::{self, PAGE, Stored};
use crate::cbor;
use crate::cli::exit::{CliError, Exit};
use crate::cli::progress::Progress;
use crate::http::{self, dto};
use crate::store::Proof;
use crate::wire;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Write stored ledgers, with everything in them, as JSON lines or CBOR
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The first ledger
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// The last ledger [default: the newest]
    #[arg(long, value_name = "SEQUENCE", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// One JSON object per line, or CBOR items one after the other
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Write to this new file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Go on with a file that an interrupted export left (JSON only)
    #[arg(long, requires = "output")]
    resume: bool,
}

/// How a ledger is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Format {
    /// One object per line.
    Json,
    /// RFC 8742: canonical items without anything between.
    Cbor,
}

/// A line.
#[derive(Debug, Serialize)]
struct JsonLedger {
    #[serde(flatten)]
    ledger: dto::Ledger,
    header_bytes: String,
    value_bytes: String,
    contents: Vec<JsonTransaction>,
    proof: Option<JsonProof>,
}

#[derive(Debug, Serialize)]
struct JsonTransaction {
    #[serde(flatten)]
    transaction: dto::Transaction,
    bytes: String,
    result_bytes: String,
}

#[derive(Debug, Serialize)]
struct JsonProof {
    statements: Vec<String>,
    quorum_sets: Vec<String>,
}

/// An item.
#[derive(Debug, Serialize)]
struct CborLedger {
    header: ByteBuf,
    value: ByteBuf,
    transactions: Vec<ByteBuf>,
    results: Vec<ByteBuf>,
    proof: Option<CborProof>,
}

#[derive(Debug, Serialize)]
struct CborProof {
    statements: Vec<ByteBuf>,
    quorum_sets: Vec<ByteBuf>,
}

/// What is looked at in a line to go on after it.
#[derive(Debug, Deserialize)]
struct Begun {
    sequence: u64,
}

/// Writes the ledgers.
///
/// # Errors
/// When configuration or database cannot be read, or the output cannot be written.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    if args.resume && args.format == Format::Cbor {
        let message = "--resume goes on with JSON lines only: export CBOR anew, or from --from on into another file";
        return Err(CliError::new(Exit::Usage, message));
    }
    let config = args.source.config()?;
    let archive = args.source.archive(config.as_ref())?;
    let last = archive.reader().totals().map_err(failed)?.last_ledger;
    let to = args.to.unwrap_or(last);
    if args.from > to || to > last {
        let message = format!("there are no ledgers {} to {to}: the database holds 1 to {last}", args.from);
        return Err(CliError::new(Exit::Usage, message));
    }
    let (mut out, mut next) = output(args)?;
    let mut progress = Progress::new("exporting", "ledgers");
    while next <= to {
        let page = audit::read(archive.reader(), next, (to - next).saturating_add(1).min(PAGE)).map_err(failed)?;
        for stored in &page {
            out.write_all(&encoded(stored, args.format)?).map_err(writing)?;
        }
        // Whole ledgers only, as far as it depends on us.
        out.flush().map_err(writing)?;
        next = next.saturating_add(page.len() as u64);
        progress.at(next.saturating_sub(args.from), to.saturating_sub(args.from).saturating_add(1));
    }
    out.into_inner().map_err(|error| writing(error.into_error()))?.finish()?;
    Ok(Exit::Good)
}

fn writing(error: io::Error) -> CliError {
    // `fba ledger export … | head`
    if error.kind() == io::ErrorKind::BrokenPipe {
        return CliError::nobody_reads();
    }
    CliError::io("writing the ledgers", &error)
}

/// Where ledgers are written to.
enum Sink {
    Stdout(io::Stdout),
    File(File),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

impl Sink {
    fn finish(self) -> Result<(), CliError> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(file) => file.sync_all().map_err(writing),
        }
    }
}

/// Where to write, and the first ledger that is not there yet.
fn output(args: &Args) -> Result<(BufWriter<Sink>, u64), CliError> {
    let Some(path) = &args.output else { return Ok((BufWriter::new(Sink::Stdout(io::stdout())), args.from)) };
    let (file, next) = match args.resume {
        true => resumed(path, args.from)?,
        false => {
            let file = File::create_new(path).map_err(|error| not_made(path, &error))?;
            (file, args.from)
        }
    };
    Ok((BufWriter::new(Sink::File(file)), next))
}

fn not_made(path: &Path, error: &io::Error) -> CliError {
    let shown = path.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        let message =
            format!("{shown} exists, and is not overwritten: go on with it by --resume, or choose another name");
        return CliError::new(Exit::Io, message);
    }
    CliError::io(format_args!("making {shown}"), error)
}

/// Cuts off what is no whole line. The ledgers before it must be those from `from` on.
fn resumed(path: &Path, from: u64) -> Result<(File, u64), CliError> {
    let shown = path.display();
    let failed = |error: io::Error| CliError::io(format_args!("going on with {shown}"), &error);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let (mut next, mut whole) = (from, 0);
    let mut line = Vec::new();
    let mut reader = BufReader::new(&file);
    let foreign = |next: u64| {
        let message = format!(
            "{shown}: the line for ledger {next} is not one: it is no export from ledger {from} on; give the --from it \
             was begun with, or another file"
        );
        CliError::new(Exit::Data, message)
    };
    while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 && line.ends_with(b"\n") {
        let begun: Option<Begun> = serde_json::from_slice(&line).ok();
        if begun.is_none_or(|begun| begun.sequence != next) {
            return Err(foreign(next));
        }
        next = next.saturating_add(1);
        whole += line.len() as u64;
        line.clear();
    }
    // Only what an export of ours can have left is cut off.
    let beginning = format!("{{\"sequence\":{next},");
    if !line.starts_with(beginning.as_bytes()) && !beginning.as_bytes().starts_with(&line) {
        return Err(foreign(next));
    }
    file.set_len(whole).map_err(failed)?;
    file.seek(SeekFrom::End(0)).map_err(failed)?;
    Ok((file, next))
}

fn encoded(stored: &Stored, format: Format) -> Result<Vec<u8>, CliError> {
    match format {
        Format::Cbor => Ok(cbor::encode(&cbor_ledger(stored))),
        Format::Json => {
            let line = serde_json::to_string(&json_ledger(stored));
            let line = line.map_err(|error| CliError::new(Exit::Data, format_args!("a ledger is no JSON: {error}")))?;
            Ok(format!("{line}\n").into_bytes())
        }
    }
}

fn json_ledger(stored: &Stored) -> JsonLedger {
    let Stored { row, transactions, proof: kept } = stored;
    let transaction = |row: &crate::store::TransactionRow| JsonTransaction {
        transaction: http::transaction(&row.transaction, row.ledger, row.index, &row.result),
        bytes: hex::encode(row.transaction.bytes()),
        result_bytes: hex::encode(row.result.to_bytes()),
    };
    let proof = |proof: &Proof| JsonProof {
        statements: proof.statements.iter().map(|signed| hex::encode(wire::encode_statement(signed))).collect(),
        quorum_sets: proof.quorum_sets.iter().map(|set| hex::encode(wire::encode_quorum_set(set))).collect(),
    };
    JsonLedger {
        ledger: http::ledger(&row.header, row.transactions, row.failed),
        header_bytes: hex::encode(row.header.to_bytes()),
        value_bytes: hex::encode(row.value.as_bytes()),
        contents: transactions.iter().map(transaction).collect(),
        proof: kept.as_ref().map(proof),
    }
}

fn cbor_ledger(stored: &Stored) -> CborLedger {
    let Stored { row, transactions, proof: kept } = stored;
    let proof = |proof: &Proof| CborProof {
        statements: proof.statements.iter().map(|signed| ByteBuf::from(wire::encode_statement(signed))).collect(),
        quorum_sets: proof.quorum_sets.iter().map(|set| ByteBuf::from(wire::encode_quorum_set(set))).collect(),
    };
    CborLedger {
        header: ByteBuf::from(row.header.to_bytes()),
        value: ByteBuf::from(row.value.as_bytes()),
        transactions: transactions.iter().map(|row| ByteBuf::from(row.transaction.bytes())).collect(),
        results: transactions.iter().map(|row| ByteBuf::from(row.result.to_bytes())).collect(),
        proof: kept.as_ref().map(proof),
    }
}
