//! A set of nodes of one network, as bits.

use crate::NodeIndex;
use std::fmt;

/// A set of nodes of one network. Sets of different networks must not be mixed: an index means nothing elsewhere.
///
/// Ordered as sequences of indices would not be; the order is only good for putting sets into a `BTreeSet`.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeSet {
    // No trailing zero words, so that equal sets are equal words.
    words: Vec<u64>,
}

const BITS: usize = u64::BITS as usize;

impl NodeSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// The first `count` nodes.
    #[must_use]
    pub fn first(count: usize) -> Self {
        (0..count).map(NodeIndex).collect()
    }

    /// Is `node` in the set?
    #[must_use]
    pub fn contains(&self, node: NodeIndex) -> bool {
        self.words.get(node.0 / BITS).is_some_and(|word| word & bit(node) != 0)
    }

    /// Adds `node`.
    pub fn insert(&mut self, node: NodeIndex) {
        let word = node.0 / BITS;
        if self.words.len() <= word {
            self.words.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit(node);
        }
    }

    /// Removes `node`.
    pub fn remove(&mut self, node: NodeIndex) {
        if let Some(word) = self.words.get_mut(node.0 / BITS) {
            *word &= !bit(node);
        }
        self.trim();
    }

    /// How many nodes are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Is nobody in the set?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The nodes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let ones = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            ones.take_while(|rest| *rest != 0)
                .map(move |rest| NodeIndex(index.saturating_mul(BITS).saturating_add(rest.trailing_zeros() as usize)))
        })
    }

    /// The node with the lowest index.
    #[must_use]
    pub fn lowest(&self) -> Option<NodeIndex> {
        self.iter().next()
    }

    /// How many nodes both sets have.
    #[must_use]
    pub fn common(&self, other: &Self) -> usize {
        self.words.iter().zip(&other.words).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    /// Do the sets have a node in common?
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// Is every node of this set in `other`?
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.words.len() <= other.words.len() && self.words.iter().zip(&other.words).all(|(a, b)| a & !b == 0)
    }

    /// The nodes of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (long, short) = if self.words.len() >= other.words.len() { (self, other) } else { (other, self) };
        let mut words = long.words.clone();
        words.iter_mut().zip(&short.words).for_each(|(a, b)| *a |= b);
        Self { words }
    }

    /// The nodes of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut set = Self { words: self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect() };
        set.trim();
        set
    }

    /// The nodes of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
        set.trim();
        set
    }

    /// This set with `node`.
    #[must_use]
    pub fn with(&self, node: NodeIndex) -> Self {
        let mut set = self.clone();
        set.insert(node);
        set
    }

    /// This set without `node`.
    #[must_use]
    pub fn without(&self, node: NodeIndex) -> Self {
        let mut set = self.clone();
        set.remove(node);
        set
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl FromIterator<NodeIndex> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeIndex>>(nodes: I) -> Self {
        let mut set = Self::new();
        nodes.into_iter().for_each(|node| set.insert(node));
        set
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|node| node.0)).finish()
    }
}

const fn bit(node: NodeIndex) -> u64 {
    1 << (node.0 % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(nodes: &BTreeSet<usize>) -> NodeSet {
        nodes.iter().copied().map(NodeIndex).collect()
    }

    fn nodes() -> impl Strategy<Value = BTreeSet<usize>> {
        proptest::collection::btree_set(0usize..200, 0..30)
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_numbers(a in nodes(), b in nodes(), x in 0usize..200) {
            let (sa, sb) = (set(&a), set(&b));
            prop_assert_eq!(sa.union(&sb), set(&a.union(&b).copied().collect()));
            prop_assert_eq!(sa.intersection(&sb), set(&a.intersection(&b).copied().collect()));
            prop_assert_eq!(sa.difference(&sb), set(&a.difference(&b).copied().collect()));
            prop_assert_eq!(sa.common(&sb), a.intersection(&b).count());
            prop_assert_eq!(sa.intersects(&sb), !a.is_disjoint(&b));
            prop_assert_eq!(sa.is_subset(&sb), a.is_subset(&b));
            prop_assert_eq!(sa.contains(NodeIndex(x)), a.contains(&x));
            prop_assert_eq!(sa.len(), a.len());
            prop_assert_eq!(sa.is_empty(), a.is_empty());
            prop_assert_eq!(sa.with(NodeIndex(x)).without(NodeIndex(x)), sa.without(NodeIndex(x)));
            prop_assert_eq!(sa.iter().map(|node| node.0).collect::<Vec<_>>(), a.into_iter().collect::<Vec<_>>());
        }
    }
}
