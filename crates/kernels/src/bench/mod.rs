//! Benchmarks of the kernels: one thread, CPU time, medians.
//!
//! [`rows`] runs everything. Its parts are public too, so that a comparison can interleave other
//! libraries with the same inputs in the same run.
//!
//! The row of a transform is half the time from a domain to its odd coset (an inverse transform,
//! the coset shift, a forward transform), with natural order at both ends, divided by the number of
//! points.

mod clock;
mod floor;
mod inputs;

use std::hint::black_box;

pub use self::{
    clock::{cpu_name, medians},
    floor::{Floor, read_ns_per_byte},
    inputs::{Msm, Ntt, points, scalars},
};
use crate::{Bls12_381, Bn254, Curve, Path};

/// One measurement.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Row {
    /// Curve and kernel, such as `bn254-g1-msm`.
    pub name: &'static str,
    /// Points of a sum or of a domain.
    pub n: usize,
    /// Nanoseconds of CPU time per point, one thread.
    pub ns_per_element: f64,
    /// The path, or what another library says of itself.
    pub path: &'static str,
    /// The other library; `None` for this one.
    pub peer: Option<&'static str>,
}

/// Sizes and repetitions of the benchmarks.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Logarithms of the G1 sums' lengths.
    pub g1: Vec<u32>,
    /// Logarithms of the G2 sums' lengths.
    pub g2: Vec<u32>,
    /// Logarithms of the transforms' sizes.
    pub ntt: Vec<u32>,
    /// Rounds of which the median is taken.
    pub rounds: usize,
}

impl Default for Sizes {
    /// From the size of a small circuit to the size of a large one.
    fn default() -> Self {
        Self { g1: vec![14, 20], g2: vec![14, 18], ntt: vec![14, 20], rounds: 5 }
    }
}

/// All rows, in a pool of one thread.
pub fn rows(sizes: &Sizes) -> Vec<Row> {
    let mut rows = curve_rows::<Bn254>(sizes, ["bn254-g1-msm", "bn254-g2-msm", "bn254-ntt"]);
    let names = ["bls12-381-g1-msm", "bls12-381-g2-msm", "bls12-381-ntt"];
    rows.extend(curve_rows::<Bls12_381>(sizes, names));
    rows
}

fn curve_rows<C: Curve>(sizes: &Sizes, [g1, g2, ntt]: [&'static str; 3]) -> Vec<Row> {
    let mut rows = Vec::new();
    for &log_size in &sizes.g1 {
        let msm = Msm::<C::G1Config>::dense(1 << log_size);
        rows.push(row(g1, 1 << log_size, sizes.rounds, || _ = black_box(msm.run())));
    }
    for &log_size in &sizes.g2 {
        let msm = Msm::<C::G2Config>::dense(1 << log_size);
        rows.push(row(g2, 1 << log_size, sizes.rounds, || _ = black_box(msm.run())));
    }
    for &log_size in &sizes.ntt {
        let mut transform = Ntt::<C::Fr>::new(log_size);
        let path = transform.path().name();
        let mut row = row(ntt, 1 << log_size, sizes.rounds, || transform.run());
        row.ns_per_element /= 2.0;
        row.path = path;
        rows.push(row);
    }
    rows
}

fn row(name: &'static str, n: usize, rounds: usize, mut run: impl FnMut() + Send) -> Row {
    let median = single_threaded(|| medians(rounds, &mut [&mut run])[0]);
    let ns_per_element = median.as_secs_f64() * 1e9 / n as f64;
    Row { name, n, ns_per_element, path: Path::chosen().name(), peer: None }
}

/// Runs a closure in a pool of one thread.
pub fn single_threaded<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("one thread can be started").install(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_there_and_names_its_path() {
        let rows = rows(&Sizes { g1: vec![5, 6], g2: vec![4, 5], ntt: vec![3, 6], rounds: 1 });
        let of = |name: &str| rows.iter().filter(|row| row.name == name).count();
        for curve in ["bn254", "bls12-381"] {
            for kernel in ["g1-msm", "g2-msm", "ntt"] {
                assert_eq!(of(&format!("{curve}-{kernel}")), 2);
            }
        }
        assert!(rows.iter().all(|row| row.ns_per_element > 0.0 && row.peer.is_none()));
        let json = serde_json::to_value(&rows[0]).unwrap();
        assert_eq!(json["name"], "bn254-g1-msm");
        assert_eq!(json["n"], 32);
        assert_eq!(json["path"], Path::chosen().name());
        assert!(json["peer"].is_null());
    }
}
