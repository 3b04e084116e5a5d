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

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves and roots of the Certificate Transparency reference tests.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let leaves: Vec<Hash> = LEAVES.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect();
        for (size, expected) in ROOTS.iter().enumerate() {
            assert_eq!(root(&leaves[..size]).to_string(), *expected);
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_nothing_else() {
        for size in 1..20u8 {
            let leaves: Vec<Hash> = (0..size).map(|leaf| leaf_hash(&[leaf])).collect();
            let tree = root(&leaves);
            for leaf in 0..size {
                let proof = prove(&leaves, usize::from(leaf)).unwrap();
                assert!(verify(tree, &[leaf], &proof), "{leaf} of {size}");
                assert!(!verify(tree, &[leaf + 1], &proof));
                assert!(!verify(Hash::ZERO, &[leaf], &proof));
                for other in 0..size {
                    let moved = InclusionProof { index: u64::from(other), ..proof.clone() };
                    assert_eq!(verify(tree, &[leaf], &moved), other == leaf, "{leaf} of {size} as {other}");
                }
                let mut longer = proof.clone();
                longer.path.push(PathHash(Hash::ZERO));
                assert!(!verify(tree, &[leaf], &longer));
                let beyond = InclusionProof { index: u64::from(size), ..proof };
                assert!(!verify(tree, &[leaf], &beyond));
            }
            assert_eq!(prove(&leaves, usize::from(size)), None);
        }
    }
}
