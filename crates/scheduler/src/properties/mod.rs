//! Property tests: a driver feeds the scheduler random events, and a checker that knows only events
//! and trace judges every decision. For each property there is a planted bug that the checker must
//! find.

mod checker;
mod generate;
mod model;
mod model_update;
mod random_driver;
mod reference_rules;
mod shares;

use crate::planted::Bug;
use checker::{Property, Violation};
use random_driver::RandomDriver;

fn run(seed: u64, events: u64, bug: Option<Bug>) -> Result<RandomDriver, Violation> {
    let mut driver = RandomDriver::new(seed, bug);
    driver.run(events).map(|()| driver)
}

/// All properties hold in random runs, and the runs contain every kind of event often enough.
#[test]
#[expect(clippy::print_stdout, reason = "what the run saw is worth reading")]
fn all_properties_hold_in_random_runs() {
    let long = std::env::var_os("ATHANOR_LONG_TESTS").is_some();
    let (runs, events) = if long { (500, 20_000) } else { (60, 1_000) };
    let mut broken = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    let (mut events_handled, mut starts, mut passes, mut submitted, mut refused) = (0, 0, 0, 0, 0);
    for seed in 0..runs {
        let driver = match run(seed, events, None) {
            Ok(driver) => driver,
            Err(violation) => {
                broken.push((seed, violation));
                continue;
            }
        };
        for (name, count) in &driver.seen {
            *seen.entry(*name).or_insert(0) += count;
        }
        events_handled += driver.events;
        starts += driver.checker.starts;
        passes += driver.checker.passes;
        submitted += driver.checker.submitted;
        refused += driver.checker.refused;
        if long && seed % 25 == 24 {
            println!("{} runs, {events_handled} events, {starts} starts so far", seed + 1);
        }
    }
    for (seed, Violation { property, how }) in broken.iter().take(4) {
        println!("seed {seed} breaks {property:?}: {how}");
    }
    assert!(broken.is_empty(), "{} of {runs} runs", broken.len());
    println!(
        "{events_handled} events, {submitted} submits ({refused} refused), {starts} starts, {passes} of them \
         past a blocked head; {seen:?}"
    );
    assert!(passes > runs, "{passes} starts past a blocked head");
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

/// Each planted bug is found as a violation of the property that it breaks.
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
        (Bug::PassFreely, NoBlockedHeadDelayed),
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

/// Randomness that does not come from the seed shows in the trace.
#[test]
fn unseeded_jitter_is_caught() {
    let print = || run(3, 500, Some(Bug::UnseededJitter)).map(|w| w.fingerprint());
    assert_ne!(print(), print());
}
