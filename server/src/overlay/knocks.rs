//! How often one party may begin a handshake. Sans-IO.
//!
//! A handshake costs a signature and a key agreement. Counted are neighbourhoods of addresses, those that have proven
//! their address (QUIC's Retry) apart from those that have not: whoever forges a victim's address uses up only what the
//! victim does not need, because it can still prove that it is there.

use super::registry::network;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Handshakes of one neighbourhood at once: a whole network on one machine that starts together.
const BURST: u32 = 256;
/// One more so often.
const EVERY: Duration = Duration::from_millis(50);
/// Neighbourhoods counted at the same time; each is forgotten as soon as all its handshakes are due again.
const NEIGHBOURHOODS_MAX: usize = 8_192;

/// A full table is swept so often: a flood of forged addresses must not make each packet cost a sweep.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

/// What to do with a newcomer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// Shake hands.
    Welcome,
    /// It must first prove its address.
    Prove,
    /// Turn it away.
    Refuse,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Knocks {
    /// When the last of the handshakes counted so far would have been due, had they come one [`EVERY`] after the other.
    due: BTreeMap<(u128, bool), Duration>,
    /// When the table was full and was last swept.
    swept: Option<Duration>,
}

impl Knocks {
    /// Somebody at `address` begins a handshake; `proven`: it is certainly there.
    pub(super) fn answer(&mut self, now: Duration, address: IpAddr, proven: bool) -> Answer {
        let key = (network(address), proven);
        if self.due.len() >= NEIGHBOURHOODS_MAX && self.swept.is_none_or(|swept| now >= swept + SWEPT_EVERY) {
            self.swept = Some(now);
            self.due.retain(|_, due| *due > now);
        }
        let crowded = !self.due.contains_key(&key) && self.due.len() >= NEIGHBOURHOODS_MAX;
        let due = self.due.get(&key).copied().unwrap_or(now).max(now) + EVERY;
        match (proven, crowded || due > now + EVERY * BURST) {
            (false, true) => Answer::Prove,
            // All of them have proven addresses: the limit of all handshakes together must do.
            (true, true) if crowded => Answer::Welcome,
            (true, true) => Answer::Refuse,
            (_, false) => {
                self.due.insert(key, due);
                Answer::Welcome
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn welcomed(knocks: &mut Knocks, now: Duration, address: IpAddr, proven: bool) -> usize {
        (0..10_000).take_while(|_| knocks.answer(now, address, proven) == Answer::Welcome).count()
    }

    #[test]
    fn a_neighbourhood_has_so_many_handshakes_at_once_and_then_one_now_and_then() {
        let (mut knocks, burst) = (Knocks::default(), BURST as usize);
        assert_eq!(welcomed(&mut knocks, Duration::ZERO, HERE, true), burst);
        let neighbour = "192.0.2.77".parse().unwrap();
        assert_eq!(knocks.answer(Duration::ZERO, neighbour, true), Answer::Refuse);
        assert_eq!(welcomed(&mut knocks, Duration::from_secs(1), HERE, true), 20);
        assert_eq!(welcomed(&mut knocks, Duration::from_secs(60), HERE, true), burst);
        assert_eq!(knocks.answer(Duration::from_secs(60), "192.0.3.1".parse().unwrap(), true), Answer::Welcome);
    }

    #[test]
    fn who_forges_an_address_does_not_lock_out_who_is_there() {
        let mut knocks = Knocks::default();
        welcomed(&mut knocks, Duration::ZERO, HERE, false);
        assert_eq!(knocks.answer(Duration::ZERO, HERE, false), Answer::Prove);
        assert_eq!(knocks.answer(Duration::ZERO, HERE, true), Answer::Welcome);
    }

    #[test]
    fn forged_addresses_do_not_grow_the_table() {
        let mut knocks = Knocks::default();
        for n in 0..100_000u32 {
            knocks.answer(Duration::ZERO, IpAddr::V4(std::net::Ipv4Addr::from_bits(n << 8)), false);
        }
        assert_eq!(knocks.due.len(), NEIGHBOURHOODS_MAX);
        assert_eq!(knocks.answer(Duration::ZERO, HERE, false), Answer::Prove);
        assert_eq!(knocks.answer(Duration::ZERO, HERE, true), Answer::Welcome);
        assert_eq!(knocks.answer(Duration::from_secs(60), HERE, false), Answer::Welcome);
        assert!(knocks.due.len() < 10);
    }
}
