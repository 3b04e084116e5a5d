//! The shape of a configuration file, as written. Everything has a span, so that every complaint has a line.

use super::http_limits::RawHttpLimits;
use super::overlay::RawOverlay;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) node_seed_file: Option<Spanned<String>>,
    pub(super) node_public_key: Option<Spanned<String>>,
    pub(super) node_name: Option<Spanned<String>>,
    pub(super) node_is_validator: Option<Spanned<bool>>,
    pub(super) home_domain: Option<Spanned<String>>,
    pub(super) network_passphrase: Option<Spanned<String>>,
    pub(super) genesis: Option<Spanned<String>>,
    pub(super) listen: Option<Spanned<String>>,
    pub(super) public_address: Option<Spanned<String>>,
    pub(super) http: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) http_hosts: Vec<Spanned<String>>,
    pub(super) http_limits: Option<RawHttpLimits>,
    pub(super) data_dir: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) known_peers: Vec<Spanned<String>>,
    pub(super) overlay: Option<RawOverlay>,
    #[serde(default)]
    pub(super) accept_unsafe: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) organization: Vec<Spanned<RawOrganization>>,
    #[serde(default)]
    pub(super) validator: Vec<Spanned<RawValidator>>,
    pub(super) quorum_set: Option<Spanned<RawQuorumSet>>,
    #[serde(default)]
    pub(super) history: RawHistory,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHistory {
    pub(super) proofs: Option<Spanned<toml::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOrganization {
    pub(super) home_domain: Option<Spanned<String>>,
    pub(super) quality: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawValidator {
    pub(super) name: Option<Spanned<String>>,
    pub(super) home_domain: Option<Spanned<String>>,
    pub(super) public_key: Option<Spanned<String>>,
    pub(super) address: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuorumSet {
    pub(super) threshold: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) validators: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) inner: Vec<Spanned<RawQuorumSet>>,
}
