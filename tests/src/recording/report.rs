//! What a judge found, for people.

use super::{Contradiction, KeyCounts, Rule};
use fba_core::{NodeId, Pledge};
use fba_server::key::node_strkey;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// How many contradictions are written out; the rest is only counted.
const SHOWN_MAX: usize = 20;

/// How many gaps of one key are written out.
const GAPS_SHOWN_MAX: usize = 8;

/// The verdict over some recordings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Were signatures checked?
    pub signatures_checked: bool,
    /// Statements left out because their signature is not genuine.
    pub forged: u64,
    /// Recordings that end in a torn record, and how many bytes of it there are.
    pub torn: Vec<(PathBuf, u64)>,
    /// What each key said.
    pub keys: BTreeMap<NodeId, KeyCounts>,
    /// What no honest node says.
    pub contradictions: Vec<Contradiction>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, bytes) in &self.torn {
            writeln!(f, "{}: the last record is torn ({bytes} bytes left out)", path.display())?;
        }
        for (node, counts) in &self.keys {
            key(f, *node, counts)?;
        }
        match (self.signatures_checked, self.forged) {
            (true, 0) => writeln!(f, "every signature is genuine")?,
            (true, forged) => writeln!(f, "{forged} statements left out: their signature is not genuine")?,
            (false, _) => writeln!(f, "signatures not checked: give --genesis or --passphrase")?,
        }
        self.contradictions.iter().take(SHOWN_MAX).try_for_each(|found| contradiction(f, found))?;
        let statements: u64 = self.keys.values().map(|counts| counts.ballots).sum();
        let (found, keys) = (self.contradictions.len(), self.keys.len());
        write!(f, "{found} contradictions among {statements} ballot statements of {keys} keys")
    }
}

fn key(f: &mut fmt::Formatter<'_>, node: NodeId, counts: &KeyCounts) -> fmt::Result {
    let KeyCounts { records, nominations, unordered_nominations, ballots, slots, gaps } = counts;
    write!(f, "{}: {records} records, {nominations} nominations", node_strkey(node))?;
    if *unordered_nominations > 0 {
        write!(f, " ({unordered_nominations} pairs out of order)")?;
    }
    write!(f, ", {ballots} ballot statements")?;
    if let Some((first, last)) = slots {
        write!(f, " on slots {first} to {last}")?;
    }
    if !gaps.is_empty() {
        let shown =
            |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}–{last}") };
        let list: Vec<String> = gaps.iter().take(GAPS_SHOWN_MAX).map(shown).collect();
        let more = if gaps.len() > GAPS_SHOWN_MAX { ", …" } else { "" };
        write!(f, ", none on {}{more}", list.join(", "))?;
    }
    writeln!(f)
}

fn contradiction(f: &mut fmt::Formatter<'_>, found: &Contradiction) -> fmt::Result {
    let rule = match found.rule {
        Rule::NeitherIsNewer => "neither statement is newer than the other",
        Rule::TwoValues => "bound to two values",
    };
    writeln!(f, "{} contradicts itself on slot {}: {rule}", node_strkey(found.node), found.slot)?;
    for statement in [&found.one, &found.other] {
        writeln!(f, "  {}, quorum set {}", pledge(&statement.pledge), statement.quorum_set)?;
    }
    Ok(())
}

fn pledge(pledge: &Pledge) -> String {
    match pledge {
        Pledge::Nominate { voted, accepted } => format!("NOMINATE voted {voted:?} accepted {accepted:?}"),
        Pledge::Prepare { ballot, prepared, prepared_prime, commit, high } => {
            format!("PREPARE {ballot:?} prepared {prepared:?} prepared' {prepared_prime:?} commit {commit} high {high}")
        }
        Pledge::Confirm { ballot, prepared, commit, high } => {
            format!("CONFIRM {ballot:?} prepared {prepared} commit {commit} high {high}")
        }
        Pledge::Externalize { commit, high } => format!("EXTERNALIZE {commit:?} high {high}"),
    }
}
