//! Compares new routines with those of a module, bit by bit over chosen operands.

use std::time::Duration;

use wasmtime::{Engine, Module};

use super::{
    AsWritten, bytes_of,
    routines::{Operand, Routine},
};
use crate::{
    Limits, RunError,
    sandbox::{Run, Sandbox},
};

/// Address of the first operand slot, after the module's data in its first page.
const SLOTS: usize = 1 << 16;
/// Bytes from one operand slot to the next.
const SLOT: usize = 64;
/// Bytes of an operand and of the area after it, which routines must not change.
type Slot = [u8; SLOT];
/// Time limit of the comparison, which usually takes a fraction of a second.
const LONGEST: Duration = Duration::from_secs(10);

/// Runs each pair of routines of the comparison module over all operands, with a time limit.
pub(super) fn compare(
    engine: &Engine,
    bench: &[u8],
    routines: &[&'static Routine],
    modulus: &[u64; 4],
    limits: &Limits,
) -> Result<(), AsWritten> {
    let untried = |_| AsWritten::Untried;
    let module = Module::from_binary(engine, bench).map_err(untried)?;
    let limits = Limits { time: limits.time.min(LONGEST), ..limits.clone() };
    let sandbox = Sandbox::new(module, &limits).map_err(|_| AsWritten::Untried)?;
    let (longs, elements) = (longs(modulus), elements(modulus));
    sandbox.run_bare(|run| {
        for (n, routine) in routines.iter().enumerate() {
            let differs = AsWritten::Differs { routine: routine.name };
            let of_elements = routine.operands.contains(&Operand::Element);
            let values = if of_elements { &elements } else { &longs };
            match is_same(run, n, routine, values) {
                Ok(true) => {}
                // A timeout may be due to a busy machine and not to the routine.
                Err(RunError::Deadline { .. }) => return Err(AsWritten::Untried),
                Ok(false) | Err(_) => return Err(differs),
            }
        }
        Ok(())
    })
}

impl From<RunError> for AsWritten {
    fn from(_: RunError) -> Self {
        AsWritten::Untried
    }
}

/// Values at the limits of limbs and of the field, values above the field, and some random ones.
fn longs(modulus: &[u64; 4]) -> Vec<Slot> {
    let [p0, p1, p2, p3] = *modulus;
    const ONES: u64 = u64::MAX;
    let mut values = vec![
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [ONES, 0, 0, 0],
        [0, 1, 0, 0],
        [ONES, ONES, 0, 0],
        [0, 0, ONES, ONES >> 3],
        [p0 - 1, p1, p2, p3],
        [p0, p1, p2, p3],
        [p0 + 1, p1, p2, p3],
        [p0 >> 1 | p1 << 63, p1 >> 1 | p2 << 63, p2 >> 1 | p3 << 63, p3 >> 1],
        [ONES, ONES, ONES, ONES],
        [0, 0, 0, 1 << 63],
    ];
    let mut below = modulus.to_owned();
    for seed in 0u64..6 {
        let digest = blake3::hash(&seed.to_le_bytes());
        for (limb, bytes) in below.iter_mut().zip(digest.as_bytes().as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        below[3] %= p3;
        values.push(below);
    }
    let padded = |value| {
        let mut slot = [0xaa; SLOT];
        slot[..32].copy_from_slice(&bytes_of(value));
        slot
    };
    values.iter().map(padded).collect()
}

/// Elements of all four kinds, with unrelated short and long values.
fn elements(modulus: &[u64; 4]) -> Vec<Slot> {
    const SHORT: [i32; 9] = [0, 1, -1, 7, i32::MAX, i32::MIN, 46_341, -46_341, 0x1234_5678];
    let longs = longs(modulus);
    let of_kind = |kind: usize| {
        (0..SHORT.len()).map(move |n| (SHORT[(n + kind) % SHORT.len()], (kind as u32) << 30, n))
    };
    let all = (0..4).flat_map(of_kind).zip(longs.iter().cycle());
    all.map(|((short, kind, n), long)| {
        let mut element = [0; SLOT];
        element[..4].copy_from_slice(&short.to_le_bytes());
        element[4..8].copy_from_slice(&kind.to_le_bytes());
        // Long values are field elements in circom's modules; here this holds for the first ones.
        let long = if n < 4 { &longs[n * 2] } else { long };
        element[8..40].copy_from_slice(&long[..32]);
        element
    })
    .collect()
}

/// Calls both routines with the same operands, in separate and in shared slots.
fn is_same(run: &mut Run, n: usize, routine: &Routine, values: &[Slot]) -> Result<bool, RunError> {
    let (old, new) =
        (run.any_function(&format!("old {n}"))?, run.any_function(&format!("new {n}"))?);
    let places: &[&[usize]] = match routine.operands.len() {
        1 => &[&[0]],
        2 => &[&[0, 1], &[0, 0]],
        _ => &[&[0, 1, 2], &[0, 1, 0], &[0, 1, 1], &[0, 0, 2], &[0, 0, 0]],
    };
    let operands = routine.operands.iter().filter(|&&operand| operand != Operand::Result).count();
    let seconds = if operands > 1 { values } else { &values[..1] };
    for first in values {
        for second in seconds {
            for slots in places {
                let mut before = [[0x55; SLOT]; 3];
                let mut inputs = [first, second].into_iter();
                for (operand, &slot) in routine.operands.iter().zip(*slots) {
                    if *operand != Operand::Result
                        && let Some(input) = inputs.next()
                    {
                        before[slot] = *input;
                    }
                }
                let pointers: Vec<i32> =
                    slots.iter().map(|slot| (SLOTS + slot * SLOT) as i32).collect();
                let mut outcome = |function| {
                    run.write(SLOTS, before.as_flattened())?;
                    let value = run.invoke_any(function, &pointers)?;
                    let mut after = [0; 3 * SLOT];
                    run.read(SLOTS, &mut after)?;
                    Ok::<_, RunError>((value, after))
                };
                if outcome(&old)? != outcome(&new)? {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}
