//! Exhaustive tests of the optimistic scheduler and the multi-version memory with loom.

use loom::sync::Arc;

use super::*;
use crate::exec::moves::{Move, Scene, in_every_interleaving};

fn check(moves: Vec<Move>, share: bool) {
    in_every_interleaving(move || {
        let line = |n| Line(AtomicU32::new(n));
        let shared = Shared { frontier: line(0), next: line(0), stop: line(0), conflicts: line(0) };
        let parts = Arc::new((Scene::new(&moves), Ring::new(8), shared));
        let work = move |parts: &(Scene, Ring, Shared)| {
            let (scene, ring, shared) = parts;
            let env = scene.env();
            Worker {
                env: &env,
                order: Order::From(0),
                count: scene.moves.len() as u32,
                tuning: Tuning { threads: 2, chunk: 1, share, most_conflicts: f64::INFINITY },
                ring,
                shared,
                lane: &mut Lane::default(),
                queue: VecDeque::new(),
                longest: 2,
            }
            .work();
        };
        let other = {
            let parts = Arc::clone(&parts);
            loom::thread::spawn(move || work(&parts))
        };
        work(&parts);
        other.join().unwrap();
        parts.0.check();
    });
}

#[test]
fn a_chain_of_two_gives_the_result_of_the_order_in_every_interleaving() {
    check(vec![Move::new(0, 1), Move::new(1, 2)], true);
    check(vec![Move::new(0, 1), Move::new(1, 2)], false);
}

#[test]
fn a_crossing_of_three_gives_the_result_of_the_order_in_every_interleaving() {
    check(vec![Move::new(0, 1), Move::new(1, 0), Move::new(2, 1)], true);
}

/// The second transaction waits for the estimates of the first. The first announces both entries
/// before it runs; in the second case it aborts and writes neither.
#[test]
fn announced_writes_that_come_or_do_not_come_give_the_result_of_the_order() {
    let first = Move::new(0, 1).declared(Declaration::Guess);
    check(vec![first.clone(), Move::new(1, 2)], true);
    check(vec![first.gives_up_at(10), Move::new(1, 2)], true);
}
