//! Crowds: groups of runs that share a resource and slow each other down (processor sharing).
//!
//! While a crowd has `n` runs, each does `alone / L(n)` seconds of its work per second, where `L`
//! is its curve. Every run that joins or leaves changes the speed of all from that moment. Runs of
//! one kind have the same speed, so one clock per kind, running at that speed, orders their ends: a
//! change costs one clock update, not a visit to every run.

use athanor_scheduler::{RunId, Span, Time};
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};

/// A clock reading; never a NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reading(f64);

impl Eq for Reading {}
impl PartialOrd for Reading {
    fn partial_cmp(&self, other: &Reading) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Reading {
    fn cmp(&self, other: &Reading) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The runs with the same curve.
#[derive(Debug)]
struct Kind {
    /// Seconds by runs at once.
    curve: Vec<f64>,
    /// Work that a run would have done since the start of the simulation, in seconds alone.
    clock: f64,
    /// The clock reading at which each run is done.
    ends: BinaryHeap<Reverse<(Reading, RunId)>>,
}

/// The runs that share a resource.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    kinds: Vec<Kind>,
    here: usize,
    at: Time,
    gone: HashSet<RunId>,
    /// Changes when a run joins or leaves; a computed end is valid only for the version it was
    /// computed at.
    pub(crate) version: u64,
}

/// The next end, if no run joins or leaves before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextEnd {
    pub(crate) at: Time,
    pub(crate) kind: usize,
    pub(crate) run: RunId,
}

impl Crowd {
    /// Adds a kind of run with its curve, which must not be empty; returns its index.
    pub(crate) fn add_kind(&mut self, curve: Vec<f64>) -> usize {
        self.kinds.push(Kind { curve, clock: 0.0, ends: BinaryHeap::new() });
        self.kinds.len() - 1
    }

    /// A run joins with `work` seconds of work, as if alone.
    pub(crate) fn join(&mut self, now: Time, kind: usize, run: RunId, work: f64) {
        self.advance(now);
        self.here += 1;
        self.version += 1;
        let kind = &mut self.kinds[kind];
        kind.ends.push(Reverse((Reading(kind.clock + work), run)));
    }

    /// A run leaves before it is done.
    pub(crate) fn leave(&mut self, now: Time, run: RunId) {
        self.advance(now);
        self.here -= 1;
        self.version += 1;
        self.gone.insert(run);
    }

    /// The run of a computed end is done.
    pub(crate) fn done(&mut self, end: NextEnd) {
        self.advance(end.at);
        self.here -= 1;
        self.version += 1;
        let kind = &mut self.kinds[end.kind];
        if let Some(Reverse((reading, _))) = kind.ends.pop() {
            // Rounding to whole nanoseconds must not leave the clock behind its own event.
            kind.clock = kind.clock.max(reading.0);
        }
    }

    /// Computes the next end.
    pub(crate) fn next_end(&mut self) -> Option<NextEnd> {
        let mut best: Option<NextEnd> = None;
        for index in 0..self.kinds.len() {
            let speed = self.speed(index);
            let kind = &mut self.kinds[index];
            while let Some(Reverse((_, run))) = kind.ends.peek()
                && self.gone.remove(run)
            {
                kind.ends.pop();
            }
            let Some(Reverse((reading, run))) = kind.ends.peek() else { continue };
            let left = (reading.0 - kind.clock).max(0.0) / speed;
            let at = self.at + Span::from_secs_f64(left);
            if best.is_none_or(|b| at < b.at) {
                best = Some(NextEnd { at, kind: index, run: *run });
            }
        }
        best
    }

    fn speed(&self, kind: usize) -> f64 {
        let curve = &self.kinds[kind].curve;
        let now = curve[self.here.clamp(1, curve.len()) - 1];
        if now > 0.0 { curve[0] / now } else { 1.0 }
    }

    fn advance(&mut self, now: Time) {
        let passed = (now - self.at).as_secs_f64();
        if passed > 0.0 {
            for kind in 0..self.kinds.len() {
                self.kinds[kind].clock += passed * self.speed(kind);
            }
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(s: f64) -> Time {
        Time::ZERO + Span::from_secs_f64(s)
    }

    /// Runs everything to its end; returns the time at which each run ends.
    fn drain(crowd: &mut Crowd) -> Vec<(u64, f64)> {
        let mut ends = Vec::new();
        while let Some(end) = crowd.next_end() {
            crowd.done(end);
            ends.push((end.run.0, end.at.as_secs_f64()));
        }
        ends
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn n_together_take_what_the_curve_says_for_n() {
        let curve = vec![10.0, 12.0, 15.0];
        for n in 1..=3u64 {
            let mut crowd = Crowd::default();
            let kind = crowd.add_kind(curve.clone());
            (0..n).for_each(|r| crowd.join(Time::ZERO, kind, RunId(r), 10.0));
            let ends = drain(&mut crowd);
            assert!(ends.iter().all(|(_, t)| close(*t, curve[n as usize - 1])), "{n}: {ends:?}");
        }
    }

    #[test]
    fn a_late_comer_slows_the_rest_of_the_others_only() {
        let mut crowd = Crowd::default();
        let kind = crowd.add_kind(vec![10.0, 20.0]);
        crowd.join(Time::ZERO, kind, RunId(1), 10.0);
        crowd.join(secs(4.0), kind, RunId(2), 10.0);
        // Run 1 has 6 s of work left at half speed: done at 16; run 2 then has 4 s left alone.
        let ends = drain(&mut crowd);
        assert!(ends[0].0 == 1 && close(ends[0].1, 16.0), "{ends:?}");
        assert!(ends[1].0 == 2 && close(ends[1].1, 20.0), "{ends:?}");
    }

    #[test]
    fn who_leaves_early_gives_its_share_back_and_never_ends() {
        let mut crowd = Crowd::default();
        let kind = crowd.add_kind(vec![10.0, 20.0]);
        crowd.join(Time::ZERO, kind, RunId(1), 10.0);
        crowd.join(Time::ZERO, kind, RunId(2), 10.0);
        crowd.leave(secs(10.0), RunId(1));
        let ends = drain(&mut crowd);
        assert_eq!(ends.len(), 1);
        assert!(ends[0].0 == 2 && close(ends[0].1, 15.0), "{ends:?}");
    }

    #[test]
    fn kinds_with_their_own_curves_count_each_other() {
        let mut crowd = Crowd::default();
        let a = crowd.add_kind(vec![10.0, 20.0]);
        let b = crowd.add_kind(vec![3.0, 3.0]);
        crowd.join(Time::ZERO, a, RunId(1), 10.0);
        crowd.join(Time::ZERO, b, RunId(2), 3.0);
        // Kind b is not slowed down; kind a does 1.5 s of work in b's 3 s and the other 8.5 s
        // alone.
        let ends = drain(&mut crowd);
        assert!(close(ends[0].1, 3.0) && close(ends[1].1, 11.5), "{ends:?}");
    }
}
