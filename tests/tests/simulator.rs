//! The simulator over a hundred seeds. `cargo run --release -p fba-tests --bin sim` runs as many as you like.

use fba_tests::sim::{Forgetting, Options, run, run_forgetting};
use rayon::prelude::*;

#[test]
fn nobody_disagrees_and_everybody_closes_after_healing() {
    let failures: Vec<String> = (1..=100u64)
        .into_par_iter()
        .filter_map(|seed| run(seed, Options { slots: 10, absent: false }).err())
        .map(|failure| failure.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Longer than the statements kept, and than the ledgers of one answer.
#[test]
fn a_node_that_was_away_for_a_hundred_ledgers_catches_up_and_closes() {
    for seed in 1..=3 {
        let outcome = run(seed, Options { slots: 100, absent: true }).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(outcome.ledgers > 100, "{outcome:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace = |seed| {
        run(seed, Options { slots: 10, absent: false })
            .map(|outcome| outcome.trace)
            .map_err(|failure| failure.to_string())
    };
    assert_eq!(trace(7).unwrap(), trace(7).unwrap());
    assert_ne!(trace(7).unwrap(), trace(8).unwrap());
}

#[test]
fn a_node_that_lost_its_votes_while_ahead_of_all_others_never_votes_where_it_had_voted() {
    let outcomes: Vec<_> = (1..=20u64).into_par_iter().map(|seed| run_forgetting(seed, Forgetting::AsBuilt)).collect();
    let failures: Vec<_> =
        outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let ahead: u64 = outcomes.iter().flatten().map(|outcome| outcome.faults.lost_ahead).sum();
    assert!(ahead >= 10, "it came to that in {ahead} of 20 runs only");
}

/// The rule that tempts: vote in the slot after the first that is seen to close.
#[test]
fn voting_again_after_one_slot_is_caught() {
    let outcomes = (1..=20u64).into_par_iter().map(|seed| run_forgetting(seed, Forgetting::VotesAfterOneSlot));
    let broken: Vec<String> = outcomes.filter_map(Result::err).map(|failure| failure.rule).collect();
    assert!(broken.iter().any(|rule| rule.contains("votes where it lost")), "{broken:?}");
}
