//! Statistics and charts of a run of the scheduler.
//!
//! Everything here consumes one stream of events, [`athanor_scheduler::Trace`]. The stream is the same
//! from the engine in production and from the simulator in virtual time, so a simulated and a real
//! waterfall chart can be compared.
//!
//! - [`Timeline`] keeps the records as rows of segments (a row per partition, a row per lane, memory
//!   over time). [`svg::render`] draws it. It is bounded: rows beyond its limit are counted, not
//!   kept. [`chrome::render`] writes it for trace viewers.
//! - [`Stats`] keeps sums and [`Histogram`]s, not records, so its memory does not grow with the number
//!   of tasks. It separates the steady part of a run from its fill and drain by events, not by times.
//! - [`Labels`] has the names of ids.
//!
//! ```
//! use athanor_telemetry::Histogram;
//!
//! let mut latencies = Histogram::new();
//! (1..=100).for_each(|value| latencies.record(value));
//! assert_eq!((latencies.count(), latencies.max()), (100, 100));
//! assert_eq!(latencies.quantile(0.5), Some(50));
//! ```
//!
//! Figures are exact integrals over the trace, not sampled averages. The crate has no metrics
//! endpoint and stores nothing.

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
