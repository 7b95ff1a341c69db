//! The properties, each judged per decision by a checker that knows only events and trace, in a
//! world of chance; and for each a planted bug that the checker must catch.

mod chance;
mod checker;
mod follow;
mod model;
mod rules;
mod shares;
mod world;

use crate::planted::Bug;
use checker::{Property, Violation};
use world::World;

fn run(seed: u64, events: u64, bug: Option<Bug>) -> Result<World, Violation> {
    let mut world = World::new(seed, bug);
    world.run(events).map(|()| world)
}

/// All properties hold, and the worlds in which they were seen to hold were eventful ones.
#[test]
#[expect(clippy::print_stdout, reason = "what the run saw is worth reading")]
fn all_properties_hold_in_random_worlds() {
    let long = std::env::var_os("ATHANOR_LONG_TESTS").is_some();
    let (worlds, events) = if long { (500, 20_000) } else { (60, 1_000) };
    let mut broken = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    let (mut told, mut starts, mut passes, mut submitted, mut refused) = (0, 0, 0, 0, 0);
    for seed in 0..worlds {
        let world = match run(seed, events, None) {
            Ok(world) => world,
            Err(violation) => {
                broken.push((seed, violation));
                continue;
            }
        };
        for (name, count) in &world.seen {
            *seen.entry(*name).or_insert(0) += count;
        }
        told += world.events;
        starts += world.checker.starts;
        passes += world.checker.passes;
        submitted += world.checker.submitted;
        refused += world.checker.refused;
        if long && seed % 25 == 24 {
            println!("{} worlds, {told} events, {starts} starts so far", seed + 1);
        }
    }
    for (seed, Violation { property, how }) in broken.iter().take(4) {
        println!("seed {seed} breaks {property:?}: {how}");
    }
    assert!(broken.is_empty(), "{} of {worlds} worlds", broken.len());
    println!(
        "{told} events, {submitted} submits ({refused} refused), {starts} starts, {passes} of them \
         past a blocked elder; {seen:?}"
    );
    assert!(passes > worlds, "{passes} starts past a blocked elder");
    assert!(seen.len() >= 20 && seen.values().all(|&n| n > 5), "{seen:?}");
}

/// The same seed gives the same trace.
#[test]
fn same_seed_same_trace() {
    for seed in 0..8 {
        let prints = [(); 2].map(|()| run(seed, 500, None).unwrap().fingerprint());
        assert_eq!(prints[0], prints[1], "seed {seed}");
    }
}

fn caught(bug: Bug) -> Vec<Property> {
    (0..40).filter_map(|seed| run(seed, 600, Some(bug)).err()).map(|v| v.property).collect()
}

/// Each planted bug is caught as a breach of the property it breaks.
#[test]
fn planted_bugs_are_caught() {
    use Property::*;
    let cases = [
        (Bug::LoseRetry, WorkConserving),
        (Bug::AnswerTwice, AnsweredOnce),
        (Bug::UnsafeGrowth, SafeGrants),
        (Bug::LeakDropped, WithinBudget),
        (Bug::StartCancelled, NoStartAfterEnd),
        (Bug::YoungestFirst, PriorityInEveryStage),
        (Bug::OrderInFirstStageOnly, PriorityInEveryStage),
        (Bug::PassFreely, NoElderDelayed),
        (Bug::HeadOfLine, WorkConserving),
        (Bug::AcknowledgeEarly, DurableFirst),
        (Bug::AnswerEarly, DurableFirst),
        (Bug::ReserveForAll, ReserveForCritical),
        (Bug::SkipQuarantine, Quarantine),
        (Bug::EmitFreely, GrowthBound),
        (Bug::ForgetHolders, RightPlace),
        (Bug::IgnoreWeights, FairShares),
        (Bug::RiseOnce, Ageing),
        (Bug::SilentFailure, EverySubmitEnds),
        (Bug::KeepAfterStop, BackToZero),
    ];
    for (bug, property) in cases {
        let found = caught(bug);
        assert!(found.contains(&property), "{bug:?} was seen as {found:?}");
    }
}

/// Randomness from elsewhere than the seed shows in the trace.
#[test]
fn unseeded_jitter_is_caught() {
    let print = || run(3, 500, Some(Bug::UnseededJitter)).map(|w| w.fingerprint());
    assert_ne!(print(), print());
}
