//! A function that is added to a module to read many witness values in one call, since a call into a
//! module costs more than reading a value.

use wasm_encoder::{BlockType, Function, MemArg, ValType};

use super::module::Outline;

/// Export name of the function. Parameters: index of the first value, number of values, and address of
/// the output, with 32 bytes per value.
pub(crate) const EXPORT: &str = "athanor.readWitness";
/// Its type.
pub(super) const SHAPE: (u32, u32) = (3, 0);

/// Its body: calls circom's `getWitness` for each value and copies the value to the output.
pub(super) fn body(outline: &Outline<'_>) -> Option<Vec<u8>> {
    let get = outline.exported("getWitness", (1, 0))?;
    let exchange = outline.exported("getSharedRWMemoryStart", (0, 1))?;
    let (index, left, to, from) = (0, 1, 2, 3);
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code = function.instructions();
    code.call(exchange).local_set(from);
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(left).i32_eqz().br_if(1);
    code.local_get(index).call(get);
    for offset in [0, 8, 16, 24] {
        let limb = MemArg { offset, align: 3, memory_index: 0 };
        code.local_get(to).local_get(from).i64_load(limb).i64_store(limb);
    }
    for (local, step) in [(index, 1), (left, -1), (to, 32)] {
        code.local_get(local).i32_const(step).i32_add().local_set(local);
    }
    code.br(0).end().end().end();
    Some(function.into_raw_body())
}
