//! `[overlay]`: whom this node connects to besides those it trusts, and whom it lets in.

use super::error::Problem;
use super::names::{HostPort, shortened};
use super::source::Problems;
use super::{Peer, all};
use crate::key::node_from_strkey;
use serde::Deserialize;
use std::ops::RangeInclusive;
use toml::Spanned;

/// As written. Everything is optional.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOverlay {
    target_outbound: Option<Spanned<u32>>,
    max_inbound: Option<Spanned<u32>>,
    #[serde(default)]
    preferred_peers: Vec<Spanned<String>>,
    peers_only: Option<bool>,
}

/// Links are cheap, but every vote is flooded over each of them.
const TARGET_OUTBOUND: RangeInclusive<u32> = 0..=64;
/// The same, and each link may have some MiB under way.
const MAX_INBOUND: RangeInclusive<u32> = 0..=1_000;

/// How this node takes part in the overlay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverlaySettings {
    /// If fewer links than this are to nodes we have dialled or depend on, others that are known are dialled.
    pub target_outbound: usize,
    /// Seats for strangers that dial us.
    pub max_inbound: usize,
    /// Nobody but listed peers and members of our own quorum set is spoken to.
    pub peers_only: bool,
}

impl Default for OverlaySettings {
    fn default() -> Self {
        Self { target_outbound: 8, max_inbound: 64, peers_only: false }
    }
}

/// The checked settings, the default where nothing is written, and the preferred peers.
pub(super) fn read(raw: Option<&RawOverlay>, problems: &mut Problems<'_>) -> (OverlaySettings, Vec<Peer>) {
    let (nothing, default) = (RawOverlay::default(), OverlaySettings::default());
    let raw = raw.unwrap_or(&nothing);
    let mut number = |key: &'static str, given: &Option<Spanned<u32>>, allowed: RangeInclusive<u32>, default: usize| {
        let Some(given) = given else { return default };
        let (value, least, most) = (*given.get_ref(), *allowed.start(), *allowed.end());
        if !allowed.contains(&value) {
            let (value, least, most) = (u64::from(value), u64::from(least), u64::from(most));
            problems.at(&given.span(), Problem::OutOfRange { key, value, least, most });
        }
        value as usize
    };
    let settings = OverlaySettings {
        target_outbound: number("target_outbound", &raw.target_outbound, TARGET_OUTBOUND, default.target_outbound),
        max_inbound: number("max_inbound", &raw.max_inbound, MAX_INBOUND, default.max_inbound),
        peers_only: raw.peers_only.unwrap_or(default.peers_only),
    };
    (settings, all(problems, &raw.preferred_peers, preferred))
}

/// `G…@host:port`: with the key, because a seat is kept for it.
fn preferred(text: &str) -> Result<Peer, Problem> {
    let Some((key, address)) = text.split_once('@') else {
        return Err(Problem::NotAPreferredPeer(shortened(text)));
    };
    let key = node_from_strkey(key).map_err(Problem::Key)?;
    Ok(Peer { address: HostPort::parse("preferred_peers", address)?, key: Some(key) })
}
