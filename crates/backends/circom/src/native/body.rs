//! Emits the body of a wasm function for 256-bit numbers in 64-bit limbs.

use wasm_encoder::{InstructionSink, MemArg, ValType};

/// A 64-bit value: a local or a constant.
#[derive(Clone, Copy)]
pub(super) enum Word {
    Local(u32),
    Known(u64),
}

/// A number of four limbs, little-endian.
pub(super) type Long = [Word; 4];

/// A constant number.
pub(super) fn known(limbs: [u64; 4]) -> Long {
    limbs.map(Word::Known)
}

/// A builder of a function body. Locals are numbered after the parameters.
pub(super) struct Body {
    parameters: u32,
    words: u32,
    code: Vec<u8>,
}

impl Body {
    /// Starts a function with `parameters` parameters, all `i32`.
    pub(super) fn new(parameters: u32) -> Self {
        Self { parameters, words: 0, code: Vec::new() }
    }

    /// The body as encoded in a code section, without its length.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.sink().end();
        let mut function = wasm_encoder::Function::new([(self.words, ValType::I64)]);
        function.raw(self.code);
        function.into_raw_body()
    }

    /// Emits an instruction.
    pub(super) fn sink(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }

    /// Pops the top of the stack into a new local.
    pub(super) fn take(&mut self) -> Word {
        let local = self.parameters + self.words;
        self.words += 1;
        self.sink().local_set(local);
        Word::Local(local)
    }

    /// Pops the two top values of the stack into new locals; the topmost is the second.
    fn take_two(&mut self) -> (Word, Word) {
        let high = self.take();
        (self.take(), high)
    }

    pub(super) fn push(&mut self, word: Word) {
        match word {
            Word::Local(local) => self.sink().local_get(local),
            Word::Known(value) => self.sink().i64_const(value as i64),
        };
    }

    /// Loads 64 bits at `offset` bytes from the address in a parameter.
    pub(super) fn load(&mut self, pointer: u32, offset: u64) -> Word {
        self.sink().local_get(pointer).i64_load(at(offset));
        self.take()
    }

    /// Loads the number at `offset` bytes from the address in a parameter.
    pub(super) fn load_long(&mut self, pointer: u32, offset: u64) -> Long {
        [0, 8, 16, 24].map(|limb| self.load(pointer, offset + limb))
    }

    pub(super) fn store(&mut self, pointer: u32, offset: u64, word: Word) {
        self.sink().local_get(pointer);
        self.push(word);
        self.sink().i64_store(at(offset));
    }

    pub(super) fn store_long(&mut self, pointer: u32, offset: u64, long: Long) {
        for (limb, word) in long.into_iter().enumerate() {
            self.store(pointer, offset + 8 * limb as u64, word);
        }
    }

    /// Adds a word to the 128 bits on top of the stack.
    fn add_low(&mut self, word: Word) {
        if !matches!(word, Word::Known(0)) {
            self.push(word);
            self.sink().i64_const(0).i64_add128();
        }
    }

    /// `a + b + c` in two words.
    pub(super) fn add(&mut self, a: Word, b: Word, c: Word) -> (Word, Word) {
        self.push(a);
        self.sink().i64_const(0);
        self.add_low(b);
        self.add_low(c);
        self.take_two()
    }

    /// `a + x·y + c` in two words.
    fn multiply_add(&mut self, a: Word, (x, y): (Word, Word), c: Word) -> (Word, Word) {
        self.push(x);
        self.push(y);
        self.sink().i64_mul_wide_u();
        self.add_low(a);
        self.add_low(c);
        self.take_two()
    }

    /// `a · b` in one word.
    fn times(&mut self, a: Word, b: Word) -> Word {
        self.push(a);
        self.push(b);
        self.sink().i64_mul();
        self.take()
    }

    /// `x + y`, and the carry.
    pub(super) fn add_long(&mut self, x: Long, y: Long) -> (Long, Word) {
        let mut carry = Word::Known(0);
        let sum = std::array::from_fn(|limb| {
            let (low, high) = self.add(x[limb], y[limb], carry);
            carry = high;
            low
        });
        (sum, carry)
    }

    /// `x - y`, and a borrow mask: all ones if `y` is larger, else zero.
    pub(super) fn subtract_long(&mut self, x: Long, y: Long) -> (Long, Word) {
        let mut borrow = Word::Known(0);
        let difference = std::array::from_fn(|limb| {
            self.push(x[limb]);
            self.sink().i64_const(0);
            self.push(y[limb]);
            self.sink().i64_const(0).i64_sub128();
            if limb > 0 {
                // A borrow is -1 in two words.
                self.push(borrow);
                self.push(borrow);
                self.sink().i64_add128();
            }
            let (low, high) = self.take_two();
            borrow = high;
            low
        });
        (difference, borrow)
    }

    /// `x` where the condition is not zero, else `y`.
    pub(super) fn select(&mut self, condition: Word, x: Long, y: Long) -> Long {
        std::array::from_fn(|limb| {
            self.push(x[limb]);
            self.push(y[limb]);
            self.push(condition);
            self.sink().i64_eqz().i32_eqz().select();
            self.take()
        })
    }

    /// Adds a multiple of the modulus that makes the lowest limb zero, and drops that limb.
    /// `above` is the limb over the four of `t`.
    fn reduce_step(&mut self, field: &Modulus, t: Long, above: Word) -> (Long, Word) {
        let factor = self.times(t[0], Word::Known(field.negated_inverse));
        let p = known(field.limbs);
        let (_, mut carry) = self.multiply_add(t[0], (factor, p[0]), Word::Known(0));
        let mut lower = [Word::Known(0); 4];
        for limb in 1..4 {
            (lower[limb - 1], carry) = self.multiply_add(t[limb], (factor, p[limb]), carry);
        }
        let top;
        (lower[3], top) = self.add(above, carry, Word::Known(0));
        (lower, top)
    }

    /// Subtracts the modulus once if the number with its carry is not below the modulus.
    pub(super) fn reduce_once(&mut self, field: &Modulus, t: Long, carry: Word) -> Long {
        // Adding 2^256 - p carries if and only if t is not below p.
        let (reduced, not_below) = self.add_long(t, known(field.complement()));
        self.push(carry);
        self.push(not_below);
        self.sink().i64_or();
        let subtract = self.take();
        self.select(subtract, reduced, t)
    }

    /// `x·y/2^256` modulo `p` (Montgomery, 1985) by operand scanning, one limb of `y` per step. For
    /// all 256-bit numbers the result is `(x·y + m·p)/2^256`, minus `p` if that is not below `p`.
    pub(super) fn multiply(&mut self, field: &Modulus, x: Long, y: Long) -> Long {
        let zero = Word::Known(0);
        let (mut t, mut top) = ([zero; 4], zero);
        for factor in y {
            let mut carry = zero;
            for limb in 0..4 {
                (t[limb], carry) = self.multiply_add(t[limb], (x[limb], factor), carry);
            }
            let (above, beyond) = self.add(top, carry, zero);
            let carried;
            (t, carried) = self.reduce_step(field, t, above);
            self.push(beyond);
            self.push(carried);
            self.sink().i64_add();
            top = self.take();
        }
        self.reduce_once(field, t, top)
    }

    /// `x/2^256` modulo `p`.
    pub(super) fn out_of_montgomery(&mut self, field: &Modulus, x: Long) -> Long {
        let zero = Word::Known(0);
        let mut t = x;
        for _ in 0..4 {
            (t, _) = self.reduce_step(field, t, zero);
        }
        self.reduce_once(field, t, zero)
    }

    /// `x - y`, plus `p` if that is negative.
    pub(super) fn subtract_modulo(&mut self, field: &Modulus, x: Long, y: Long) -> Long {
        let (difference, borrow) = self.subtract_long(x, y);
        let masked = field.limbs.map(|limb| {
            self.push(borrow);
            self.push(Word::Known(limb));
            self.sink().i64_and();
            self.take()
        });
        self.add_long(difference, masked).0
    }

    /// Pushes the word of an element that contains its kind.
    pub(super) fn kind(&mut self, pointer: u32) {
        let kind = MemArg { offset: 4, align: 2, memory_index: 0 };
        self.sink().local_get(pointer).i32_load(kind);
    }
}

fn at(offset: u64) -> MemArg {
    MemArg { offset, align: 3, memory_index: 0 }
}

/// A prime of four limbs.
pub(super) struct Modulus {
    pub(super) limbs: [u64; 4],
    /// `-1/p` modulo `2^64`.
    negated_inverse: u64,
}

impl Modulus {
    pub(super) fn new(limbs: [u64; 4]) -> Self {
        // Newton's iteration doubles the number of correct bits. An odd number is its own inverse
        // modulo 8.
        let mut inverse = limbs[0];
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(limbs[0].wrapping_mul(inverse)));
        }
        Self { limbs, negated_inverse: inverse.wrapping_neg() }
    }

    /// `2^256 - p`.
    fn complement(&self) -> [u64; 4] {
        let mut carry = true;
        self.limbs.map(|limb| {
            let (sum, over) = (!limb).overflowing_add(carry.into());
            carry = over;
            sum
        })
    }
    /// `(p - 1)/2`, the largest element that counts as positive.
    pub(super) fn half(&self) -> [u64; 4] {
        let [a, b, c, d] = self.limbs;
        [a >> 1 | b << 63, b >> 1 | c << 63, c >> 1 | d << 63, d >> 1]
    }

    /// `2^bits` modulo `p`.
    pub(super) fn power_of_two(&self, bits: u32) -> [u64; 4] {
        let mut value = [1, 0, 0, 0];
        for _ in 0..bits {
            let mut carry = 0;
            // p is below 2^255, so doubling does not overflow.
            let doubled = value.map(|limb: u64| {
                let shifted = limb << 1 | carry;
                carry = limb >> 63;
                shifted
            });
            value = self.less_once(doubled);
        }
        value
    }

    fn less_once(&self, value: [u64; 4]) -> [u64; 4] {
        let mut borrow = false;
        let mut limbs = self.limbs.into_iter();
        let less = value.map(|limb| {
            let (step, first) = limb.overflowing_sub(limbs.next().unwrap_or_default());
            let (step, second) = step.overflowing_sub(borrow.into());
            borrow = first || second;
            step
        });
        if borrow { value } else { less }
    }
}
