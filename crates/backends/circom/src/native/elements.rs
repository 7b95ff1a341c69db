//! The routines over circom's field elements. An element takes 40 bytes: a short value of 32 bits, a
//! word with the element's kind in its top two bits, and a long value of 256 bits.
//!
//! | bits | valid values |
//! |------|--------------------|
//! | 00   | the short one, signed |
//! | 01   | the short one, and the long one in Montgomery form |
//! | 10   | the long one |
//! | 11   | the long one, in Montgomery form |
//!
//! The common kinds have fast paths here; for the others the module's own routine is kept and called.

use wasm_encoder::{BlockType, MemArg};

use super::body::{Body, Long, Modulus, Word, known};

/// Offset of the long value in an element.
const LONG: u64 = 8;
/// The bit of Montgomery form.
const MONTGOMERY: i32 = 1 << 30;
/// The kind words of long values.
const NORMAL_KIND: i32 = i32::MIN;
const MONTGOMERY_KIND: i32 = i32::MIN | MONTGOMERY;

/// Parameters: `to`, `from`. Copies in the units in which elements are written, since a load that spans two
/// recent stores would wait for both to reach the cache.
pub(super) fn copy(body: &mut Body, _: &Modulus, _: u32) {
    let half = |offset| MemArg { offset, align: 2, memory_index: 0 };
    for offset in [0, 4] {
        body.sink().local_get(0).local_get(1).i32_load(half(offset)).i32_store(half(offset));
    }
    let long = body.load_long(1, LONG);
    body.store_long(0, LONG, long);
}

/// Result, a, b.
pub(super) fn add(body: &mut Body, field: &Modulus, original: u32) {
    linear(
        body,
        original,
        |code| _ = code.sink().i64_add(),
        |code, a, b| {
            let (sum, carry) = code.add_long(a, b);
            code.reduce_once(field, sum, carry)
        },
    );
}

/// Result, a, b.
pub(super) fn sub(body: &mut Body, field: &Modulus, original: u32) {
    linear(
        body,
        original,
        |code| _ = code.sink().i64_sub(),
        |code, a, b| code.subtract_modulo(field, a, b),
    );
}

/// The common part of sums and differences: the kind of the result is that of both operands.
fn linear(
    body: &mut Body,
    original: u32,
    short: impl Fn(&mut Body),
    long: impl Fn(&mut Body, Long, Long) -> Long,
) {
    shorts(body, original, short);
    // Both have a Montgomery form, or both are long and neither has one.
    body.kind(1);
    body.kind(2);
    body.sink().i32_and().i32_const(MONTGOMERY).i32_and().if_(BlockType::Empty);
    let (a, b) = (body.load_long(1, LONG), body.load_long(2, LONG));
    let result = long(body, a, b);
    finish(body, MONTGOMERY_KIND, result);
    body.sink().end();
    body.kind(1);
    body.kind(2);
    body.sink().i32_and().i32_const(0).i32_lt_s();
    body.kind(1);
    body.kind(2);
    body.sink().i32_or().i32_const(MONTGOMERY).i32_and().i32_eqz().i32_and();
    body.sink().if_(BlockType::Empty);
    let (a, b) = (body.load_long(1, LONG), body.load_long(2, LONG));
    let result = long(body, a, b);
    finish(body, NORMAL_KIND, result);
    body.sink().end();
    call_original(body, original);
}

/// Result, a, b.
pub(super) fn mul(body: &mut Body, field: &Modulus, original: u32) {
    shorts(body, original, |code| _ = code.sink().i64_mul());
    // A short operand without a Montgomery form must be converted first.
    for operand in [1, 2] {
        body.kind(operand);
        body.sink().i32_const(30).i32_shr_u().i32_eqz().if_(BlockType::Empty);
        call_original(body, original);
        body.sink().return_().end();
    }
    let (a, b) = (body.load_long(1, LONG), body.load_long(2, LONG));
    let product = body.multiply(field, a, b);
    body.kind(1);
    body.kind(2);
    body.sink().i32_and().i32_const(MONTGOMERY).i32_and().if_(BlockType::Empty);
    finish(body, MONTGOMERY_KIND, product);
    body.sink().end();
    body.kind(1);
    body.kind(2);
    body.sink().i32_or().i32_const(MONTGOMERY).i32_and().if_(BlockType::Empty);
    finish(body, NORMAL_KIND, product);
    body.sink().end();
    // Neither operand has a Montgomery form: the product lacks two factors of 2^256.
    let product = body.multiply(field, product, known(field.power_of_two(768)));
    finish(body, MONTGOMERY_KIND, product);
}

/// For two short operands: stores the result and returns, if the result is short too.
fn shorts(body: &mut Body, original: u32, operation: impl Fn(&mut Body)) {
    let short = MemArg { offset: 0, align: 2, memory_index: 0 };
    body.kind(1);
    body.kind(2);
    body.sink().i32_or().i32_const(0).i32_ge_s().if_(BlockType::Empty);
    body.sink().local_get(1).i64_load32_s(short).local_get(2).i64_load32_s(short);
    operation(body);
    let result = body.take();
    body.push(result);
    body.push(result);
    body.sink().i64_extend32_s().i64_eq().if_(BlockType::Empty);
    body.sink().local_get(0);
    body.push(result);
    body.sink().i64_store32(short);
    store_kind(body, 0);
    body.sink().return_().end();
    // The result has more than 32 bits.
    call_original(body, original);
    body.sink().return_().end();
}

fn finish(body: &mut Body, kind: i32, result: Long) {
    store_kind(body, kind);
    body.store_long(0, LONG, result);
    body.sink().return_();
}

fn store_kind(body: &mut Body, kind: i32) {
    let at = MemArg { offset: 4, align: 2, memory_index: 0 };
    body.sink().local_get(0).i32_const(kind).i32_store(at);
}

fn call_original(body: &mut Body, original: u32) {
    body.sink().local_get(0).local_get(1).local_get(2).call(original);
}

/// Parameter: an element. Converts it from Montgomery form in place.
pub(super) fn to_normal(body: &mut Body, field: &Modulus, _: u32) {
    normalise(body, field);
}

fn normalise(body: &mut Body, field: &Modulus) {
    body.kind(0);
    body.sink().i32_const(30).i32_shr_u().i32_const(3).i32_eq().if_(BlockType::Empty);
    let x = body.load_long(0, LONG);
    let value = body.out_of_montgomery(field, x);
    store_kind(body, NORMAL_KIND);
    body.store_long(0, LONG, value);
    body.sink().end();
}

/// Parameter: an element. Returns whether it is in the upper half of the field.
pub(super) fn is_negative(body: &mut Body, field: &Modulus, _: u32) {
    return_short(body, |code| _ = code.sink().i32_const(0).i32_lt_s());
    normalise(body, field);
    upper_half(body, field);
}

/// Parameter: an element. Returns its lowest 32 bits as a signed number.
pub(super) fn to_int(body: &mut Body, field: &Modulus, _: u32) {
    return_short(body, |_| {});
    normalise(body, field);
    // The signed value of an element in the upper half is x - p.
    let low = body.load(0, LONG);
    upper_half(body, field);
    body.sink().if_(BlockType::Result(wasm_encoder::ValType::I32));
    body.push(low);
    body.sink().i32_wrap_i64().i32_const(field.limbs[0] as i32).i32_sub().else_();
    body.push(low);
    body.sink().i32_wrap_i64().end();
}

/// Returns a short element's value after applying an operation.
fn return_short(body: &mut Body, then: impl Fn(&mut Body)) {
    body.kind(0);
    body.sink().i32_const(0).i32_ge_s().if_(BlockType::Empty);
    body.sink().local_get(0).i32_load(MemArg { offset: 0, align: 2, memory_index: 0 });
    then(body);
    body.sink().return_().end();
}

/// Whether a long element is larger than half the field; its highest limb nearly always decides.
fn upper_half(body: &mut Body, field: &Modulus) {
    let half = field.half();
    let top = body.load(0, LONG + 24);
    body.push(top);
    body.push(Word::Known(half[3]));
    body.sink().i64_eq().if_(BlockType::Result(wasm_encoder::ValType::I32));
    let x = body.load_long(0, LONG);
    let (_, borrow) = body.subtract_long(known(half), x);
    body.push(borrow);
    body.sink().i32_wrap_i64().i32_const(1).i32_and().else_();
    body.push(top);
    body.push(Word::Known(half[3]));
    body.sink().i64_gt_u().end();
}
