//! The one source of chance of a run: the same seed makes the same choices.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Chance that a seed decides.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The choices of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from 0 up to, but not including, `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let next = usize::try_from(self.0.next_u32()).unwrap_or(0);
        next.checked_rem(bound).unwrap_or(0)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        let index = self.below(these.len());
        these.get(index).copied().expect("there is something to choose from")
    }

    /// The numbers below `count` in an order by chance.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..count).collect();
        (0..count).map(|_| left.remove(self.below(left.len()))).collect()
    }

    /// Bytes by chance.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_everything() {
        let choices = |seed| {
            let mut chance = Chance::of(seed);
            (chance.order(6), chance.between(3, 5), chance.one_of(&["a", "b", "c"]))
        };
        assert_eq!(choices(7), choices(7));
        let mut order = choices(7).0;
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    }
}
