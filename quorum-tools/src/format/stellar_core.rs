//! The JSON of stellar-core's `quorum?transitive=true&fullkeys=true`, which its `check-quorum-intersection` reads, and
//! which `GET /v1/quorum?transitive=true` of an `fba` node has, too.
//!
//! `{"nodes": [{"node": "G…", "qset": {"t": 2, "v": ["G…", {"t": …, "v": […]}]}, …}]}`. A `qset` that is missing, `null`
//! or a word is not known. Everything else in it is ignored.

use crate::{Network, NetworkError};
use fba_core::{NodeId, QuorumSet, QuorumSetError};
use serde::Deserialize;

/// Most bytes read: a thousand nodes with a thousand validators each fit.
pub const BYTES_MAX: usize = 128 << 20;

/// Deepest nesting of quorum sets; the protocol allows four levels.
const DEPTH_MAX: usize = 8;

/// Why the JSON describes no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Too long to be one.
    #[error("{0} bytes, and at most {BYTES_MAX} are read; is it the right file?")]
    TooLong(usize),
    /// Not JSON, or of another form.
    #[error("not the answer to stellar-core's `quorum?transitive=true`: {0}")]
    Json(#[from] serde_json::Error),
    /// Not a public key.
    #[error(
        "{key:?} in {place} is not a public key, which has 56 characters and begins with G; ask stellar-core with \
         `fullkeys=true`"
    )]
    Key {
        /// What is there, shortened.
        key: String,
        /// Where it is.
        place: String,
    },
    /// Nested too deeply.
    #[error("the quorum set of {0} has more than {DEPTH_MAX} levels")]
    TooDeep(String),
    /// Breaks a rule every quorum set obeys.
    #[error("the quorum set of {node} is refused: {source}")]
    QuorumSet {
        /// Whose.
        node: String,
        /// The rule.
        source: QuorumSetError,
    },
    /// Not a network.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

#[derive(Deserialize)]
struct Answer {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    node: String,
    #[serde(default)]
    qset: Option<Known>,
}

/// stellar-core writes a word, such as `unknown`, for a set it does not know.
#[derive(Deserialize)]
#[serde(untagged)]
enum Known {
    Set(Set),
    Word(#[expect(dead_code, reason = "any word says the same: not known")] String),
}

#[derive(Deserialize)]
struct Set {
    t: u32,
    v: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Member {
    Validator(String),
    Set(Set),
}

/// Reads a network.
///
/// # Errors
/// See [`FormatError`].
pub fn read(json: &[u8]) -> Result<Network, FormatError> {
    if json.len() > BYTES_MAX {
        return Err(FormatError::TooLong(json.len()));
    }
    let answer: Answer = serde_json::from_slice(json)?;
    let nodes = answer.nodes.iter().map(node).collect::<Result<Vec<_>, _>>()?;
    Ok(Network::new(nodes)?)
}

fn node(node: &Node) -> Result<(NodeId, Option<QuorumSet>), FormatError> {
    let id = key(&node.node, "the list of nodes")?;
    let set = match &node.qset {
        Some(Known::Set(set)) => Some(quorum_set(set, &node.node, 1)?),
        Some(Known::Word(_)) | None => None,
    };
    Ok((id, set))
}

fn quorum_set(set: &Set, node: &str, level: usize) -> Result<QuorumSet, FormatError> {
    if level > DEPTH_MAX {
        return Err(FormatError::TooDeep(node.to_owned()));
    }
    let (mut validators, mut inner) = (Vec::new(), Vec::new());
    for member in &set.v {
        match member {
            Member::Validator(text) => validators.push(key(text, &format!("the quorum set of {node}"))?),
            Member::Set(set) => inner.push(quorum_set(set, node, level + 1)?),
        }
    }
    let refused = |source| FormatError::QuorumSet { node: node.to_owned(), source };
    QuorumSet::new(set.t, validators, inner).map_err(refused)
}

fn key(text: &str, place: &str) -> Result<NodeId, FormatError> {
    let key = stellar_strkey::ed25519::PublicKey::from_string(text);
    key.map(|key| NodeId(key.0))
        .map_err(|_| FormatError::Key { key: text.chars().take(60).collect(), place: place.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strkey(number: u8) -> String {
        stellar_strkey::ed25519::PublicKey([number; 32]).to_string().as_str().to_owned()
    }

    #[test]
    fn nodes_and_their_sets_are_read_and_the_rest_is_ignored() {
        let (a, b, c) = (strkey(1), strkey(2), strkey(3));
        let json = format!(
            r#"{{"intersection": true, "nodes": [
                {{"node": "{a}", "distance": 0, "status": "tracking", "qset": {{"t": 2, "v": ["{a}", {{"t": 1, "v": ["{b}", "{c}"]}}]}}}},
                {{"node": "{b}", "qset": null}}, {{"node": "{c}", "qset": "unknown"}}], "maybe_dead_nodes": []}}"#
        );
        let network = read(json.as_bytes()).unwrap();
        assert_eq!(network.len(), 3);
        let sets: Vec<_> = network.all().iter().map(|node| network.quorum_set(node)).collect();
        let inner = QuorumSet::new(1, vec![NodeId([2; 32]), NodeId([3; 32])], vec![]).unwrap();
        let set = QuorumSet::new(2, vec![NodeId([1; 32])], vec![inner]).unwrap();
        assert_eq!(sets, [Some(&set), None, None]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let a = strkey(1);
        let deep = format!("{}[]{}", r#"{"t": 1, "v": ["#.repeat(9), "]}".repeat(9)).replace("[[]]", "[]");
        for (json, expected) in [
            ("[]".to_owned(), "transitive=true"),
            (r#"{"nodes": [{"node": "alpha"}]}"#.to_owned(), "fullkeys=true"),
            (format!(r#"{{"nodes": [{{"node": "{a}"}}, {{"node": "{a}"}}]}}"#), "given twice"),
            (format!(r#"{{"nodes": [{{"node": "{a}", "qset": {{"t": 2, "v": ["{a}"]}}}}]}}"#), "refused"),
            (format!(r#"{{"nodes": [{{"node": "{a}", "qset": {{"t": 1, "v": ["GABC"]}}}}]}}"#), "GABC"),
            (format!(r#"{{"nodes": [{{"node": "{a}", "qset": {deep}}}]}}"#), "levels"),
        ] {
            let error = read(json.as_bytes()).expect_err(&json).to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
        let bottomless = "[".repeat(100_000);
        assert!(read(bottomless.as_bytes()).is_err());
    }
}
