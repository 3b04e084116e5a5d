//! When nomination starts.

use crate::ledger::Parameters;
use std::time::Duration;

/// What the decision depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    /// Since the last close here.
    pub(crate) since_close: Duration,
    /// How much later than the agreed close time that was; see [`lateness`].
    pub(crate) late: Duration,
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
    let Circumstances { since_close, late, has_transactions } = circumstances;
    let since_agreed = since_close.saturating_add(late);
    if has_transactions && since_agreed >= interval(parameters) {
        Proposal::Transactions
    } else if since_agreed >= heartbeat(parameters) {
        Proposal::Heartbeat
    } else {
        Proposal::Wait
    }
}

/// How long after the last close here [`proposal`] will next say something else.
pub(crate) fn due(circumstances: Circumstances, parameters: &Parameters) -> Duration {
    let heartbeat = heartbeat(parameters);
    let since_agreed = if circumstances.has_transactions { interval(parameters).min(heartbeat) } else { heartbeat };
    since_agreed.saturating_sub(circumstances.late)
}

/// How much later than the agreed close time a ledger closed here, by our clock: what agreement took. The interval is
/// counted from the agreed close time, or each ledger would add what agreement takes to it.
///
/// Guarded against clocks that differ: at most half an interval, so that nomination never starts sooner than half an
/// interval after a close; nothing if the two are more than an interval apart, or if our clock is behind.
pub(crate) fn lateness(closed_unix_ms: u64, close_time_ms: u64, parameters: &Parameters) -> Duration {
    let late = closed_unix_ms.saturating_sub(close_time_ms);
    let is_credible = late <= parameters.close_interval_ms;
    Duration::from_millis(if is_credible { late.min(parameters.close_interval_ms / 2) } else { 0 })
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

    fn circumstances(since_close: u64, late: u64, has_transactions: bool) -> Circumstances {
        let (since_close, late) = (Duration::from_millis(since_close), Duration::from_millis(late));
        Circumstances { since_close, late, has_transactions }
    }

    #[test]
    fn transactions_wait_for_the_interval_and_an_empty_ledger_for_the_heartbeat() {
        let parameters = Parameters { close_interval_ms: 1_000, heartbeat_ms: 5_000, ..Parameters::default() };
        let at = |ms, has_transactions| proposal(circumstances(ms, 0, has_transactions), &parameters);
        assert_eq!(at(999, true), Proposal::Wait);
        assert_eq!(at(1_000, true), Proposal::Transactions);
        assert_eq!(at(4_999, false), Proposal::Wait);
        assert_eq!(at(5_000, false), Proposal::Heartbeat);
        assert_eq!(stuck_after(&parameters), Duration::from_secs(15));
    }

    #[test]
    fn the_interval_is_counted_from_the_agreed_close_time() {
        let parameters = Parameters { close_interval_ms: 1_000, heartbeat_ms: 5_000, ..Parameters::default() };
        let at = |ms, has_transactions| proposal(circumstances(ms, 12, has_transactions), &parameters);
        assert_eq!((at(987, true), at(988, true)), (Proposal::Wait, Proposal::Transactions));
        assert_eq!((at(4_987, false), at(4_988, false)), (Proposal::Wait, Proposal::Heartbeat));
        let due = |has_transactions| due(circumstances(0, 12, has_transactions), &parameters).as_millis();
        assert_eq!((due(true), due(false)), (988, 4_988));
    }

    #[test]
    fn clocks_that_differ_never_bring_nomination_forward_by_more_than_half_an_interval() {
        let parameters = Parameters { close_interval_ms: 1_000, ..Parameters::default() };
        let late = |closed, agreed| lateness(closed, agreed, &parameters).as_millis();
        assert_eq!(late(50_012, 50_000), 12);
        assert_eq!(late(50_499, 50_000), 499);
        assert_eq!((late(50_501, 50_000), late(51_000, 50_000)), (500, 500));
        assert_eq!(late(51_001, 50_000), 0, "more than an interval: one of the clocks is wrong");
        assert_eq!(late(49_000, 50_000), 0, "our clock is behind, or the proposer's ahead");
        let at_once = Parameters { close_interval_ms: 0, ..Parameters::default() };
        assert_eq!(lateness(50_012, 50_000, &at_once), Duration::ZERO);
    }
}
