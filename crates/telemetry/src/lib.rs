//! What the scheduler did, for people: pictures and numbers.
//!
//! There is one stream, [`athanor_scheduler::Trace`], and everything here is a plain consumer of it,
//! whoever drove the scheduler: the engine in production or the simulator in virtual time. So a
//! simulated waterfall and a real one can be laid side by side.
//!
//! - [`Timeline`] keeps the records as rows of segments (a row per partition, a row per lane, memory
//!   over time). [`svg::render`] draws it. It is bounded: rows beyond its limit are counted, not
//!   kept. [`chrome::render`] gives it to trace viewers.
//! - [`Stats`] keeps sums and [`Histogram`]s, never records, so a million tasks cost what ten do. It
//!   separates the steady part of a run from its fill and drain by events, not by guessed times.
//! - [`Labels`] gives the names that ids stand for.
//!
//! Sampled averages were the road not taken: every figure is an exact integral over the trace.

pub mod chrome;
mod histogram;
mod labels;
mod stats;
pub mod svg;
#[cfg(test)]
mod testing;
mod timeline;

pub use athanor_scheduler::{Time, Trace, TraceEvent};
pub use histogram::Histogram;
pub use labels::Labels;
pub use stats::{Counts, GroupSums, LaneGroup, Part, StageSums, Stats, Sums};
pub use timeline::{LaneRow, Row, Segment, SegmentKind, Timeline};
