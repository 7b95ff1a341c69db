//! Poseidon over BN254's scalar field, width 3 (eprint 2019/458), with the paper's parameters.
//!
//! The round constants and the matrix are computed by the paper's generator (appendix E: a Grain LFSR
//! in self-shrinking mode), so no table of numbers has to be trusted. The same generator writes the
//! constants of `circuits/poseidon_constants.circom`.

use std::{fmt::Write, sync::LazyLock};

use ark_ff::{AdditiveGroup, BigInt, BigInteger, Field, PrimeField};
use athanor_kernels::{Bn254, Curve};

/// BN254's scalar field.
pub type Fr = <Bn254 as Curve>::Fr;

/// Number of state elements: one of capacity, two of input.
const WIDTH: usize = 3;
const FULL_ROUNDS: usize = 8;
const PARTIAL_ROUNDS: usize = 57;
const ROUNDS: usize = FULL_ROUNDS + PARTIAL_ROUNDS;

/// The permutation's parameters.
#[derive(Debug)]
pub struct Poseidon {
    constants: [[Fr; WIDTH]; ROUNDS],
    mix: [[Fr; WIDTH]; WIDTH],
}

impl Poseidon {
    /// The parameters, generated on first use.
    pub fn get() -> &'static Self {
        static PARAMETERS: LazyLock<Poseidon> = LazyLock::new(Poseidon::generate);
        &PARAMETERS
    }

    fn generate() -> Self {
        let mut grain = Grain::new();
        let mut constants = [[Fr::ZERO; WIDTH]; ROUNDS];
        for constant in constants.as_flattened_mut() {
            *constant = grain.below_order();
        }
        // A Cauchy matrix: it and each square submatrix are invertible.
        let x: [Fr; WIDTH] = std::array::from_fn(|_| grain.reduced());
        let y: [Fr; WIDTH] = std::array::from_fn(|_| grain.reduced());
        let mix =
            x.map(|x| y.map(|y| (x + y).inverse().expect("the generator's sums are not zero")));
        Self { constants, mix }
    }

    /// The hash of two elements.
    pub fn hash(&self, left: Fr, right: Fr) -> Fr {
        let mut state = [Fr::ZERO, left, right];
        for (round, constants) in self.constants.iter().enumerate() {
            let full = !(FULL_ROUNDS / 2..FULL_ROUNDS / 2 + PARTIAL_ROUNDS).contains(&round);
            for (i, (element, constant)) in state.iter_mut().zip(constants).enumerate() {
                *element += constant;
                if full || i == 0 {
                    *element *= element.square().square();
                }
            }
            state = self.mix.map(|row| row.iter().zip(&state).map(|(m, s)| *m * s).sum());
        }
        state[0]
    }

    /// The parameters as the text of `circuits/poseidon_constants.circom`.
    pub fn to_circom(&self) -> String {
        let mut text = "pragma circom 2.1.0;\n\n\
            // Generated: `cargo run -p athanor-circom --example demo_circuit`.\n\n\
            // What is added to the state in each round, three numbers a round.\n\
            function roundConstants() {\n    return [\n"
            .to_owned();
        let list = |values: &[Fr], indent: &str| {
            let lines = values.iter().map(|value| format!("{indent}{value}"));
            lines.collect::<Vec<_>>().join(",\n")
        };
        text += &list(self.constants.as_flattened(), "        ");
        text += "\n    ];\n}\n\n// What the state is multiplied with after each round, row by row.\n\
            function mixMatrix() {\n    return [\n";
        for (i, row) in self.mix.iter().enumerate() {
            let comma = if i + 1 < WIDTH { "," } else { "" };
            let _ = writeln!(text, "        [\n{}\n        ]{comma}", list(row, "            "));
        }
        text + "    ];\n}\n"
    }
}

/// The paper's generator of constants.
struct Grain {
    /// The last 80 bits; the oldest is the lowest.
    state: u128,
}

impl Grain {
    fn new() -> Self {
        // The parameters, most significant bit first, then thirty ones.
        let fields: [(u32, u32); 7] = [
            (2, 1), // a prime field
            (4, 0), // S-box x^α
            (12, Fr::MODULUS_BIT_SIZE),
            (12, WIDTH as u32),
            (10, FULL_ROUNDS as u32),
            (10, PARTIAL_ROUNDS as u32),
            (30, (1 << 30) - 1),
        ];
        let mut state = 0;
        let mut place = 0;
        for (width, value) in fields {
            for bit in (0..width).rev() {
                state |= u128::from(value >> bit & 1) << place;
                place += 1;
            }
        }
        let mut grain = Self { state };
        for _ in 0..160 {
            grain.step();
        }
        grain
    }

    fn step(&mut self) -> bool {
        let taps = [62, 51, 38, 23, 13, 0];
        let bit = taps.iter().fold(0, |bit, tap| bit ^ self.state >> tap & 1);
        self.state = self.state >> 1 | bit << 79;
        bit == 1
    }

    /// The next output bit: of pairs of bits, the second bit of the first pair whose first bit is 1.
    fn bit(&mut self) -> bool {
        loop {
            let keep = self.step();
            let bit = self.step();
            if keep {
                return bit;
            }
        }
    }

    /// The next integer with the bit length of the order, most significant bit first.
    fn integer(&mut self) -> BigInt<4> {
        let bits: Vec<bool> = (0..Fr::MODULUS_BIT_SIZE).map(|_| self.bit()).collect();
        BigInt::from_bits_be(&bits)
    }

    /// The next integer that is below the order.
    fn below_order(&mut self) -> Fr {
        loop {
            if let Some(element) = Fr::from_bigint(self.integer()) {
                return element;
            }
        }
    }

    /// The next integer, reduced.
    fn reduced(&mut self) -> Fr {
        Fr::from_le_bytes_mod_order(&self.integer().to_bytes_le())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_one_and_two_is_the_published_one() {
        let expected =
            "7853200120776062878684798364095072458815029376092732009249414926327459813530";
        let hash = Poseidon::get().hash(Fr::from(1u64), Fr::from(2u64));
        assert_eq!(hash.to_string(), expected);
        let words = hash.into_bigint().0;
        let hex: String = words.iter().rev().map(|word| format!("{word:016x}")).collect();
        assert_eq!(hex, "115cc0f5e7d690413df64c6b9662e9cf2a3617f2743245519e19607a4417189a");
    }

    #[test]
    fn no_state_element_survives_a_round_unmixed() {
        let poseidon = Poseidon::get();
        assert!(poseidon.mix.as_flattened().iter().all(|entry| *entry != Fr::ZERO));
        let all: std::collections::HashSet<_> = poseidon.constants.as_flattened().iter().collect();
        assert_eq!(all.len(), WIDTH * ROUNDS);
    }
}
