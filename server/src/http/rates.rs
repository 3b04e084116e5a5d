//! How often one address may ask: a bucket per address, refilled at a steady rate, and a smaller one for submissions.

use crate::http::Limits;
use crate::http::error::ApiError;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use warp::http::StatusCode;

/// Addresses remembered, for about 100 bytes each. Who comes when so many have asked within the last seconds shares one
/// bucket with everybody, until some have been forgotten: an address is as new again two seconds after it fell silent.
const ADDRESSES_MAX: usize = 10_000;
/// Forgetting looks at every address: not more often than this.
const FORGET_EVERY: Duration = Duration::from_millis(500);
/// A bucket holds so many seconds' worth of requests.
const BURST_SECONDS: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");

/// The buckets of all addresses.
pub(crate) struct Rates {
    requests: Buckets,
    submissions: Buckets,
    loopback: bool,
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            requests: Buckets::new(limits.requests_per_second),
            submissions: Buckets::new(limits.submissions_per_second),
            loopback: limits.limit_loopback,
        }
    }

    /// May `from` ask now? A submission needs a place in both buckets.
    pub(crate) fn check(&self, from: IpAddr, is_submission: bool) -> Result<(), ApiError> {
        let from = origin(from);
        // Everything local, a proxy among it, looks like one address; what it may do is its operator's business.
        if from.is_loopback() && !self.loopback {
            return Ok(());
        }
        self.requests.take(from).map_err(|wait| too_often(wait, self.requests.per_second, "requests"))?;
        if is_submission {
            self.submissions.take(from).map_err(|wait| too_often(wait, self.submissions.per_second, "submissions"))?;
        }
        Ok(())
    }
}

fn too_often(wait: Duration, per_second: NonZeroU32, what: &str) -> ApiError {
    let message = format!("one address may make {per_second} {what} a second; wait and send it again");
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
    error.retry_after(wait.as_secs().saturating_add(1))
}

/// Whom a bucket or a share of the connections belongs to: an IPv4 address, or an IPv6 network of 64 bits, which one customer has for itself.
pub(super) fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    }
}

struct Buckets {
    per_second: NonZeroU32,
    own: DefaultKeyedRateLimiter<IpAddr>,
    /// Of everybody for whom there is no room.
    shared: DefaultDirectRateLimiter,
    clock: DefaultClock,
    forgot: Mutex<Instant>,
}

impl Buckets {
    fn new(per_second: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(per_second.saturating_mul(BURST_SECONDS));
        Self {
            per_second,
            own: RateLimiter::keyed(quota),
            shared: RateLimiter::direct(quota),
            clock: DefaultClock::default(),
            forgot: Mutex::new(Instant::now()),
        }
    }

    /// Takes a place; if there is none, says how long until there is.
    fn take(&self, from: IpAddr) -> Result<(), Duration> {
        let wait = |until: governor::NotUntil<_>| until.wait_time_from(self.clock.now());
        if self.has_room() { self.own.check_key(&from).map_err(wait) } else { self.shared.check().map_err(wait) }
    }

    fn has_room(&self) -> bool {
        if self.own.len() < ADDRESSES_MAX {
            return true;
        }
        let mut forgot = self.forgot.lock().unwrap_or_else(PoisonError::into_inner);
        if forgot.elapsed() < FORGET_EVERY {
            return false;
        }
        *forgot = Instant::now();
        self.own.retain_recent();
        self.own.len() < ADDRESSES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(requests: u32, submissions: u32, loopback: bool) -> Rates {
        let number = |n| NonZeroU32::new(n).unwrap();
        Rates::new(&Limits {
            requests_per_second: number(requests),
            submissions_per_second: number(submissions),
            limit_loopback: loopback,
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_its_burst_and_then_an_error_that_says_when() {
        let rates = rates(1, 1, false);
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        assert!(rates.check(one, false).is_ok() && rates.check(one, false).is_ok());
        let error = rates.check(one, false).expect_err("the bucket is empty");
        assert_eq!((error.status.as_u16(), error.code.as_str()), (429, "too_many_requests"));
        assert!(error.retry_after_s.is_some_and(|seconds| (1..=2).contains(&seconds)), "{error:?}");
        assert!(rates.check(other, false).is_ok(), "each has its own");
    }

    #[test]
    fn submissions_have_a_smaller_bucket_of_their_own() {
        let rates = rates(100, 1, false);
        let from = ip("192.0.2.1");
        assert!((0..2).all(|_| rates.check(from, true).is_ok()));
        assert!(rates.check(from, true).is_err());
        assert!(rates.check(from, false).is_ok());
    }

    #[test]
    fn loopback_is_limited_only_if_asked_for() {
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let free = rates(1, 1, false);
            assert!((0..100).all(|_| free.check(ip(text), true).is_ok()), "{text}");
            let limited = rates(1, 1, true);
            assert!(!(0..100).all(|_| limited.check(ip(text), true).is_ok()), "{text}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_bucket() {
        let rates = rates(1, 1, false);
        assert!(rates.check(ip("2001:db8::1"), false).is_ok() && rates.check(ip("2001:db8::2"), false).is_ok());
        assert!(rates.check(ip("2001:db8::3"), false).is_err());
        assert!(rates.check(ip("2001:db8:0:1::3"), false).is_ok());
    }

    #[test]
    fn memory_is_bounded_whoever_asks() {
        let rates = rates(1, 1, false);
        let ask = |n: u32| rates.check(IpAddr::V4(n.into()), false);
        let refused = (1..=2 * u32::try_from(ADDRESSES_MAX).unwrap()).filter(|n| ask(0x0b00_0000 + n).is_err()).count();
        assert!(rates.requests.own.len() <= ADDRESSES_MAX);
        assert!(refused > 0, "those for whom there is no room share one bucket");
    }
}
