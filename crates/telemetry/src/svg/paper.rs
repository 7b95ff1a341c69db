//! The SVG elements of a waterfall chart.

use std::fmt::{Display, Write};

/// An SVG image under construction. Coordinates are in pixels, from the top left.
pub(super) struct Paper {
    body: String,
}

impl Paper {
    pub(super) fn new() -> Paper {
        Paper { body: String::new() }
    }

    /// A filled box with a tooltip.
    pub(super) fn bar(&mut self, x: f64, y: f64, w: f64, h: f64, class: &str, tip: &str) {
        let w = w.max(0.5);
        put(
            &mut self.body,
            format_args!(
                r#"<rect x="{x:.2}" y="{y:.2}" width="{w:.2}" height="{h:.2}" class="{class}"><title>{}</title></rect>"#,
                escape(tip)
            ),
        );
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, w: f64, h: f64, class: &str) {
        put(
            &mut self.body,
            format_args!(
                r#"<rect x="{x:.2}" y="{y:.2}" width="{w:.2}" height="{h:.2}" class="{class}"/>"#
            ),
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        put(
            &mut self.body,
            format_args!(
                r#"<line x1="{:.2}" y1="{:.2}" x2="{:.2}" y2="{:.2}" class="{class}"/>"#,
                from.0, from.1, to.0, to.1
            ),
        );
    }

    /// `class` chooses the anchor: `start` (default), `middle`, `end`, with size and weight.
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: impl Display) {
        put(
            &mut self.body,
            format_args!(
                r#"<text x="{x:.2}" y="{y:.2}" class="{class}">{}</text>"#,
                escape(&text.to_string())
            ),
        );
    }

    /// A closed area.
    pub(super) fn area(&mut self, points: &[(f64, f64)], class: &str) {
        let mut list = String::new();
        for (x, y) in points {
            let _ = write!(list, "{x:.2},{y:.2} ");
        }
        put(
            &mut self.body,
            format_args!(r#"<polygon points="{}" class="{class}"/>"#, list.trim_end()),
        );
    }

    /// Draws another image on top of this one.
    pub(super) fn join(&mut self, above: Paper) {
        self.body.push_str(&above.body);
    }

    /// The whole file.
    pub(super) fn finish(self, width: f64, height: f64, title: &str, style: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{}</title>\n\
             <style>{style}</style>\n{}</svg>\n",
            escape(title),
            self.body
        )
    }
}

fn put(body: &mut String, element: std::fmt::Arguments<'_>) {
    let _ = writeln!(body, "{element}");
}

/// Escapes untrusted text (names in a scenario) for XML; control characters are dropped.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
