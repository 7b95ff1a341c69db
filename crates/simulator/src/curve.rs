//! How long a stage takes when `n` of it run at once.
//!
//! There are three forms. [`Form::Table`] joins measured points. [`Form::Linear`] is the straight
//! line through two points. [`Form::Shared`] is fitted on two points and models a shared resource:
//! every run spends `own` seconds on resources of its own and needs `common` seconds of one
//! resource that all runs share (usually memory bandwidth) and that divides its speed among them.
//! With `n` runs in a closed loop this is the machine-repairman model; mean value analysis (Reiser
//! and Lavenberg, 1980) gives its exact mean:
//!
//! ```text
//!     q(0) = 0,   r(n) = common * (1 + q(n-1)),   L(n) = own + r(n),   q(n) = n * r(n) / L(n)
//! ```
//!
//! The curve is flat while the shared resource is idle and approaches the line `n * common` when it
//! is saturated; a straight line through the same two points is too high between them. Two points
//! determine `own` and `common`, and both can be compared with measurements of the stage.

use serde::Deserialize;

/// The form of a curve through its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Linear between points, constant before the first, and with the last slope after the last.
    Table,
    /// The straight line through two points, never below the value at 1.
    Linear,
    /// A part on own resources and a part on a shared one, fitted on two points.
    Shared,
}

/// Why points do not define a curve.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CurveError {
    /// The number of points does not suit the form.
    #[error("form {form:?} needs {needs} points, and there are {has}")]
    Points {
        /// The form.
        form: Form,
        /// The number of points that it needs.
        needs: &'static str,
        /// The number of points given.
        has: usize,
    },
    /// The points are not in order, or a number of runs is below one.
    #[error("points must be [runs at once, seconds] with runs growing from at least 1")]
    Order,
    /// A time is out of range.
    #[error("{0} is not a time in seconds between 0 and 10,000,000")]
    Time(f64),
    /// A run with more runs at once is faster.
    #[error("{runs} runs at once cannot be faster than fewer ({seconds} s after {before} s)")]
    Falls {
        /// Runs at once.
        runs: u32,
        /// Seconds of each.
        seconds: f64,
        /// Seconds with fewer runs.
        before: f64,
    },
    /// `n` runs at once are more than `n` times as slow as one, which sharing cannot explain.
    #[error(
        "no sharing makes {runs} runs take {seconds} s when the first point is {first} s: \
         use form = \"table\""
    )]
    NotShared {
        /// Runs at once.
        runs: u32,
        /// Their time.
        seconds: f64,
        /// Seconds at the first point.
        first: f64,
    },
}

/// The seconds of a run, by the number of runs at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Constant(f64),
    Table(Vec<(u32, f64)>),
    Shared { own: f64, common: f64 },
}

/// The longest duration of one run, in seconds.
const LONGEST: f64 = 1e7;

impl Curve {
    /// A duration that does not depend on the number of runs.
    pub fn constant(seconds: f64) -> Result<Curve, CurveError> {
        time(seconds)?;
        Ok(Curve { kind: Kind::Constant(seconds) })
    }

    /// The curve of that form through points of (runs at once, seconds).
    pub fn through(form: Form, points: &[(u32, f64)]) -> Result<Curve, CurveError> {
        let needs = |needs| CurveError::Points { form, needs, has: points.len() };
        match (form, points.len()) {
            (Form::Table, 0) => return Err(needs("one or more")),
            (Form::Linear | Form::Shared, n) if n != 2 => return Err(needs("two")),
            _ => {}
        }
        for &(_, seconds) in points {
            time(seconds)?;
        }
        if points[0].0 == 0 || points.windows(2).any(|w| w[0].0 >= w[1].0) {
            return Err(CurveError::Order);
        }
        if let Some(w) = points.windows(2).find(|w| w[1].1 < w[0].1) {
            return Err(CurveError::Falls { runs: w[1].0, seconds: w[1].1, before: w[0].1 });
        }
        let kind = match form {
            Form::Table => Kind::Table(points.to_vec()),
            Form::Linear => {
                let slope = (points[1].1 - points[0].1) / f64::from(points[1].0 - points[0].0);
                let alone = (points[0].1 - slope * f64::from(points[0].0 - 1)).max(0.0);
                Kind::Table(vec![(1, alone), points[1]])
            }
            Form::Shared => fit(points[0], points[1])?,
        };
        Ok(Curve { kind })
    }

    /// Seconds of a run while `1, 2, .. most` runs are active.
    pub fn table(&self, most: usize) -> Vec<f64> {
        match &self.kind {
            Kind::Constant(seconds) => vec![*seconds; most],
            Kind::Table(points) => (1..=most).map(|n| between(points, n as f64)).collect(),
            Kind::Shared { own, common } => shared(*own, *common, most),
        }
    }

    /// Seconds of one run alone.
    pub fn alone(&self) -> f64 {
        self.table(1)[0]
    }

    /// Whether the duration does not depend on the number of runs.
    pub fn is_constant(&self) -> bool {
        matches!(self.kind, Kind::Constant(_))
    }

    /// The parts of a shared curve: `own` and `common`, in seconds.
    pub fn parts(&self) -> Option<(f64, f64)> {
        match self.kind {
            Kind::Shared { own, common } => Some((own, common)),
            _ => None,
        }
    }
}

fn time(seconds: f64) -> Result<(), CurveError> {
    if (0.0..=LONGEST).contains(&seconds) { Ok(()) } else { Err(CurveError::Time(seconds)) }
}

fn between(points: &[(u32, f64)], n: f64) -> f64 {
    let first = points[0];
    if n <= f64::from(first.0) || points.len() == 1 {
        return first.1;
    }
    let at = points.iter().position(|p| n <= f64::from(p.0)).unwrap_or(points.len() - 1);
    let (a, b) = (points[at - 1], points[at]);
    a.1 + (b.1 - a.1) * (n - f64::from(a.0)) / f64::from(b.0 - a.0)
}

fn shared(own: f64, common: f64, most: usize) -> Vec<f64> {
    let mut queue = 0.0;
    (1..=most)
        .map(|n| {
            let wait = common * (1.0 + queue);
            let total = own + wait;
            queue = if total > 0.0 { n as f64 * wait / total } else { 0.0 };
            total
        })
        .collect()
}

/// The `own` and `common` with which the curve passes through both points. For a given fraction of
/// `common`, a division gives the scale that meets the first point; the value at the second point
/// grows with the fraction, so bisection finds the fraction.
fn fit(first: (u32, f64), second: (u32, f64)) -> Result<Kind, CurveError> {
    let at = |share: f64| {
        let unit = shared(1.0 - share, share, second.0 as usize);
        let scale = first.1 / unit[first.0 as usize - 1];
        (scale, scale * unit[second.0 as usize - 1])
    };
    let not = CurveError::NotShared { runs: second.0, seconds: second.1, first: first.1 };
    if at(1.0).1 < second.1 * (1.0 - 1e-9) {
        return Err(not);
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if at(middle).1 < second.1 { low = middle } else { high = middle }
    }
    let (scale, _) = at(high);
    Ok(Kind::Shared { own: scale * (1.0 - high), common: scale * high })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * b.abs().max(1.0)
    }

    #[test]
    fn every_form_passes_through_its_points() {
        for form in [Form::Table, Form::Linear, Form::Shared] {
            for points in [[(1, 29.0), (12, 51.0)], [(2, 5.0), (30, 5.0)], [(3, 4.0), (9, 11.9)]] {
                let table = Curve::through(form, &points).unwrap().table(40);
                for (runs, seconds) in points {
                    assert!(close(table[runs as usize - 1], seconds), "{form:?} {points:?}");
                }
                assert!(table.windows(2).all(|w| w[0] <= w[1] + 1e-12), "{form:?} never falls");
            }
        }
    }

    #[test]
    fn shared_is_flat_when_nothing_is_shared_and_a_queue_when_everything_is() {
        assert_eq!(shared(7.0, 0.0, 5), [7.0; 5]);
        let all = shared(0.0, 2.0, 4);
        assert!(all.iter().zip([2.0, 4.0, 6.0, 8.0]).all(|(&a, b)| close(a, b)), "{all:?}");
        // The shared resource serves at most one run per `common` seconds.
        let (own, common) = (25.0, 4.0);
        for (at, total) in shared(own, common, 300).iter().enumerate() {
            let rate = (at + 1) as f64 / total;
            assert!(rate <= 1.0 / common + 1e-9);
        }
    }

    #[test]
    fn points_that_make_no_sense_are_refused_with_the_reason() {
        let through = |form, points: &[(u32, f64)]| Curve::through(form, points).unwrap_err();
        assert!(matches!(through(Form::Shared, &[(1, 2.0)]), CurveError::Points { .. }));
        assert!(matches!(through(Form::Table, &[]), CurveError::Points { .. }));
        assert_eq!(through(Form::Table, &[(0, 2.0)]), CurveError::Order);
        assert_eq!(through(Form::Table, &[(2, 2.0), (2, 3.0)]), CurveError::Order);
        assert!(matches!(through(Form::Linear, &[(1, 3.0), (2, 2.0)]), CurveError::Falls { .. }));
        let crowded = through(Form::Shared, &[(1, 1.0), (4, 9.0)]);
        assert!(matches!(crowded, CurveError::NotShared { .. }));
        assert!(matches!(Curve::constant(f64::NAN), Err(CurveError::Time(_))));
        assert!(matches!(Curve::constant(-1.0), Err(CurveError::Time(_))));
    }
}
