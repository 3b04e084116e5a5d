//! How long an exact search may go on.

/// A number of search steps. One step costs at most one greatest-quorum computation, so time grows with the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    steps: u64,
}

/// The search was stopped before it knew the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not known within the steps allowed; allow more")]
pub struct OutOfBudget;

impl Budget {
    /// Enough for every network seen in the field so far, and about a second for a top tier of a few dozen nodes.
    pub const DEFAULT: Self = Self::steps(200_000);

    /// At most this many steps.
    #[must_use]
    pub const fn steps(steps: u64) -> Self {
        Self { steps }
    }

    /// How many steps are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.steps
    }

    /// Takes one step.
    pub(crate) fn step(&mut self) -> Result<(), OutOfBudget> {
        self.steps = self.steps.checked_sub(1).ok_or(OutOfBudget)?;
        Ok(())
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::DEFAULT
    }
}
