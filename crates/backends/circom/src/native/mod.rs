//! A module's field at native speed: circom's routines, found by their names, get bodies of ours.
//!
//! Circom writes the arithmetic of its field in 32-bit limbs, because plain wasm has no product of
//! 64 bits by 64; most of a witness's time goes there. The wide-arithmetic proposal has one, which
//! compiles to the processor's own instruction. So the routines are written anew in 64-bit limbs
//! ([`routines`]) and put in place of the module's ([`module`]); all the rest of the module stays as
//! it was, in the sandbox it was in. Functions of the host would be as fast inside, but each call
//! of one crosses a boundary and reaches into the module's memory from outside it.
//!
//! A name proves nothing. Before a module runs with our routines, each is compared with the one that
//! it replaces, bit by bit over chosen operands ([`check`]); one that differs, and the module runs
//! as it was written. What the comparison misses can make a wrong witness, never a wrong proof: a
//! module may compute whatever it likes anyway, and each proof is verified.

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

/// How a module computes in its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldCode {
    /// With so many routines of ours in place of its own.
    Native {
        /// How many.
        routines: usize,
    },
    /// As circom wrote it.
    AsWritten(AsWritten),
}

/// Why a module computes as circom wrote it: correct, but slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsWritten {
    /// It was asked for.
    #[error("as it was asked to")]
    Chosen,
    /// Nothing says which function is which.
    #[error("because it has no names (do not strip the .wasm)")]
    NoNames,
    /// Functions have names, but none that circom gives to its field's routines.
    #[error("because none of its functions is named and typed as circom's routines are")]
    NoRoutines,
    /// The order of no supported field stands in its data.
    #[error("because its field is not found in its data")]
    NoField,
    /// A routine does not do what its name says.
    #[error("because its {routine} is not circom's")]
    Differs {
        /// The first that differs.
        routine: &'static str,
    },
    /// The routines could not be run by themselves.
    #[error("because its routines cannot be tried by themselves")]
    Untried,
}

/// How many witnesses were computed in this process, by the field's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessCounts {
    /// With routines of ours.
    pub native: u64,
    /// By modules as circom wrote them.
    pub as_written: u64,
}

static NATIVE: AtomicU64 = AtomicU64::new(0);
static AS_WRITTEN: AtomicU64 = AtomicU64::new(0);

/// How many witnesses were computed so far.
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

/// A module with routines of ours in place, not yet compared with its own.
pub(crate) struct Rewritten {
    wasm: Vec<u8>,
    bench: Vec<u8>,
    curve: CurveId,
    replaced: Vec<&'static Routine>,
}

impl Rewritten {
    /// Puts our routines into a module.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, AsWritten> {
        // What cannot be parsed is for the compiler to refuse, with its words.
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
        // To compare with, the originals stay where they are.
        let beside = found.iter().map(|&(routine, index)| (index, routine.body(&field, index)));
        let bench = outline.bench("Fr_", &beside.collect::<Vec<_>>()).ok_or(AsWritten::Untried)?;
        // In the module, they go behind what is added to read with.
        let kept: Vec<u32> = found.iter().map(|found| found.1).collect();
        let bodies = (1..)
            .zip(&found)
            .map(|(n, &(routine, index))| (index, routine.body(&field, outline.added(n))));
        let mut bodies: HashMap<u32, Vec<u8>> = bodies.collect();
        if bodies.len() != found.len() {
            // One function under two names.
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

    /// What it is, once it was compared.
    pub(crate) fn field_code(&self) -> FieldCode {
        FieldCode::Native { routines: self.replaced.len() }
    }

    /// Compares our routines with those that they replace.
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
