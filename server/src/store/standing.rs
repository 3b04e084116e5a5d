//! May this node vote? Decided once, at start, from what key, side file and database say about one another.
//!
//! A key must never vote where it may have voted differently before. So whatever does not fit is a loss: a node that
//! keeps silent for no reason costs a moment, a node that contradicts itself can fork the network.

use super::side_file::{Position, Recorded};
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
    /// How far the database says the key has voted; why not, if its votes cannot be read.
    pub(crate) database: Result<Position, String>,
}

/// The verdict. Read as a table: the first line that applies.
pub(crate) fn judge(facts: Facts) -> VoteStanding {
    let lost = |reason: String| VoteStanding::Lost { reason };
    let Facts { unused, recorded, database } = facts;
    let database = match database {
        Ok(position) => position,
        Err(reason) => return lost(format!("its saved votes cannot be read ({reason})")),
    };
    match recorded {
        Recorded::Unreadable => lost("the file last-signed is damaged".to_owned()),
        Recorded::At(side) if side.store != database.store => {
            lost("the database is not the one that voted last with this key".to_owned())
        }
        Recorded::At(side) if side.count > database.count => lost(format!(
            "the database is older than the newest votes of this key (slot {}, the database ends at slot {}): \
             it was restored from a copy",
            side.slot, database.slot
        )),
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

    fn at(store: u8, count: u64) -> Position {
        Position { store: [store; 16], count, slot: count }
    }

    fn judged(unused: bool, recorded: Recorded, database: Position) -> &'static str {
        match judge(Facts { unused, recorded, database: Ok(database) }) {
            VoteStanding::Fresh => "fresh",
            VoteStanding::Intact => "intact",
            VoteStanding::Lost { .. } => "lost",
        }
    }

    #[test]
    fn every_combination_of_mark_side_file_and_database_has_its_verdict() {
        use Recorded::{At, Missing, Unreadable};
        let table = [
            (true, Missing, at(1, 0), "fresh"),
            (true, Missing, at(1, 3), "lost"),
            (false, Missing, at(1, 0), "lost"),
            (false, Missing, at(1, 3), "lost"),
            (false, At(at(1, 3)), at(1, 3), "intact"),
            (false, At(at(1, 2)), at(1, 3), "intact"),
            (false, At(at(1, 4)), at(1, 3), "lost"),
            (false, At(at(2, 3)), at(1, 3), "lost"),
            (false, At(at(1, 3)), at(2, 0), "lost"),
            // The crash between making the side file and removing the mark.
            (true, At(at(1, 0)), at(1, 0), "intact"),
            (true, At(at(1, 3)), at(2, 0), "lost"),
            (true, Unreadable, at(1, 0), "lost"),
            (false, Unreadable, at(1, 3), "lost"),
        ];
        for (unused, recorded, database, verdict) in table {
            let row = format!("{unused} {recorded:?} {database:?}");
            assert_eq!(judged(unused, recorded, database), verdict, "{row}");
        }
        let unreadable = Facts { unused: true, recorded: Missing, database: Err("row 7".to_owned()) };
        assert!(judge(unreadable).is_lost());
    }
}
