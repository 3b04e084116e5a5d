//! The pieces that a stretch of ledgers is fetched in: wanted, asked of a peer, or here.

use fba_core::NodeId;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum State<T> {
    Wanted,
    Asked(NodeId),
    Here { from: NodeId, bytes: usize, what: T },
}

#[derive(Clone, Debug)]
struct Piece<T> {
    /// The last ledger of it.
    to: u64,
    state: State<T>,
}

/// Pieces by their first ledger, side by side. Bounded by whoever adds them.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<T> {
    pieces: BTreeMap<u64, Piece<T>>,
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self { pieces: BTreeMap::new() }
    }
}

impl<T> Pieces<T> {
    /// Wants ledgers `from` to `to`, which no piece covers.
    pub(crate) fn want(&mut self, from: u64, to: u64) {
        assert!(from <= to, "a piece has at least one ledger");
        self.pieces.insert(from, Piece { to, state: State::Wanted });
    }

    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// First and last ledger covered.
    pub(crate) fn span(&self) -> Option<(u64, u64)> {
        let (first, last) = (self.pieces.first_key_value()?, self.pieces.last_key_value()?);
        Some((*first.0, last.1.to))
    }

    /// Bytes of what is here.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |piece: &Piece<T>| match &piece.state {
            State::Here { bytes, .. } => *bytes,
            State::Wanted | State::Asked(_) => 0,
        };
        self.pieces.values().map(bytes).sum()
    }

    /// Pieces to ask for, lowest first: first and last ledger.
    pub(crate) fn wanted(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        let wanted = |(from, piece): (&u64, &Piece<T>)| {
            let wanted = matches!(piece.state, State::Wanted);
            wanted.then_some((*from, piece.to))
        };
        self.pieces.iter().filter_map(wanted)
    }

    pub(crate) fn asked(&mut self, from: u64, peer: NodeId) {
        if let Some(piece) = self.pieces.get_mut(&from) {
            piece.state = State::Asked(peer);
        }
    }

    /// Is a piece with this first ledger still missing, and at least `count` long?
    pub(crate) fn misses(&self, from: u64, count: u64) -> bool {
        self.pieces.get(&from).is_some_and(|piece| {
            !matches!(piece.state, State::Here { .. }) && piece.to.saturating_sub(from).saturating_add(1) >= count
        })
    }

    /// The first `count` ledgers of a missing piece are here; what was not answered of it is wanted.
    pub(crate) fn fill(&mut self, from: u64, count: u64, peer: NodeId, bytes: usize, what: T) {
        let Some(piece) = self.pieces.get_mut(&from) else { return };
        let last = from.saturating_add(count).saturating_sub(1);
        let to = std::mem::replace(&mut piece.to, last);
        piece.state = State::Here { from: peer, bytes, what };
        if last < to {
            self.want(last.saturating_add(1), to);
        }
    }

    /// `peer` will not deliver this piece.
    pub(crate) fn give_up(&mut self, from: u64, peer: NodeId) {
        if let Some(piece) = self.pieces.get_mut(&from)
            && matches!(piece.state, State::Asked(of) if of == peer)
        {
            piece.state = State::Wanted;
        }
    }

    /// Everything that `peer` sent or was asked for is wanted again.
    pub(crate) fn discard(&mut self, peer: NodeId) {
        for piece in self.pieces.values_mut() {
            let is_its = match &piece.state {
                State::Wanted => false,
                State::Asked(of) | State::Here { from: of, .. } => *of == peer,
            };
            if is_its {
                piece.state = State::Wanted;
            }
        }
    }

    /// Is the lowest piece here, and does it begin with ledger `from`?
    pub(crate) fn has_first(&self, from: u64) -> bool {
        let first = self.pieces.first_key_value();
        first.is_some_and(|(first, piece)| *first == from && matches!(piece.state, State::Here { .. }))
    }

    /// Takes the lowest piece, if it is here and begins with ledger `from`.
    pub(crate) fn take_first(&mut self, from: u64) -> Option<T> {
        let first = self.pieces.first_entry()?;
        let fits = *first.key() == from && matches!(first.get().state, State::Here { .. });
        take(fits.then(|| first.remove())?.state).map(|(_, what)| what)
    }

    /// Takes the highest piece, if it is here and ends with ledger `to`; with who sent it.
    pub(crate) fn take_last(&mut self, to: u64) -> Option<(NodeId, T)> {
        let last = self.pieces.last_entry()?;
        let fits = last.get().to == to && matches!(last.get().state, State::Here { .. });
        take(fits.then(|| last.remove())?.state)
    }
}

fn take<T>(state: State<T>) -> Option<(NodeId, T)> {
    match state {
        State::Here { from, what, .. } => Some((from, what)),
        State::Wanted | State::Asked(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId([byte; 32])
    }

    #[test]
    fn a_short_answer_leaves_the_rest_wanted() {
        let mut pieces = Pieces::default();
        pieces.want(10, 19);
        pieces.asked(10, node(1));
        assert!(pieces.misses(10, 10) && !pieces.misses(10, 11) && !pieces.misses(11, 1));
        pieces.fill(10, 4, node(1), 100, "four");
        assert_eq!(pieces.wanted().collect::<Vec<_>>(), [(14, 19)]);
        assert_eq!((pieces.bytes(), pieces.span()), (100, Some((10, 19))));
        assert_eq!(pieces.take_first(11), None);
        assert_eq!(pieces.take_first(10), Some("four"));
        assert_eq!(pieces.take_first(14), None, "not here");
    }

    #[test]
    fn all_that_a_liar_sent_is_wanted_again_and_nothing_else() {
        let mut pieces = Pieces::default();
        for (from, peer) in [(1, 1), (2, 2), (3, 1)] {
            pieces.want(from, from);
            pieces.fill(from, 1, node(peer), 1, from);
        }
        pieces.want(4, 4);
        pieces.asked(4, node(1));
        pieces.discard(node(1));
        assert_eq!(pieces.wanted().map(|(from, _)| from).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(pieces.take_last(4), None);
    }
}
