//! Round numbers for axes, and units for times and bytes.

/// A round distance between ticks, for about `wanted` ticks up to `end`.
pub(super) fn step(end: f64, wanted: usize, round: &[f64]) -> f64 {
    let raw = end / wanted.max(1) as f64;
    if !raw.is_finite() || raw <= 0.0 {
        return 1.0;
    }
    if let Some(&found) = round.iter().find(|&&r| r >= raw) {
        return found;
    }
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|&s| s >= raw * 0.999).unwrap_or(raw)
}

/// The best unit for times up to `end` seconds: its name and its length in seconds.
pub(super) fn time_unit(end: f64) -> (&'static str, f64) {
    match end {
        e if e < 1e-3 => ("µs", 1e-6),
        e if e < 1.0 => ("ms", 1e-3),
        e if e < 1200.0 => ("s", 1.0),
        e if e < 72_000.0 => ("min", 60.0),
        _ => ("h", 3600.0),
    }
}

/// At most three digits after the point, without trailing zeros.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `2.5 s`, `40 ms`, ...
pub(super) fn seconds(value: f64) -> String {
    let (unit, length) = time_unit(value);
    format!("{} {unit}", number(((value / length) * 100.0).round() / 100.0))
}

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// The best binary unit for that number of bytes: its name and its size.
pub(super) fn byte_unit(bytes: u64) -> (&'static str, f64) {
    let power = bytes.max(1).ilog2() / 10;
    // Up to 2,047 of a unit, so that axes of 754 GiB and 1,500 GiB have the same unit.
    let power = if bytes >> (10 * power) < 2 { power.saturating_sub(1) } else { power };
    (UNITS[power as usize], 1024f64.powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_about_as_many_as_wanted() {
        for end in [0.003, 0.7, 1.0, 59.0, 66.0, 1e3, 12_345.0] {
            let n = end / step(end, 10, &[]);
            assert!((3.0..=10.01).contains(&n), "{end}: {n}");
        }
        assert_eq!(step(66.0, 10, &[]), 10.0);
        assert_eq!(step(700.0, 8, &[64.0, 128.0, 256.0]), 128.0);
        assert_eq!(step(0.0, 10, &[]), 1.0);
    }

    #[test]
    fn words_carry_their_unit() {
        assert_eq!(seconds(2.5), "2.5 s");
        assert_eq!(seconds(0.04), "40 ms");
        assert_eq!(byte_unit(754 << 30).0, "GiB");
        assert_eq!(byte_unit(1 << 30).0, "MiB");
        assert_eq!(byte_unit(0).0, "B");
    }
}
