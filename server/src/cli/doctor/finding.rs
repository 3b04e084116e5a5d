//! What one check found.

use serde::Serialize;

/// How well a thing is, best first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but should be looked into.
    Warn,
    /// Does not work, or will not.
    Fail,
}

impl Verdict {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// What one check found, and what to do about it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) says: String,
    /// What to do, unless it is well.
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl ToString) -> Self {
        Self { check, verdict: Verdict::Ok, says: says.to_string(), fix: None }
    }

    pub(super) fn warn(check: &'static str, says: impl ToString, fix: impl ToString) -> Self {
        Self { check, verdict: Verdict::Warn, says: says.to_string(), fix: Some(fix.to_string()) }
    }

    pub(super) fn fail(check: &'static str, says: impl ToString, fix: impl ToString) -> Self {
        Self { check, verdict: Verdict::Fail, says: says.to_string(), fix: Some(fix.to_string()) }
    }
}
