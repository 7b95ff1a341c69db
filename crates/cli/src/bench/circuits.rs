//! Circuits for benchmarks, generated at run time; their keys are made once and cached.

use std::path::PathBuf;

use athanor_groth16::{
    NativeKey, ProvingKey, R1cs, Witness, development_setup,
    synthetic::{self, Example},
};
use athanor_kernels::{Curve, Device, Quotient, Scalars, cpu::Cpu};

use crate::{failure::Failure, keys, output::warn};

/// A circuit with a witness and a converted key.
pub struct Circuit<C: Curve> {
    /// Name in tables.
    pub name: String,
    /// Its constraints.
    pub r1cs: R1cs<C::Fr>,
    /// Values that satisfy them.
    pub witness: Scalars,
    /// A development key, converted for the CPU.
    pub native: NativeKey<C>,
}

/// Shapes of synthetic circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Full-width values on every wire.
    Dense,
    /// 98 % bits.
    Bits,
}

impl Shape {
    /// Both shapes.
    pub const ALL: [Shape; 2] = [Shape::Dense, Shape::Bits];

    fn name(self) -> &'static str {
        match self {
            Shape::Dense => "dense",
            Shape::Bits => "bits",
        }
    }
}

impl<C: Curve> Circuit<C>
where
    Cpu: Device<C>,
{
    /// A synthetic circuit that just fits a domain of `2^log_size` points.
    pub fn synthetic(shape: Shape, log_size: u32) -> Result<Self, Failure> {
        // One row each for the constant and the public signal.
        let constraints = (1 << log_size) - 2;
        let Example { r1cs, witness } = match shape {
            Shape::Dense => synthetic::dense::<C>(constraints, 1),
            Shape::Bits => synthetic::bits::<C>(constraints, 1),
        };
        Self::with_key(format!("{}-2^{log_size}", shape.name()), r1cs, witness)
    }

    /// A circuit with a development key, taken from the cache or made and put there.
    pub fn with_key(name: String, r1cs: R1cs<C::Fr>, witness: Scalars) -> Result<Self, Failure> {
        let path = cached_key::<C>(&name)?;
        let fits = |native: &NativeKey<C>| {
            native.wires() == r1cs.wires && native.constraints() == r1cs.constraints()
        };
        let native = match NativeKey::open(&path) {
            Ok(native) if fits(&native) => native,
            _ => {
                let raw = development_setup::<C>(&r1cs, Quotient::OddCoset)?;
                let native = raw.to_native(&Cpu).map_err(athanor_kernels::DeviceError::from);
                let native = native.map_err(athanor_groth16::ProveError::from)?;
                if let Err(error) = native.store(&path) {
                    warn(&error.to_string());
                }
                native
            }
        };
        Ok(Self { name, r1cs, witness, native })
    }

    /// The key, resident on the CPU, with tables of at most `tables` bytes.
    pub fn key(&self, tables: u64) -> Result<ProvingKey<C, Cpu>, Failure> {
        let table_budget = usize::try_from(tables).unwrap_or(usize::MAX);
        Ok(ProvingKey::load_with_tables(Cpu, self.native.clone(), table_budget)?)
    }

    /// The witness, checked.
    pub fn witness(&self) -> Result<Witness<C>, Failure> {
        Ok(Witness::new(self.witness.clone())?)
    }
}

fn cached_key<C: Curve>(name: &str) -> Result<PathBuf, Failure>
where
    Cpu: Device<C>,
{
    let layout = Device::<C>::layout(&Cpu).name;
    Ok(keys::cache_directory("bench")?.join(format!("{name}.{}.{layout}.key", C::ID)))
}
