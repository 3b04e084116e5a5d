//! When nomination starts.

use crate::ledger::Parameters;
use std::time::Duration;

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// Since the last close here.
    pub(crate) since_close: Duration,
    /// Is a transaction queued that may be valid?
    pub(crate) has_transactions: bool,
}

/// What to propose now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proposal {
    /// Not yet.
    Wait,
    /// The transactions queued.
    Transactions,
    /// An empty ledger, as a sign of life.
    Heartbeat,
}

/// Transactions when the interval has passed; an empty ledger when the heartbeat is due.
pub(crate) fn proposal(circumstances: Circumstances, parameters: &Parameters) -> Proposal {
    let Circumstances { since_close, has_transactions } = circumstances;
    if has_transactions && since_close >= interval(parameters) {
        Proposal::Transactions
    } else if since_close >= heartbeat(parameters) {
        Proposal::Heartbeat
    } else {
        Proposal::Wait
    }
}

/// How long after the last close [`proposal`] will next say something else.
pub(crate) fn due(circumstances: Circumstances, parameters: &Parameters) -> Duration {
    if circumstances.has_transactions { interval(parameters).min(heartbeat(parameters)) } else { heartbeat(parameters) }
}

/// No close for this long: the node is stuck.
pub(crate) fn stuck_after(parameters: &Parameters) -> Duration {
    (interval(parameters) * 7).max(heartbeat(parameters) * 2 + Duration::from_secs(5))
}

fn interval(parameters: &Parameters) -> Duration {
    Duration::from_millis(parameters.close_interval_ms)
}

fn heartbeat(parameters: &Parameters) -> Duration {
    Duration::from_millis(parameters.heartbeat_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_wait_for_the_interval_and_an_empty_ledger_for_the_heartbeat() {
        let parameters = Parameters { close_interval_ms: 1_000, heartbeat_ms: 5_000, ..Parameters::default() };
        let at = |ms, has_transactions| {
            let since_close = Duration::from_millis(ms);
            proposal(Circumstances { since_close, has_transactions }, &parameters)
        };
        assert_eq!(at(999, true), Proposal::Wait);
        assert_eq!(at(1_000, true), Proposal::Transactions);
        assert_eq!(at(4_999, false), Proposal::Wait);
        assert_eq!(at(5_000, false), Proposal::Heartbeat);
        assert_eq!(stuck_after(&parameters), Duration::from_secs(15));
    }
}
