//! Renders a timeline as a Chrome trace, for `chrome://tracing` and Perfetto.
//!
//! The format is the JSON object form of the Trace Event Format: complete events (`ph: "X"`) with
//! microseconds, one process for lanes and one for jobs, and a counter for memory.

use crate::labels::Labels;
use crate::timeline::{Segment, SegmentKind, Timeline};
use athanor_scheduler::{Time, WorkerKind};
use std::fmt::Write;

/// Process id of the lanes' rows.
const LANES: u32 = 1;
/// Process id of the partitions' rows.
const JOBS: u32 = 2;

/// Renders the timeline as JSON.
pub fn render(timeline: &Timeline, labels: &Labels) -> String {
    let mut events = Events(String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":["));
    events.name("process_name", LANES, 0, "lanes");
    events.name("process_name", JOBS, 0, "jobs");
    for (id, lane) in &timeline.lanes {
        let name = match lane.kind {
            WorkerKind::Cpu { threads } => format!("cpu lane {id} ({threads} threads)"),
            WorkerKind::Device { class, .. } => format!("{} {id}", labels.class(class)),
        };
        events.name("thread_name", LANES, id.0, &name);
        for segment in &lane.segments {
            events.segment(LANES, id.0, segment, labels);
        }
    }
    for (row, partition) in (0..).zip(timeline.rows()) {
        let name = format!("job {} partition {}", partition.job, partition.partition);
        events.name("thread_name", JOBS, row, &name);
        for segment in &partition.segments {
            events.segment(JOBS, row, segment, labels);
        }
    }
    for (at, memory) in &timeline.memory {
        events.counter(*at, memory.host + memory.pinned);
    }
    events.end()
}

struct Events(String);

impl Events {
    fn separate(&mut self) {
        if !self.0.ends_with('[') {
            self.0.push(',');
        }
    }

    fn name(&mut self, what: &str, process: u32, thread: u32, name: &str) {
        self.separate();
        let name = quoted(name);
        let _ = write!(
            self.0,
            "{{\"ph\":\"M\",\"name\":\"{what}\",\"pid\":{process},\"tid\":{thread},\
             \"args\":{{\"name\":{name}}}}}"
        );
    }

    fn segment(&mut self, process: u32, thread: u32, segment: &Segment, labels: &Labels) {
        let name = match segment.kind {
            SegmentKind::Wait { stage } => format!("wait for {}", labels.stage(stage)),
            SegmentKind::Run { stage, .. } => labels.stage(stage),
            SegmentKind::Lost { stage, .. } => format!("{} (lost)", labels.stage(stage)),
            SegmentKind::Load { key } => format!("load {}", labels.key(key)),
        };
        self.separate();
        let (name, from) = (quoted(&name), micros(segment.from));
        let length = micros(segment.to) - from;
        let _ = write!(
            self.0,
            "{{\"ph\":\"X\",\"name\":{name},\"pid\":{process},\"tid\":{thread},\"ts\":{from:.3},\
             \"dur\":{length:.3}}}"
        );
    }

    fn counter(&mut self, at: Time, bytes: u64) {
        self.separate();
        let at = micros(at);
        let _ = write!(
            self.0,
            "{{\"ph\":\"C\",\"name\":\"memory\",\"pid\":{LANES},\"ts\":{at:.3},\
             \"args\":{{\"bytes\":{bytes}}}}}"
        );
    }

    fn end(mut self) -> String {
        self.0.push_str("]}\n");
        self.0
    }
}

fn micros(time: Time) -> f64 {
    time.0 as f64 / 1e3
}

/// A JSON string; the names of circuits are untrusted.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn every_segment_is_an_event_and_the_whole_is_json() {
        let mut timeline = Timeline::new(10);
        story().iter().for_each(|record| timeline.push(record));
        let labels =
            Labels { stages: vec!["a \"b\"\n".into(), "prove".into()], ..Labels::default() };
        let text = render(&timeline, &labels);
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let events = parsed["traceEvents"].as_array().unwrap();
        let complete = events.iter().filter(|event| event["ph"] == "X").count();
        let rows: usize = timeline.rows().iter().map(|row| row.segments.len()).sum();
        let lanes: usize = timeline.lanes.values().map(|lane| lane.segments.len()).sum();
        assert_eq!(complete, rows + lanes);
        let first = events.iter().find(|event| event["name"] == "a \"b\"\n").unwrap();
        assert_eq!((first["ts"].as_f64(), first["dur"].as_f64()), (Some(0.005), Some(0.025)));
        assert!(events.iter().any(|event| event["ph"] == "C" && event["args"]["bytes"] == 8));
    }
}
