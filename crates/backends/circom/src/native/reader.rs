//! A function for a module to hand out many values of its witness at once: each call into a module
//! costs more than what it is called for.

use wasm_encoder::{BlockType, Function, MemArg, ValType};

use super::module::Outline;

/// What the function is exported as. It takes the first value's index, how many, and where to put
/// them: 32 bytes each, where there is room for them.
pub(crate) const EXPORT: &str = "athanor.readWitness";
/// Its type.
pub(super) const SHAPE: (u32, u32) = (3, 0);

/// Its body: circom's `getWitness` for each, and a copy from where that puts the value.
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
