//! Links between nodes.

use super::rng::Rng;
use std::collections::BTreeSet;

/// Which links exist, and which carry anything now.
#[derive(Clone, Debug)]
pub(super) struct Network {
    links: BTreeSet<(usize, usize)>,
    /// Links that are down, and both ends know.
    pub(super) down: BTreeSet<(usize, usize)>,
    /// One side of a partition; what crosses it vanishes and nobody is told.
    pub(super) island: BTreeSet<usize>,
    /// Does the partition swallow messages of one direction only?
    pub(super) one_way: bool,
}

impl Network {
    pub(super) fn new(links: BTreeSet<(usize, usize)>) -> Self {
        Self { links, down: BTreeSet::new(), island: BTreeSet::new(), one_way: false }
    }

    pub(super) fn is_linked(&self, one: usize, other: usize) -> bool {
        let pair = pair(one, other);
        self.links.contains(&pair) && !self.down.contains(&pair)
    }

    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        let (leaves, enters) = (self.island.contains(&from), self.island.contains(&to));
        if self.one_way { leaves && !enters } else { leaves != enters }
    }

    pub(super) fn partition(&mut self, rng: &mut Rng, nodes: usize) {
        self.island = (0..nodes).filter(|_| rng.chance(500)).collect();
        self.one_way = rng.chance(300);
    }

    /// Any link, up or down.
    pub(super) fn pick(&self, rng: &mut Rng) -> Option<(usize, usize)> {
        self.links.iter().nth(rng.index(self.links.len())).copied()
    }
}

pub(super) fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}
