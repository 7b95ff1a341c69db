//! Operation counters of each path.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Path;

/// Operations of one path since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Multi-scalar multiplications.
    pub msms: u64,
    /// Affine additions in them.
    pub additions: u64,
    /// Field inversions in them, each shared by a batch of additions.
    pub inversions: u64,
    /// Matrices evaluated on a witness.
    pub evaluations: u64,
    /// Transforms between evaluations on a domain, or on its odd coset, and coefficients.
    pub transforms: u64,
}

/// Reads the counters of a path.
pub fn counters(path: Path) -> Counters {
    let cells = cells(path);
    let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
    Counters {
        msms: read(&cells.msms),
        additions: read(&cells.additions),
        inversions: read(&cells.inversions),
        evaluations: read(&cells.evaluations),
        transforms: read(&cells.transforms),
    }
}

struct Cells {
    msms: AtomicU64,
    additions: AtomicU64,
    inversions: AtomicU64,
    evaluations: AtomicU64,
    transforms: AtomicU64,
}

fn cells(path: Path) -> &'static Cells {
    static CELLS: [Cells; Path::ALL.len()] = [const {
        Cells {
            msms: AtomicU64::new(0),
            additions: AtomicU64::new(0),
            inversions: AtomicU64::new(0),
            evaluations: AtomicU64::new(0),
            transforms: AtomicU64::new(0),
        }
    }; Path::ALL.len()];
    &CELLS[path as usize]
}

pub(crate) fn count_msm(path: Path, additions: u64, inversions: u64) {
    let cells = cells(path);
    cells.msms.fetch_add(1, Ordering::Relaxed);
    cells.additions.fetch_add(additions, Ordering::Relaxed);
    cells.inversions.fetch_add(inversions, Ordering::Relaxed);
}

pub(crate) fn count_evaluation(path: Path) {
    cells(path).evaluations.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn count_transforms(path: Path, transforms: u64) {
    cells(path).transforms.fetch_add(transforms, Ordering::Relaxed);
}
