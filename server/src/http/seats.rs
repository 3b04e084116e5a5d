//! Who may be connected: a number of connections in all, and a number per foreign address.

use crate::http::rates::origin;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Counts = Arc<Mutex<BTreeMap<IpAddr, usize>>>;

/// All seats.
pub(crate) struct Seats {
    all: Arc<Semaphore>,
    count: u32,
    per_address: usize,
    counts: Counts,
}

/// One connection's seat, given back when dropped.
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    counts: Counts,
    address: IpAddr,
}

impl Seats {
    pub(crate) fn new(all: usize, per_address: usize) -> Self {
        let count = u32::try_from(all).unwrap_or(u32::MAX);
        Self { all: Arc::new(Semaphore::new(all)), count, per_address, counts: Counts::default() }
    }

    /// Waits until nobody is connected any more.
    pub(crate) async fn all_left(&self) {
        drop(self.all.acquire_many(self.count).await.expect("the semaphore is never closed"));
    }

    /// Waits for a free seat.
    pub(crate) async fn any(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.all).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Gives the seat to `address`, unless it, or its IPv6 network of 64 bits, has its share. Loopback has no share: everything local looks like it.
    pub(crate) fn of_address(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Seat> {
        let address = origin(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = counts.get(&address).copied().unwrap_or(0);
        if taken >= self.per_address && !address.is_loopback() {
            return None;
        }
        counts.insert(address, taken + 1);
        Some(Seat { _permit: permit, counts: Arc::clone(&self.counts), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.address) {
            Some(taken) if *taken > 1 => *taken -= 1,
            Some(_) | None => drop(counts.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(seats: &Seats) -> OwnedSemaphorePermit {
        Arc::clone(&seats.all).try_acquire_owned().unwrap()
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_and_loopback_is_known_in_ipv6_too() {
        let seats = Seats::new(10, 1);
        let ask = |text: &str| seats.of_address(permit(&seats), text.parse().unwrap());
        let first = ask("2001:db8::1");
        assert!(first.is_some() && ask("2001:db8::2").is_none() && ask("2001:db8:0:1::1").is_some());
        let local = [ask("::ffff:127.0.0.1"), ask("::ffff:127.0.0.1"), ask("::1"), ask("::1")];
        assert!(local.iter().all(Option::is_some));
    }

    #[test]
    fn an_address_gets_its_share_and_loopback_all() {
        let seats = Seats::new(10, 2);
        let stranger: IpAddr = "192.0.2.1".parse().unwrap();
        let first = seats.of_address(permit(&seats), stranger);
        let second = seats.of_address(permit(&seats), stranger);
        assert!(first.is_some() && second.is_some());
        assert!(seats.of_address(permit(&seats), stranger).is_none());
        assert_eq!(seats.all.available_permits(), 8, "a refused connection gives its seat back");
        drop(first);
        assert!(seats.of_address(permit(&seats), stranger).is_some());
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let held: Vec<_> = (0..5).map(|_| seats.of_address(permit(&seats), local)).collect();
        assert!(held.iter().all(Option::is_some));
        drop((held, second));
        assert!(seats.counts.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }
}
