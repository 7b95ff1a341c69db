//! Exhaustive tests of workers on a dependency graph with loom.

use loom::sync::Arc;

use super::*;
use crate::exec::moves::{Move, Scene, in_every_interleaving};
use crate::transaction::Declaration;

/// Fails if a dependency count reaches its end for two workers or for none.
#[test]
fn promises_give_the_result_of_the_order_in_every_interleaving() {
    // A cycle of entries, a chain, and two transactions that release a third together.
    let shapes = [
        [(0, 1), (1, 2), (2, 0)],
        [(0, 1), (0, 1), (1, 0)],
        [(0, 1), (2, 2), (1, 0)],
        [(0, 0), (1, 1), (0, 1)],
    ];
    for moves in shapes {
        in_every_interleaving(move || {
            let moves = moves.map(|(a, b)| Move::new(a, b).declared(Declaration::Superset));
            let scene = Scene::new(&moves);
            let pool = Pool::new(1, false).unwrap();
            let (order, count) = (Order::From(0), moves.len() as u32);
            let mut graph = Graph::default();
            graph.draw(&scene.env(), order, count, 1, &pool);
            let parts = Arc::new((scene, graph, Shared::new(count, 2)));
            let work = move |parts: &(Scene, Graph, Shared), id| {
                let (scene, graph, shared) = parts;
                let (env, lane) = (&scene.env(), &mut Lane::default());
                Worker { env, order, graph, shared, id, chunk: 1, lane }.work();
                lane.cost.executions
            };
            let other = {
                let parts = Arc::clone(&parts);
                loom::thread::spawn(move || work(&parts, 1))
            };
            let executions = work(&parts, 0) + other.join().unwrap();
            assert_eq!(executions, u64::from(count), "each runs once");
            parts.0.check();
        });
    }
}
