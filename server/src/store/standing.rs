//! May this node vote? Decided once, at start, from what key, side file and database say about one another.
//!
//! A key must never vote where it may have voted differently before. So whatever does not fit is a loss: a node that
//! keeps silent for no reason costs a moment, a node that contradicts itself can fork the network.

use super::side_file::{Position, Recorded, Run};
use std::fmt;

/// May this node vote?
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VoteStanding {
    /// Yes: the key has never voted.
    Fresh,
    /// Yes: every vote of the key is at hand.
    Intact,
    /// Not until the network has moved past every slot the key may have voted in; see [`super::Store::resume_voting`].
    Lost {
        /// What does not fit, for the operator.
        reason: String,
    },
}

impl VoteStanding {
    /// Has something been lost?
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

impl fmt::Display for VoteStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh => f.write_str("may vote: the key has never voted"),
            Self::Intact => f.write_str("may vote: every vote of the key is known"),
            Self::Lost { reason } => write!(f, "must not vote: {reason}"),
        }
    }
}

/// What is known at start.
pub(crate) struct Facts {
    /// Is the mark of an unused key there?
    pub(crate) unused: bool,
    /// What the side file says.
    pub(crate) recorded: Recorded,
    /// The run of the system.
    pub(crate) run: Run,
    /// How far the database says the key has voted; why not, if its votes cannot be read.
    pub(crate) database: Result<Position, String>,
}

/// The verdict. Read as a table: the first line that applies.
pub(crate) fn judge(facts: Facts) -> VoteStanding {
    let lost = |reason: String| VoteStanding::Lost { reason };
    let Facts { unused, recorded, run, database } = facts;
    let database = match database {
        Ok(position) => position,
        Err(reason) => return lost(format!("its saved votes cannot be read ({reason})")),
    };
    match recorded {
        Recorded::Unreadable => lost("the file last-signed is damaged".to_owned()),
        Recorded::At(side) if side.synced.store != database.store => {
            lost("the database is not the one that voted last with this key".to_owned())
        }
        Recorded::At(side) if side.synced.count > database.count => lost(format!(
            "the database is older than the newest votes of this key (slot {}, the database ends at slot {}): \
             it was restored from a copy, or the end of its log is damaged",
            side.synced.slot, database.slot
        )),
        Recorded::At(side) if side.run.lasts_until(run) && side.written > database.count => lost(
            "the database lacks votes written since the system was started: the end of its log is damaged".to_owned(),
        ),
        Recorded::At(_) => VoteStanding::Intact,
        Recorded::Missing if unused && database.count == 0 => VoteStanding::Fresh,
        Recorded::Missing if unused => lost("the file last-signed is missing, and the database holds votes".to_owned()),
        Recorded::Missing => lost(
            "the key may have voted before (its .unused mark is gone), and the file last-signed, which would tell how \
             far, is missing"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::side_file::Marks;

    fn at(store: u8, count: u64) -> Position {
        Position { store: [store; 16], count, slot: count }
    }

    fn marks(store: u8, count: u64) -> Recorded {
        written(store, count, count, "now")
    }

    fn written(store: u8, count: u64, written: u64, run: &str) -> Recorded {
        Recorded::At(Marks { synced: at(store, count), written, run: Run::named(run) })
    }

    fn judged(unused: bool, recorded: Recorded, database: Position) -> &'static str {
        match judge(Facts { unused, recorded, run: Run::named("now"), database: Ok(database) }) {
            VoteStanding::Fresh => "fresh",
            VoteStanding::Intact => "intact",
            VoteStanding::Lost { .. } => "lost",
        }
    }

    #[test]
    fn every_combination_of_mark_side_file_and_database_has_its_verdict() {
        use Recorded::{Missing, Unreadable};
        let table = [
            (true, Missing, at(1, 0), "fresh"),
            (true, Missing, at(1, 3), "lost"),
            (false, Missing, at(1, 0), "lost"),
            (false, Missing, at(1, 3), "lost"),
            (false, marks(1, 3), at(1, 3), "intact"),
            (false, marks(1, 2), at(1, 3), "intact"),
            (false, marks(1, 4), at(1, 3), "lost"),
            (false, marks(2, 3), at(1, 3), "lost"),
            (false, marks(1, 3), at(2, 0), "lost"),
            // Votes that were written and not synced: only a power cut may take them.
            (false, written(1, 2, 4, "now"), at(1, 4), "intact"),
            (false, written(1, 2, 4, "now"), at(1, 3), "lost"),
            (false, written(1, 2, 4, "before"), at(1, 3), "intact"),
            (false, written(1, 4, 4, "before"), at(1, 3), "lost"),
            // The crash between making the side file and removing the mark.
            (true, marks(1, 0), at(1, 0), "intact"),
            (true, marks(1, 3), at(2, 0), "lost"),
            (true, Unreadable, at(1, 0), "lost"),
            (false, Unreadable, at(1, 3), "lost"),
        ];
        for (unused, recorded, database, verdict) in table {
            let row = format!("{unused} {recorded:?} {database:?}");
            assert_eq!(judged(unused, recorded, database), verdict, "{row}");
        }
        let database = Err("row 7".to_owned());
        let unreadable = Facts { unused: true, recorded: Missing, run: Run::named("now"), database };
        assert!(judge(unreadable).is_lost());
    }
}
