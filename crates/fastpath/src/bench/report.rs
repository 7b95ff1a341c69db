//! The results for people: a table and a chart.

use std::fmt::Write;

use super::cell::Cell;

/// The cells as a table.
#[must_use]
pub fn table(cells: &[Cell]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<28} {:>3} {:>11} {:>11} {:>7} {:>13} {:>6} {:>5} {:>5} {:>5} {:>6} {:>8} {:>9} {:>5} {:>5} {:>11}  chosen",
        "workload",
        "thr",
        "seq tx/s",
        "tx/s",
        "speedup",
        "range",
        "exec",
        "hand",
        "cpu",
        "ex/tx",
        "val/tx",
        "p50 ns",
        "p99.9 ns",
        "line",
        "load",
        "plain ns"
    );
    for cell in cells {
        let hand = cell.hand_loop_ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let _ = writeln!(
            text,
            "{:<28} {:>3} {:>11.0} {:>11.0} {:>7.2} {:>6.2}-{:<6.2} {:>6.2} {:>5} {:>5.2} {:>6.3} \
             {:>6.3} {:>8} {:>9} {:>5.0} {:>5.1} {:>6.0}+{:<4.0}  {}",
            cell.workload,
            cell.threads,
            cell.sequential_tx_per_second,
            cell.tx_per_second,
            cell.speedup,
            cell.speedup_range[0],
            cell.speedup_range[1],
            cell.execution_speedup,
            hand,
            cell.cpu_ratio,
            cell.executions,
            cell.validations,
            cell.latency_ns[0],
            cell.latency_ns[4],
            cell.machine.round_trip_ns,
            cell.machine.load,
            cell.sequential_ns[0],
            cell.sequential_ns[1],
            cell.chosen,
        );
    }
    text.push_str(
        "speedup: the plain loop's time over the parallel time, root and proofs included; exec: \
         without them;\nplain ns: the plain loop, executing + root;\nhand: a hand-written loop's processor time over the plain loop's; cpu: processor time \
         over the plain loop's;\nline: ns for a cache line to another core and back. Medians; every \
         root and receipt was equal.\n",
    );
    text
}

/// Colours of the bars of each mode.
const COLOURS: [(&str, &str); 4] = [
    ("serial", "#999999"),
    ("optimistic", "#3a6ea5"),
    ("declared", "#e9a23b"),
    ("shards", "#2a9d8f"),
];

/// A bar chart of the speed-up by workload, as an SVG document. A bar ends at a speed-up of three,
/// which two threads rarely reach; the number next to it does not.
#[must_use]
pub fn chart(cells: &[Cell]) -> String {
    const ROW: usize = 22;
    const LEFT: usize = 230;
    const WIDTH: usize = 560;
    const MOST: f64 = 3.0;
    let x = |speedup: f64| LEFT as f64 + speedup.min(MOST) / MOST * WIDTH as f64;
    let height = 80 + ROW * cells.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n<text x=\"10\" y=\"20\" font-size=\"14\">Speed-up over the plain loop, \
         root and proofs included</text>\n",
        LEFT + WIDTH + 60
    );
    for (i, (mode, colour)) in COLOURS.iter().enumerate() {
        let at = LEFT + 100 * i;
        let _ = writeln!(svg, "<text x=\"{at}\" y=\"38\" fill=\"{colour}\">{mode}</text>");
    }
    for mark in 0..=MOST as usize {
        let at = x(mark as f64);
        let colour = if mark == 1 { "#c00" } else { "#ddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"48\" y2=\"{}\" stroke=\"{colour}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{mark}x</text>",
            height - 25,
            height - 8
        );
    }
    for (i, cell) in cells.iter().enumerate() {
        let y = 54 + i * ROW;
        let middle = y + 12;
        let is_chosen = |(mode, _): &&(&str, &str)| cell.chosen.starts_with(mode);
        let colour = COLOURS.iter().find(is_chosen).map_or("#000000", |(_, colour)| colour);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text><rect x=\"{LEFT}\" \
             y=\"{y}\" width=\"{:.1}\" height=\"16\" fill=\"{colour}\"><title>{}</title></rect>\
             <text x=\"{:.1}\" y=\"{middle}\">{:.2}</text>",
            LEFT - 8,
            escape(&cell.workload),
            x(cell.speedup) - LEFT as f64,
            escape(&cell.chosen),
            x(cell.speedup) + 4.0,
            cell.speedup
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
