//! Inlines copies of constants.
//!
//! Circom copies each constant of a template into a variable by a call of `Fr_copy`, each time that the
//! template runs; a chain of Poseidon hashes spends half its time there. If the source of such a call
//! is a constant address, the call is replaced by inline loads and stores.

use wasm_encoder::{InstructionSink, MemArg};
use wasmparser::{BinaryReader, FunctionBody, Operator};

/// Bytes of an element.
const ELEMENT: u32 = 40;

/// A body with inlined copies of constants; `None` if it has no such copies.
pub(super) fn inlined(body: &[u8], copy: u32) -> Option<Vec<u8>> {
    let mut operators =
        FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader().ok()?;
    let mut new = Vec::new();
    let mut written = 0;
    // Offsets and operators of the last instructions, as many as a copy has.
    let mut last: [(usize, Operator<'_>); 7] = std::array::from_fn(|_| (0, Operator::Nop));
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset().ok()?;
        let is_call =
            matches!(operator, Operator::Call { function_index } if function_index == copy);
        last.rotate_left(1);
        last[6] = (at, operator);
        if is_call && let Some(found) = Copy::of(&last) {
            new.extend_from_slice(body.get(written..last[0].0)?);
            found.write(&mut InstructionSink::new(&mut new));
            written = operators.original_position();
        }
    }
    if written == 0 {
        return None;
    }
    new.extend_from_slice(body.get(written..)?);
    Some(new)
}

/// A copy from a constant address to a variable.
struct Copy {
    variables: u32,
    to: u32,
    from: u32,
}

impl Copy {
    /// Circom's code for a copy: `index·40 + variables`, source, call.
    fn of(operators: &[(usize, Operator<'_>); 7]) -> Option<Self> {
        let [
            Operator::I32Const { value: index },
            Operator::I32Const { value: 40 },
            Operator::I32Mul,
            Operator::LocalGet { local_index: variables },
            Operator::I32Add,
            Operator::I32Const { value: from },
            Operator::Call { .. },
        ] = operators.each_ref().map(|(_, operator)| operator)
        else {
            return None;
        };
        // Offsets of loads do not wrap around, unlike sums.
        let to = u32::try_from(*index).ok()?.checked_mul(ELEMENT)?;
        let from = u32::try_from(*from).ok()?;
        Some(Self { variables: *variables, to, from })
    }

    fn write(&self, code: &mut InstructionSink<'_>) {
        let at = |offset: u32, align| MemArg { offset: offset.into(), align, memory_index: 0 };
        let Self { variables, to, from } = *self;
        for piece in [0, 16] {
            code.local_get(variables).i32_const(from as i32);
            code.v128_load(at(piece, 3)).v128_store(at(to + piece, 3));
        }
        code.local_get(variables).i32_const(from as i32);
        code.i64_load(at(32, 3)).i64_store(at(to + 32, 3));
    }
}
