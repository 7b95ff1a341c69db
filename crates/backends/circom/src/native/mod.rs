//! Fast field arithmetic for circom's modules: replaces the bodies of circom's field routines.
//!
//! Circom emits field arithmetic in 32-bit limbs, because plain wasm has no 64×64-bit product; most of
//! a witness's time is spent there. The wide-arithmetic proposal has such a product, which compiles to
//! the processor's instruction. The routines are therefore rewritten in 64-bit limbs ([`routines`]) and
//! replace the module's ([`module`]). The rest of the module is unchanged and runs in the same sandbox.
//! Host functions would be as fast inside, but each call would cross the sandbox boundary.
//!
//! Routines are found by name, and a name may be wrong. So each new routine is first compared with the
//! one that it replaces, bit by bit over chosen operands ([`check`]). If one differs, the module runs
//! unmodified. An error that the comparison misses can cause a wrong witness, but not a wrong proof: a
//! module can compute any witness anyway, and each proof is verified.

mod body;
mod check;
mod constants;
mod elements;
mod module;
mod reader;
mod routines;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use athanor_kernels::CurveId;
use wasmtime::Engine;

use crate::{Limits, number};
use body::Modulus;
use module::Outline;
use routines::{ROUTINES, Routine};

/// The field routines that a module uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCode {
    /// Some of its routines are replaced.
    Native {
        /// Number of replaced routines.
        routines: usize,
    },
    /// All routines are circom's.
    AsWritten(AsWritten),
}

/// Why a module uses circom's routines, which are correct but slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsWritten {
    /// The caller requested it.
    #[error("as requested")]
    Chosen,
    /// The module has no function names.
    #[error("because it has no names (do not strip the .wasm)")]
    NoNames,
    /// No function has the name and type of a field routine of circom.
    #[error("because none of its functions has the name and type of a routine of circom")]
    NoRoutines,
    /// The module's data does not contain the order of a supported field.
    #[error("because its data does not contain the order of a supported field")]
    NoField,
    /// A routine differs from circom's routine of the same name.
    #[error("because its {routine} is not circom's")]
    Differs {
        /// Name of the first routine that differs.
        routine: &'static str,
    },
    /// The routines cannot be run separately.
    #[error("because its routines cannot be run separately for a comparison")]
    Untried,
}

/// Numbers of witnesses computed in this process, by field routines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessCounts {
    /// With replaced routines.
    pub native: u64,
    /// With circom's routines.
    pub as_written: u64,
}

static NATIVE: AtomicU64 = AtomicU64::new(0);
static AS_WRITTEN: AtomicU64 = AtomicU64::new(0);

/// The numbers of witnesses computed so far.
pub fn witness_counts() -> WitnessCounts {
    WitnessCounts {
        native: NATIVE.load(Ordering::Relaxed),
        as_written: AS_WRITTEN.load(Ordering::Relaxed),
    }
}

impl FieldCode {
    pub(crate) fn count(self) {
        let counter = match self {
            FieldCode::Native { .. } => &NATIVE,
            FieldCode::AsWritten(_) => &AS_WRITTEN,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) use reader::EXPORT as READER;

/// A module with replaced routines that have not been compared yet.
pub(crate) struct Rewritten {
    wasm: Vec<u8>,
    bench: Vec<u8>,
    curve: CurveId,
    replaced: Vec<&'static Routine>,
}

impl Rewritten {
    /// Replaces the routines of a module.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, AsWritten> {
        // A module that cannot be parsed is left to the compiler, whose error is more specific.
        let outline = Outline::of(wasm).map_err(|_| AsWritten::Untried)?;
        if !outline.has_names() {
            return Err(AsWritten::NoNames);
        }
        let found = |routine: &'static Routine| {
            Some((routine, outline.function(routine.name, routine.shape())?))
        };
        let found: Vec<(&Routine, u32)> = ROUTINES.iter().filter_map(found).collect();
        if found.is_empty() {
            return Err(AsWritten::NoRoutines);
        }
        let curve = [CurveId::Bn254, CurveId::Bls12_381]
            .into_iter()
            .find(|&curve| outline.holds(&bytes_of(&number::modulus(curve))))
            .ok_or(AsWritten::NoField)?;
        let field = Modulus::new(number::modulus(curve));
        // For the comparison, the originals keep their indices.
        let beside = found.iter().map(|&(routine, index)| (index, routine.body(&field, index)));
        let bench = outline.bench("Fr_", &beside.collect::<Vec<_>>()).ok_or(AsWritten::Untried)?;
        // In the module, they are placed after the added reader function.
        let kept: Vec<u32> = found.iter().map(|found| found.1).collect();
        let bodies = (1..)
            .zip(&found)
            .map(|(n, &(routine, index))| (index, routine.body(&field, outline.added(n))));
        let mut bodies: HashMap<u32, Vec<u8>> = bodies.collect();
        if bodies.len() != found.len() {
            // One function has two names.
            return Err(AsWritten::NoRoutines);
        }
        if let Some((_, copy)) = found.iter().find(|found| found.0.name == "Fr_copy") {
            let others = outline.bodies().filter(|(index, _)| !bodies.contains_key(index));
            let new =
                others.filter_map(|(index, body)| Some((index, constants::inlined(body, *copy)?)));
            let new: Vec<_> = new.collect();
            bodies.extend(new);
        }
        let reader = reader::body(&outline).ok_or(AsWritten::Untried)?;
        let added = (reader::EXPORT, reader::SHAPE, &*reader);
        let wasm = outline.with(&bodies, added, &kept).ok_or(AsWritten::Untried)?;
        Ok(Self { wasm, bench, curve, replaced: found.into_iter().map(|found| found.0).collect() })
    }

    /// The module.
    pub(crate) fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// The field routines in use, after the comparison.
    pub(crate) fn field_code(&self) -> FieldCode {
        FieldCode::Native { routines: self.replaced.len() }
    }

    /// Compares the new routines with those that they replace.
    pub(crate) fn check(&self, engine: &Engine, limits: &Limits) -> Result<(), AsWritten> {
        let modulus = number::modulus(self.curve);
        check::compare(engine, &self.bench, &self.replaced, &modulus, limits)
    }
}

fn bytes_of(limbs: &[u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(limbs) {
        *bytes = limb.to_le_bytes();
    }
    bytes
}
