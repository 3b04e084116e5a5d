//! RFC 6962 Merkle trees with SHA-256: roots, inclusion proofs and their verification.
//!
//! A leaf is SHA-256(0x00 ‖ bytes), a node SHA-256(0x01 ‖ left ‖ right), the empty tree SHA-256 of nothing; a tree of n
//! leaves is split at the largest power of two below n.

use super::encoding;
use crate::key::sha256;
use fba_core::Hash;
use serde::{Deserialize, Serialize};

/// That a leaf stands at `index` in a tree of `size` leaves.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// The leaf's place, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// Hashes of the sibling subtrees, from the leaf upwards.
    pub path: Vec<PathHash>,
}

/// One hash of a path.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PathHash(#[serde(with = "encoding::hash")] pub Hash);

/// The hash of one leaf.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    sha256(&[&[0], bytes])
}

/// The root over leaves given by their [`leaf_hash`]es.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = split(leaves);
            node(root(left), root(right))
        }
    }
}

/// The proof for the leaf at `index`; `None` if there is none.
#[must_use]
pub fn prove(leaves: &[Hash], index: usize) -> Option<InclusionProof> {
    if index >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut rest, mut at) = (leaves, index);
    while rest.len() > 1 {
        let (left, right) = split(rest);
        if at < left.len() {
            path.push(PathHash(root(right)));
            rest = left;
        } else {
            path.push(PathHash(root(left)));
            at -= left.len();
            rest = right;
        }
    }
    path.reverse();
    Some(InclusionProof { index: index as u64, size: leaves.len() as u64, path })
}

/// Does `proof` show that the leaf with these bytes is in the tree with this root? (RFC 9162 §2.1.3.2, the same trees.)
#[must_use]
pub fn verify(root: Hash, leaf: &[u8], proof: &InclusionProof) -> bool {
    if proof.index >= proof.size {
        return false;
    }
    let (mut at, mut last) = (proof.index, proof.size - 1);
    let mut hash = leaf_hash(leaf);
    for PathHash(sibling) in &proof.path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(*sibling, hash);
            // A right edge that is no full subtree rises until it has a sibling on the left.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(hash, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

fn node(left: Hash, right: Hash) -> Hash {
    sha256(&[&[1], &left.0, &right.0])
}

/// At the largest power of two below the length, which is at least two.
fn split(leaves: &[Hash]) -> (&[Hash], &[Hash]) {
    leaves.split_at(leaves.len().next_power_of_two() / 2)
}
