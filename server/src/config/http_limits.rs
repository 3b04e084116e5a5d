//! `[http_limits]`: what clients may ask of this node's HTTP side.

use super::error::Problem;
use super::source::Problems;
use crate::http::Limits;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use toml::Spanned;

/// As written. Every number is optional.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttpLimits {
    connections: Option<Spanned<u32>>,
    connections_per_address: Option<Spanned<u32>>,
    event_streams: Option<Spanned<u32>>,
    requests_per_second: Option<Spanned<u32>>,
    submissions_per_second: Option<Spanned<u32>>,
    limit_loopback: Option<bool>,
}

/// Each connection is a file descriptor and at worst about 40 KiB.
const CONNECTIONS: RangeInclusive<u32> = 1..=10_000;
/// Each stream holds a connection for good.
const EVENT_STREAMS: RangeInclusive<u32> = 0..=5_000;
/// Beyond it a rate is no limit.
const RATE: RangeInclusive<u32> = 1..=1_000_000;

/// The checked limits; the default where nothing is written.
pub(super) fn read(raw: Option<&RawHttpLimits>, problems: &mut Problems<'_>) -> Limits {
    let (nothing, default) = (RawHttpLimits::default(), Limits::default());
    let raw = raw.unwrap_or(&nothing);
    let mut number = |key: &'static str, given: &Option<Spanned<u32>>, allowed: RangeInclusive<u32>| {
        let given = given.as_ref()?;
        let value = *given.get_ref();
        if allowed.contains(&value) {
            return Some(value);
        }
        let (least, most) = allowed.into_inner();
        problems.at(
            &given.span(),
            Problem::OutOfRange { key, value: u64::from(value), least: u64::from(least), most: u64::from(most) },
        );
        None
    };
    let count = |number: Option<u32>, default: usize| number.map_or(default, |number| number as usize);
    let rate = |number: Option<u32>, default| number.and_then(NonZeroU32::new).unwrap_or(default);
    Limits {
        connections: count(number("connections", &raw.connections, CONNECTIONS), default.connections),
        connections_per_address: count(
            number("connections_per_address", &raw.connections_per_address, CONNECTIONS),
            default.connections_per_address,
        ),
        event_streams: count(number("event_streams", &raw.event_streams, EVENT_STREAMS), default.event_streams),
        requests_per_second: rate(
            number("requests_per_second", &raw.requests_per_second, RATE),
            default.requests_per_second,
        ),
        submissions_per_second: rate(
            number("submissions_per_second", &raw.submissions_per_second, RATE),
            default.submissions_per_second,
        ),
        limit_loopback: raw.limit_loopback.unwrap_or(default.limit_loopback),
        ..default
    }
}
