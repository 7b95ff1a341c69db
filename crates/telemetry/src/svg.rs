//! Renders the waterfall chart: a row per partition, a row per lane, memory below, one time axis.
//!
//! The output is SVG without scripts or external fonts, transparent, in greys and the colour-blind-safe
//! palette of Okabe and Ito, readable on light and dark pages. The tooltip of a bar shows its figures.

mod axis;
mod paper;

use crate::labels::Labels;
use crate::timeline::{LaneRow, Row, Segment, SegmentKind, Timeline};
use athanor_scheduler::{StageId, WorkerId, WorkerKind};
use axis::{byte_unit, number, seconds, step, time_unit};
use paper::Paper;
use std::collections::BTreeSet;

/// Settings that are not in the timeline.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The first line.
    pub title: String,
    /// The second line, smaller: the main figures.
    pub subtitle: String,
    /// The memory budget in bytes, drawn as a line.
    pub budget: Option<u64>,
}

const WIDTH: f64 = 1240.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 22.0;
const PLOT: f64 = WIDTH - LEFT - RIGHT;
/// Maximum number of lanes drawn; the number of other lanes is shown.
const LANES: usize = 48;
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8f7a00", "#7a6fbe"];

/// Renders the timeline as an SVG file.
pub fn render(timeline: &Timeline, labels: &Labels, options: &Options) -> String {
    let mut rows: Vec<&Row> = timeline.rows().iter().collect();
    rows.sort_by_key(|r| (r.job, r.partition));
    let end = timeline.end().as_secs_f64().max(1e-9);
    let mut view = View { paper: Paper::new(), labels, scale: PLOT / end, y: 26.0 };

    view.paper.text(LEFT, view.y, "h", &options.title);
    if !options.subtitle.is_empty() {
        view.y += 18.0;
        view.paper.text(LEFT, view.y, "s", &options.subtitle);
    }
    view.legend(timeline);

    let top = view.y;
    view.partitions(&rows, timeline.left_out());
    view.lanes(timeline);
    view.memory(timeline, options.budget, end);
    let bottom = view.y;
    // The axis and its grid come first in the file, so that the bars lie on top of the lines.
    let bars = std::mem::replace(&mut view.paper, Paper::new());
    view.axis(top, bottom, end);
    view.paper.join(bars);
    let height = view.y + 14.0;
    view.paper.finish(WIDTH, height, &options.title, &style())
}

struct View<'a> {
    paper: Paper,
    labels: &'a Labels,
    /// Pixels per second.
    scale: f64,
    y: f64,
}

impl View<'_> {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds * self.scale
    }

    fn legend(&mut self, timeline: &Timeline) {
        self.y += 24.0;
        let mut stages = BTreeSet::new();
        let (mut waits, mut lost, mut loads) = (false, false, false);
        let of_rows = timeline.rows().iter().flat_map(|r| &r.segments);
        for segment in of_rows.chain(timeline.lanes.values().flat_map(|l| &l.segments)) {
            match segment.kind {
                SegmentKind::Run { stage, .. } => _ = stages.insert(stage),
                SegmentKind::Wait { .. } => waits = true,
                SegmentKind::Lost { .. } => lost = true,
                SegmentKind::Load { .. } => loads = true,
            }
        }
        let mut entries: Vec<(String, String)> = Vec::new();
        if waits {
            entries.push(("w".into(), "wait".into()));
        }
        entries.extend(stages.iter().map(|&s| (colour(s), self.labels.stage(s))));
        if loads {
            entries.push(("k".into(), "key load".into()));
        }
        if lost {
            entries.push(("f".into(), "failed or stopped".into()));
        }
        let mut x = LEFT;
        for (class, name) in entries {
            if class == "w" {
                self.paper.rect(x, self.y - 5.0, 16.0, 2.0, "w");
            } else {
                self.paper.rect(x, self.y - 9.0, 16.0, 10.0, &class);
            }
            self.paper.text(x + 22.0, self.y, "t", &name);
            x += 40.0 + 6.6 * name.chars().count() as f64;
        }
        self.y += 14.0;
    }

    fn heading(&mut self, text: &str) {
        self.y += 16.0;
        self.paper.text(LEFT, self.y, "b", text);
        self.y += 7.0;
    }

    fn partitions(&mut self, rows: &[&Row], left_out: u64) {
        let more = match left_out {
            0 => String::new(),
            n => format!(" ({n} more not drawn)"),
        };
        self.heading(&format!("partitions{more}"));
        let height = (900.0 / rows.len().max(1) as f64).clamp(3.0, 13.0);
        let mut job = None;
        let mut labelled = f64::MIN;
        for row in rows {
            if job != Some(row.job) {
                if job.is_some() {
                    self.y += height.min(5.0);
                }
                job = Some(row.job);
                if self.y - labelled >= 11.0 {
                    labelled = self.y;
                    let y = self.y + height.min(9.5);
                    self.paper.text(LEFT - 8.0, y, "t e", format_args!("job {}", row.job));
                }
            }
            let y = self.y;
            for segment in &row.segments {
                self.segment(segment, y, height, Some(row));
            }
            self.y += height;
        }
        self.y += 4.0;
    }

    fn lanes(&mut self, timeline: &Timeline) {
        let mut lanes: Vec<(&WorkerId, &LaneRow)> = timeline.lanes.iter().collect();
        lanes.sort_by_key(|(id, row)| (matches!(row.kind, WorkerKind::Cpu { .. }), **id));
        let more = match lanes.len().saturating_sub(LANES) {
            0 => String::new(),
            n => format!(" ({n} more not drawn)"),
        };
        self.heading(&format!("lanes{more}"));
        lanes.truncate(LANES);
        let height = (420.0 / lanes.len().max(1) as f64).clamp(4.0, 13.0);
        let mut labelled = f64::MIN;
        for (id, row) in lanes {
            let y = self.y;
            if y - labelled >= 10.0 {
                labelled = y;
                let name = match row.kind {
                    WorkerKind::Cpu { threads } => format!("cpu {id} ({threads} thr)"),
                    WorkerKind::Device { class, .. } => {
                        format!("{} {id}", self.labels.class(class))
                    }
                };
                self.paper.text(LEFT - 8.0, y + height.min(10.0) - 0.5, "t e", name);
            }
            for segment in &row.segments {
                self.segment(segment, y, height, None);
            }
            self.y += height;
        }
        self.y += 4.0;
    }

    fn segment(&mut self, segment: &Segment, y: f64, height: f64, row: Option<&Row>) {
        let (from, to) = (segment.from.as_secs_f64(), segment.to.as_secs_f64());
        let (x, w) = (self.x(from), (to - from) * self.scale);
        let gap = (height * 0.12).min(1.0);
        let what = match segment.kind {
            SegmentKind::Wait { stage } => format!("waits for {}", self.labels.stage(stage)),
            SegmentKind::Run { stage, lane } => {
                format!("{} on lane {lane}", self.labels.stage(stage))
            }
            SegmentKind::Lost { stage, lane } => {
                format!("{} on lane {lane}, failed or stopped", self.labels.stage(stage))
            }
            SegmentKind::Load { key } => format!("loads {}", self.labels.key(key)),
        };
        let who =
            row.map_or(String::new(), |r| format!("job {}, partition {}: ", r.job, r.partition));
        let tip = format!("{who}{what}, {} from {}", seconds(to - from), seconds(from));
        match segment.kind {
            SegmentKind::Wait { .. } => {
                let thick = (height * 0.16).clamp(0.8, 1.6);
                self.paper.bar(x, y + (height - thick) / 2.0, w, thick, "w", &tip);
            }
            SegmentKind::Run { stage, .. } => {
                self.paper.bar(x, y + gap, w, height - 2.0 * gap, &colour(stage), &tip);
            }
            SegmentKind::Lost { .. } => {
                self.paper.bar(x, y + gap, w, height - 2.0 * gap, "f", &tip);
            }
            SegmentKind::Load { .. } => {
                self.paper.bar(x, y + gap, w, height - 2.0 * gap, "k", &tip);
            }
        }
    }

    fn memory(&mut self, timeline: &Timeline, budget: Option<u64>, end: f64) {
        let held = |m: &athanor_scheduler::Memory| m.host.saturating_add(m.pinned);
        let peak = timeline.memory.iter().map(|(_, m)| held(m)).max().unwrap_or(0);
        if peak == 0 {
            return;
        }
        self.heading("memory held");
        const HEIGHT: f64 = 96.0;
        let top = budget.unwrap_or(0).max(peak);
        let (unit, size) = byte_unit(top);
        let per_byte = HEIGHT / (top as f64 * 1.04);
        let base = self.y + HEIGHT;
        let y = |bytes: f64| base - bytes * per_byte;
        let powers: Vec<f64> = (0..12).map(|b| f64::from(1 << b)).collect();
        let tick = step(top as f64 / size, 4, &powers);
        for n in 0..=(top as f64 / size / tick) as usize {
            let at = y(n as f64 * tick * size);
            self.paper.line((LEFT, at), (LEFT + PLOT, at), "g");
            let label = format!("{} {unit}", number(n as f64 * tick));
            self.paper.text(LEFT - 8.0, at + 3.5, "t e", label);
        }
        let mut points = vec![(LEFT, base)];
        let mut last = base;
        for (at, memory) in &timeline.memory {
            let x = self.x(at.as_secs_f64().min(end));
            points.push((x, last));
            last = y(held(memory) as f64);
            points.push((x, last));
        }
        points.extend([(LEFT + PLOT, last), (LEFT + PLOT, base)]);
        self.paper.area(&points, "m");
        if let Some(budget) = budget {
            let at = y(budget as f64);
            self.paper.line((LEFT, at), (LEFT + PLOT, at), "l");
            let text =
                format!("budget {} {unit}", number((budget as f64 / size * 10.0).round() / 10.0));
            self.paper.text(LEFT + PLOT, at - 4.0, "t e", text);
        }
        self.y = base + 2.0;
    }

    fn axis(&mut self, top: f64, bottom: f64, end: f64) {
        let (unit, length) = time_unit(end);
        let round: &[f64] = if unit == "s" || unit == "min" {
            &[1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0]
        } else {
            &[]
        };
        let round = if end / length < 8.0 { &[] } else { round };
        let tick = step(end / length, 12, round);
        for n in 0..=(end / length / tick + 1e-9) as usize {
            let value = n as f64 * tick;
            let x = self.x(value * length);
            self.paper.line((x, top), (x, bottom + 4.0), "g");
            self.paper.text(x, bottom + 17.0, "t c", number(value));
        }
        self.paper.line((LEFT, bottom + 4.0), (LEFT + PLOT, bottom + 4.0), "a");
        let words = match unit {
            "s" => "seconds",
            "min" => "minutes",
            "h" => "hours",
            "ms" => "milliseconds",
            _ => "microseconds",
        };
        self.paper.text(LEFT + PLOT / 2.0, bottom + 33.0, "t c", format_args!("time, {words}"));
        self.y = bottom + 36.0;
    }
}

fn colour(stage: StageId) -> String {
    format!("c{}", usize::from(stage.0) % COLOURS.len())
}

fn style() -> String {
    let mut style = String::from(
        "text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;\
         fill:#6e7681}.h{font-size:16px;font-weight:600;fill:#57708c}.s{font-size:12px}\
         .b{font-weight:600}.e{text-anchor:end}.c{text-anchor:middle}.w{fill:#9aa4b0}\
         .f{fill:#d1242f33;stroke:#d1242f;stroke-width:1}.k{fill:#8c959f}\
         .g{stroke:#8c959f;stroke-opacity:.22}.a{stroke:#8c959f}\
         .l{stroke:#d1242f;stroke-dasharray:5 4}.m{fill:#57708c;fill-opacity:.35}",
    );
    for (at, colour) in COLOURS.iter().enumerate() {
        style.push_str(&format!(".c{at}{{fill:{colour}}}"));
    }
    style
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::story;

    fn drawn(labels: &Labels) -> String {
        let mut timeline = Timeline::new(10);
        story().iter().for_each(|r| timeline.push(r));
        let options =
            Options { title: "a <b> & \"c\"".into(), budget: Some(16), ..Options::default() };
        render(&timeline, labels, &options)
    }

    #[test]
    fn every_segment_is_drawn_and_named() {
        let labels = Labels { stages: vec!["synth".into(), "prove".into()], ..Labels::default() };
        let svg = drawn(&labels);
        for text in [
            "waits for synth",
            "synth on lane 0",
            "prove on lane 1",
            "failed or stopped",
            "job 1",
            "memory held",
            "budget 16 B",
            "time, microseconds",
        ] {
            assert!(svg.contains(text), "no {text:?}");
        }
        // Rows: 2 waits of partition 0, 1 of partition 1, and 5 runs; lanes: the same 5 runs.
        assert_eq!(svg.matches("</title></rect>").count(), 13);
    }

    #[test]
    fn names_from_outside_cannot_break_the_file() {
        let evil = "</title><script>alert(1)</script>\u{0}";
        let labels = Labels { stages: vec![evil.into(), evil.into()], ..Labels::default() };
        let svg = drawn(&labels);
        assert!(!svg.contains("<script"));
        assert!(!svg.contains('\u{0}'));
        assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;"));
    }

    #[test]
    fn an_empty_timeline_is_still_a_picture() {
        let svg = render(&Timeline::new(4), &Labels::default(), &Options::default());
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
