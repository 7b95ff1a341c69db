//! Tickets under the model checker.

use loom::sync::Arc;

use super::*;
use crate::exec::moves::{Move, Scene, in_every_interleaving};
use crate::transaction::Declaration;

/// With one thread's share nothing is dominant; with two, every entry that two of three moves use is,
/// and whoever begins first runs those in a lane.
#[test]
fn tickets_give_the_result_of_the_order_in_every_interleaving() {
    let shapes = [[(0, 1), (1, 2), (2, 0)], [(0, 1), (0, 1), (1, 0)], [(0, 1), (2, 2), (1, 0)]];
    for (moves, threads) in shapes.into_iter().flat_map(|moves| [(moves, 1), (moves, 2)]) {
        in_every_interleaving(move || {
            let moves = moves.map(|(a, b)| Move::new(a, b).declared(Declaration::Superset));
            let scene = Scene::new(&moves);
            let pool = Pool::new(1, false).unwrap();
            let (order, count) = (Order::From(0), moves.len() as u32);
            let mut tickets = Tickets::default();
            tickets.find_slots(&scene.env(), order, count, 1, &pool);
            tickets.hand_out(&scene.env(), order, count);
            tickets.find_lane(count, threads);
            let parts = Arc::new((scene, tickets, Claims::default()));
            let work = move |parts: &(Scene, Tickets, Claims)| {
                let (scene, tickets, claims) = parts;
                let (env, lane) = (&scene.env(), &mut Lane::default());
                Worker { env, order, count, chunk: 1, tickets, claims, lane }.work();
            };
            let other = {
                let parts = Arc::clone(&parts);
                loom::thread::spawn(move || work(&parts))
            };
            work(&parts);
            other.join().unwrap();
            parts.0.check(false);
        });
    }
}
