//! A disk that is full: a server's data folder on a small file system of its own.
//!
//! The server must end, with an error that says what is missing, before it says anything it could not store. Nothing
//! may be corrupt, and with room made it must come back and vote.

use super::spread::Spread;
use super::stage::{Evidence, Setting, Stage, VALIDATORS, unix_ms};
use super::stored::{StoredVotes, copy_folder};
use super::{Messages, Verdict, violations};
use crate::cluster::Shape;
use fba_core::SlotIndex;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The whole disk.
const DISK_MIB: usize = 16;

/// Room left when the disk is filled up: none up to this many bytes. SQLite's log asks for more within seconds.
const LEFT_MAX: usize = 512 << 10;

/// Written at once when the disk is filled up.
const PIECE: usize = 64 << 10;

/// What fills it.
const FILLER: &str = "filler";

/// What a server said just before its end may still be on its way to the follower.
const ON_ITS_WAY_MS: u64 = 500;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many times the disk is filled up.
    pub cases: usize,
    /// Decides how much room is left.
    pub seed: u64,
    /// Accounts that pay, one transaction after another.
    pub payers: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// How many times the disk was full.
    pub cases: usize,
    /// Starts on the full disk.
    pub starts: Messages,
    /// Slots whose newest ballot statement was looked for in the database.
    pub looked_for: usize,
    /// From the start with room until it was heard voting again.
    pub voting: Spread,
    /// With what the server ended.
    pub messages: Messages,
    /// What must not be.
    pub violations: Vec<String>,
    /// What holds for every fault.
    pub evidence: Evidence,
}

impl Verdict for Figures {
    fn holds(&self) -> bool {
        let all = self.voting.len() == self.cases && self.messages.count() == self.cases;
        self.violations.is_empty() && self.evidence.holds() && all
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, starts, looked_for, voting, messages, violations: broken, evidence } = self;
        violations(f, broken)?;
        write!(f, "{evidence}")?;
        writeln!(f, "disk of {DISK_MIB} MiB full     {cases} times")?;
        writeln!(f, "votes looked for        {looked_for} slots, all violations above: {}", broken.len())?;
        writeln!(f, "voting again after      {voting}")?;
        writeln!(f, "exit code and message:\n{messages}started on the full disk:")?;
        write!(f, "{starts}")
    }
}

/// Runs the plan on a network made in `folder` of `program`, the `fba` command. `tell` hears of each case. Mounts a
/// file system: to be called in a mount namespace of its own.
///
/// # Errors
/// When the file system cannot be mounted, or its files cannot be written.
///
/// # Panics
/// When the network does not do what it must in time.
pub fn run(program: &Path, folder: &Path, plan: Plan, mut tell: impl FnMut(&str)) -> io::Result<Figures> {
    let mut stage = Stage::set(program, folder, Setting { shape: Shape::FOUR, payers: plan.payers, seed: plan.seed });
    let index = stage.chance.below(VALIDATORS);
    let disk = move_to_a_disk(&mut stage, index)?;
    let mut filling = Filling {
        stage,
        index,
        filler: disk.join(FILLER),
        starts: Messages::default(),
        looked_for: 0,
        voting: Spread::default(),
        messages: Messages::default(),
        violations: Vec::new(),
    };
    for case in 1..=plan.cases {
        let told = filling.case()?;
        tell(&format!("case {case} of {}: {told}", plan.cases));
    }
    let Filling { stage, starts, looked_for, voting, messages, violations, .. } = filling;
    // The last look at its ledgers needs the server; a file system in use cannot be unmounted.
    let mut unmounted = Ok(());
    let evidence = stage.finish_then(|stage| {
        stage.cluster.kill(index);
        unmounted = unmount(&disk);
    });
    unmounted?;
    Ok(Figures { cases: plan.cases, starts, looked_for, voting, messages, violations, evidence })
}

/// Puts a server's data folder on a disk of its own, with all that is in it.
fn move_to_a_disk(stage: &mut Stage, index: usize) -> io::Result<PathBuf> {
    assert!(stage.cluster.stop(index), "{} stops cleanly", stage.name(index));
    let data = stage.data_folder(index);
    let aside = data.with_file_name("data-before");
    std::fs::rename(&data, &aside)?;
    std::fs::create_dir(&data)?;
    let size = format!("size={DISK_MIB}m,mode=0700");
    command(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&data))?;
    copy_folder(&aside, &data)?;
    let returning = stage.start(index);
    let _ = stage.await_vote(&returning);
    Ok(data)
}

fn unmount(disk: &Path) -> io::Result<()> {
    command(Command::new("umount").arg(disk))
}

fn command(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
}

struct Filling {
    stage: Stage,
    index: usize,
    filler: PathBuf,
    starts: Messages,
    looked_for: usize,
    voting: Spread,
    messages: Messages,
    violations: Vec<String>,
}

impl Filling {
    fn case(&mut self) -> io::Result<String> {
        let index = self.index;
        let phase = self.stage.await_phase(index);
        let length = self.stage.log_length(index);
        let left = self.stage.chance.below(LEFT_MAX);
        self.fill(left)?;
        let code = self.stage.await_end(index).and_then(|status| status.code());
        self.ended(code, length);
        self.look_for_votes();
        self.start_on_the_full_disk();
        std::fs::remove_file(&self.filler)?;
        let returning = self.stage.start(index);
        let voting = self.stage.await_vote(&returning);
        self.voting.add(voting);
        let name = self.stage.name(index);
        Ok(format!("{name} in {phase} with {left} bytes left; voting after {:.2} s", voting.as_secs_f64()))
    }

    /// Fills the disk up to the last `left` bytes.
    fn fill(&self, left: usize) -> io::Result<()> {
        let (mut file, mut written) = (File::create(&self.filler)?, 0);
        let piece = [b'x'; PIECE];
        loop {
            match file.write(&piece) {
                Ok(0) => break,
                Ok(count) => written += count as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
        file.set_len(written.saturating_sub(left as u64))
    }

    fn ended(&mut self, code: Option<i32>, length: u64) {
        let complaint = self.stage.complaint(self.index, length);
        if let Some(panicked) = self.stage.panicked(self.index, length) {
            self.violations.push(panicked);
        }
        match (code, complaint) {
            (Some(code @ 1..), Some(complaint)) => self.messages.add(format!("{code}: {complaint}")),
            (code, complaint) => self.violations.push(format!("on the full disk: exit {code:?}, {complaint:?}")),
        }
    }

    /// Whatever the follower heard from it must be in its database.
    fn look_for_votes(&mut self) {
        self.stage.await_recorded(unix_ms() + ON_ITS_WAY_MS);
        let heard = self.stage.tail.ballots_of(self.stage.node(self.index));
        let stored = StoredVotes::read(&self.stage.data_folder(self.index));
        self.looked_for += heard.range(SlotIndex(stored.last_ledger)..).count();
        for statement in stored.forgotten(&heard) {
            self.violations.push(format!("it said what is not in its database: {statement:?}"));
        }
    }

    /// Refused, or served until the next commit.
    fn start_on_the_full_disk(&mut self) {
        let length = self.stage.log_length(self.index);
        let how = match self.stage.cluster.try_start_node(self.index, &[]) {
            Ok(()) => {
                let _ = self.stage.await_end(self.index);
                "started, and ended"
            }
            Err(_) => "refused",
        };
        match self.stage.complaint(self.index, length) {
            Some(complaint) => self.starts.add(format!("{how}: {complaint}")),
            None => self.violations.push(format!("{how} on the full disk, and did not say why")),
        }
    }
}
