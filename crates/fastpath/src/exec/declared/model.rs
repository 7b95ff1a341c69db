//! Tickets under the model checker.

use loom::sync::Arc;

use super::*;
use crate::exec::moves::{Move, Scene, in_every_interleaving};
use crate::transaction::Declaration;

#[test]
fn tickets_give_the_result_of_the_order_in_every_interleaving() {
    for moves in [[(0, 1), (1, 2), (2, 0)], [(0, 1), (0, 1), (1, 0)]] {
        in_every_interleaving(move || {
            let moves = moves.map(|(a, b)| Move::new(a, b).declared(Declaration::Superset));
            let scene = Scene::new(&moves);
            let pool = Pool::new(1, false).unwrap();
            let (order, count) = (Order::From(0), moves.len() as u32);
            let mut tickets = Tickets::default();
            tickets.find_slots(&scene.env(), order, count, 1, &pool);
            tickets.hand_out(&scene.env(), order, count);
            let parts = Arc::new((scene, tickets, AtomicU32::new(0)));
            let work = move |parts: &(Scene, Tickets, AtomicU32)| {
                let (scene, tickets, next) = parts;
                let (env, lane) = (&scene.env(), &mut Lane::default());
                Worker { env, order, count, chunk: 1, tickets, next, lane }.work();
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
