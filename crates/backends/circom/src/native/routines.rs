//! The field routines that are replaced, by their names in circom's modules.
//!
//! A new routine returns the same result as circom's for all operands below `2^256`, not only for field
//! elements.

use super::{
    body::{Body, Modulus, known},
    elements,
};

/// Operand type of a routine's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// A 256-bit number.
    Long,
    /// An element of 40 bytes.
    Element,
    /// Parameter with the address of the result.
    Result,
}

/// A routine: its name in a module's name section, its type, and the emitter of its body.
pub(super) struct Routine {
    pub(super) name: &'static str,
    /// Number of its parameters, which are all pointers.
    pub(super) operands: &'static [Operand],
    /// Whether it returns an `i32`.
    pub(super) result: bool,
    /// Emits the body for a field; the last argument is the index of the module's own routine.
    write: fn(&mut Body, &Modulus, u32),
}

impl Routine {
    /// The body for a field, as encoded in a code section. `original`: index of the module's own routine.
    pub(super) fn body(&self, field: &Modulus, original: u32) -> Vec<u8> {
        let mut body = Body::new(self.operands.len() as u32);
        (self.write)(&mut body, field, original);
        body.finish()
    }

    /// Numbers of its `i32` parameters and results.
    pub(super) fn shape(&self) -> (u32, u32) {
        (self.operands.len() as u32, self.result.into())
    }
}

/// All routines.
pub(super) const ROUTINES: [Routine; 16] = {
    use Operand::{Element, Long, Result};
    const BINARY: &[Operand] = &[Long, Long, Result];
    const UNARY: &[Operand] = &[Long, Result];
    const ELEMENTS: &[Operand] = &[Result, Element, Element];
    [
        // On 256-bit numbers.
        routine("Fr_int_add", BINARY, true, int_add),
        routine("Fr_int_sub", BINARY, true, int_sub),
        // On field elements in any form.
        routine("Fr_F1m_add", BINARY, false, add),
        routine("Fr_F1m_sub", BINARY, false, sub),
        routine("Fr_F1m_neg", UNARY, false, neg),
        // On field elements in Montgomery form.
        routine("Fr_F1m_mul", BINARY, false, mul),
        routine("Fr_F1m_square", UNARY, false, square),
        routine("Fr_F1m_toMontgomery", UNARY, false, to_montgomery),
        routine("Fr_F1m_fromMontgomery", UNARY, false, from_montgomery),
        // On circom's elements of all kinds.
        routine("Fr_copy", &[Result, Element], false, elements::copy),
        routine("Fr_add", ELEMENTS, false, elements::add),
        routine("Fr_sub", ELEMENTS, false, elements::sub),
        routine("Fr_mul", ELEMENTS, false, elements::mul),
        routine("Fr_toNormal", &[Element], false, elements::to_normal),
        routine("Fr_isNegative", &[Element], true, elements::is_negative),
        routine("Fr_toInt", &[Element], true, elements::to_int),
    ]
};

const fn routine(
    name: &'static str,
    operands: &'static [Operand],
    result: bool,
    write: fn(&mut Body, &Modulus, u32),
) -> Routine {
    Routine { name, operands, result, write }
}

fn int_add(body: &mut Body, _: &Modulus, _: u32) {
    let (x, y) = (body.load_long(0, 0), body.load_long(1, 0));
    let (sum, carry) = body.add_long(x, y);
    body.store_long(2, 0, sum);
    body.push(carry);
    body.sink().i32_wrap_i64();
}

fn int_sub(body: &mut Body, _: &Modulus, _: u32) {
    let (x, y) = (body.load_long(0, 0), body.load_long(1, 0));
    let (difference, borrow) = body.subtract_long(x, y);
    body.store_long(2, 0, difference);
    body.push(borrow);
    body.sink().i32_wrap_i64();
}

fn add(body: &mut Body, field: &Modulus, _: u32) {
    let (x, y) = (body.load_long(0, 0), body.load_long(1, 0));
    let (sum, carry) = body.add_long(x, y);
    let sum = body.reduce_once(field, sum, carry);
    body.store_long(2, 0, sum);
}

fn sub(body: &mut Body, field: &Modulus, _: u32) {
    let (x, y) = (body.load_long(0, 0), body.load_long(1, 0));
    let difference = body.subtract_modulo(field, x, y);
    body.store_long(2, 0, difference);
}

fn neg(body: &mut Body, field: &Modulus, _: u32) {
    let x = body.load_long(0, 0);
    let negative = body.subtract_modulo(field, known([0; 4]), x);
    body.store_long(1, 0, negative);
}

fn mul(body: &mut Body, field: &Modulus, _: u32) {
    let (x, y) = (body.load_long(0, 0), body.load_long(1, 0));
    let product = body.multiply(field, x, y);
    body.store_long(2, 0, product);
}

fn square(body: &mut Body, field: &Modulus, _: u32) {
    let x = body.load_long(0, 0);
    let square = body.multiply(field, x, x);
    body.store_long(1, 0, square);
}

fn to_montgomery(body: &mut Body, field: &Modulus, _: u32) {
    let x = body.load_long(0, 0);
    let product = body.multiply(field, x, known(field.power_of_two(512)));
    body.store_long(1, 0, product);
}

fn from_montgomery(body: &mut Body, field: &Modulus, _: u32) {
    let x = body.load_long(0, 0);
    let value = body.out_of_montgomery(field, x);
    body.store_long(1, 0, value);
}
