//! The prover (eprint 2016/260, section 3.2), on a device that holds the key.
//!
//! `A`, `B` in G1, `B` in G2 and `L` need only the witness; `H` needs the quotient. Independent parts
//! run in parallel in the caller's rayon pool.

use std::{
    hint::black_box,
    sync::OnceLock,
    time::{Duration, Instant},
};

use ark_ec::CurveGroup;
use ark_ff::PrimeField;
use athanor_kernels::{Curve, Device, DeviceError, Resident};
use zeroize::Zeroizing;

use crate::{NativeKey, Proof, Verifier, VerifyError, VerifyingKey, Witness};

/// Why proving failed.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The witness and the key have different numbers of wires.
    #[error(
        "the witness has {got} values, but the key is for {expected}: they belong to different circuits"
    )]
    WrongWitness {
        /// Number of wires of the key.
        expected: usize,
        /// Number of values of the witness.
        got: usize,
    },
    /// The proof does not verify.
    #[error(
        "the proof does not verify and was discarded: the witness does not satisfy the constraints, or the key is for a different version of the circuit"
    )]
    Unsatisfied,
    /// The key is in the layout of a different device.
    #[error("the key is in layout {key}, but the device needs {device}: convert it again")]
    Layout {
        /// Layout of the key.
        key: String,
        /// Layout of the device.
        device: &'static str,
    },
    /// The verifying key has an invalid point.
    #[error(transparent)]
    Key(#[from] VerifyError),
    /// A computation on the device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The operating system's randomness cannot be read. A proof without it is not zero-knowledge.
    #[error("cannot read randomness from the operating system: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A proof that passed the self-check, with stage times.
#[derive(Clone, Debug)]
pub struct Proved<C: Curve> {
    /// The proof.
    pub proof: Proof<C>,
    /// Wall time of each stage. Stages overlap, so their sum exceeds the total.
    pub stages: Stages,
}

/// A proof without the self-check, with stage times. Verify it before it is published.
#[derive(Clone, Debug)]
pub struct Unverified<C: Curve> {
    /// The proof.
    pub proof: Proof<C>,
    /// Wall time of each stage; [`Stages::check`] is zero.
    pub stages: Stages,
}

/// Wall time of each stage of a proof.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stages {
    /// Constraint evaluation: `A·w` and `B·w`.
    pub evaluate: Duration,
    /// The quotient's transforms.
    pub quotient: Duration,
    /// MSM over the `A` query.
    pub msm_a: Duration,
    /// MSM over the `B` query in G1.
    pub msm_b_g1: Duration,
    /// MSM over the `B` query in G2.
    pub msm_b_g2: Duration,
    /// MSM over the `L` query.
    pub msm_l: Duration,
    /// MSM over the `H` query.
    pub msm_h: Duration,
    /// Total, from witness to proof.
    pub prove: Duration,
    /// The self-check.
    pub check: Duration,
}

impl Stages {
    /// Names and times of the stages, in the order of the data flow.
    pub fn named(&self) -> [(&'static str, Duration); 9] {
        [
            ("evaluate", self.evaluate),
            ("quotient", self.quotient),
            ("msm_a", self.msm_a),
            ("msm_b_g1", self.msm_b_g1),
            ("msm_b_g2", self.msm_b_g2),
            ("msm_l", self.msm_l),
            ("msm_h", self.msm_h),
            ("prove", self.prove),
            ("check", self.check),
        ]
    }
}

/// The blinding factors that make a proof zero-knowledge: fresh for each proof, wiped after it.
struct Blinding<F: zeroize::Zeroize> {
    r: Zeroizing<F>,
    s: Zeroizing<F>,
}

impl<F: PrimeField> Blinding<F> {
    fn fresh() -> Result<Self, getrandom::Error> {
        Ok(Self { r: random_scalar()?, s: random_scalar()? })
    }
}

/// A uniform scalar from the operating system's randomness; the bias of the reduction is below 2^-256.
pub(crate) fn random_scalar<F: PrimeField>() -> Result<Zeroizing<F>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 64]);
    getrandom::fill(&mut bytes[..])?;
    Ok(Zeroizing::new(F::from_le_bytes_mod_order(&bytes[..])))
}

/// A proving key resident on a device.
pub struct ProvingKey<C: Curve, D: Device<C>> {
    device: D,
    wires: usize,
    constraints: usize,
    bytes: usize,
    matrix_bytes: usize,
    domain_size: usize,
    quotient: athanor_kernels::Quotient,
    domain: D::Domain,
    verifying: VerifyingKey<C>,
    /// Made at the first use, so that a caller that verifies elsewhere saves its checks and its pairing.
    verifier: OnceLock<Result<Verifier<C>, VerifyError>>,
    beta_g1: C::G1Affine,
    delta_g1: C::G1Affine,
    a: D::Matrix,
    b: D::Matrix,
    a_query: D::G1,
    b_g1_query: D::G1,
    b_g2_query: D::G2,
    l_query: D::G1,
    h_query: D::G1,
}

impl<C: Curve, D: Device<C>> ProvingKey<C, D> {
    /// Makes a converted key resident.
    ///
    /// # Errors
    /// If the key is in another device's layout, or there is not enough memory.
    pub fn load(device: D, key: NativeKey<C>) -> Result<Self, ProveError> {
        Self::load_with_tables(device, key, 0)
    }

    /// Makes a converted key resident, with tables of multiples of its points that take at most `table_budget` bytes.
    /// Tables make each proof faster. Making them takes as long as about twenty proofs.
    ///
    /// # Errors
    /// As [`ProvingKey::load`].
    pub fn load_with_tables(
        device: D,
        key: NativeKey<C>,
        mut table_budget: usize,
    ) -> Result<Self, ProveError> {
        let layout = device.layout().name;
        if key.layout != layout {
            return Err(ProveError::Layout { key: key.layout, device: layout });
        }
        let (wires, constraints, native_bytes) = (key.wires(), key.constraints(), key.bytes());
        let matrix_bytes = key.a.bytes() + key.b.bytes();
        // H and G2 come first: the scalars of H are full-width in every circuit, and points of G2 cost most.
        // The scalars of the other queries are mostly 0 and 1 in circuits over bits.
        let h_query = device.prepare_g1(key.h_query, table_budget)?;
        table_budget -= h_query.table_bytes();
        let b_g2_query = device.prepare_g2(key.b_g2_query, table_budget)?;
        table_budget -= b_g2_query.table_bytes();
        let mut g1 = |bases| -> Result<D::G1, DeviceError> {
            let points = device.prepare_g1(bases, table_budget)?;
            table_budget -= points.table_bytes();
            Ok(points)
        };
        let [a_query, b_g1_query, l_query] =
            [g1(key.a_query)?, g1(key.b_g1_query)?, g1(key.l_query)?];
        let g1_tables = [&a_query, &b_g1_query, &l_query, &h_query].map(Resident::table_bytes);
        Ok(Self {
            wires,
            constraints,
            bytes: native_bytes + g1_tables.iter().sum::<usize>() + b_g2_query.table_bytes(),
            matrix_bytes,
            domain_size: key.domain.size(),
            quotient: key.quotient,
            domain: device.prepare_domain(key.domain)?,
            verifier: OnceLock::new(),
            verifying: key.verifying,
            beta_g1: key.beta_g1,
            delta_g1: key.delta_g1,
            a: device.prepare_matrix(key.a)?,
            b: device.prepare_matrix(key.b)?,
            a_query,
            b_g1_query,
            b_g2_query,
            l_query,
            h_query,
            device,
        })
    }

    /// Number of wires, the constant one included.
    pub fn wires(&self) -> usize {
        self.wires
    }

    /// Number of constraints.
    pub fn constraints(&self) -> usize {
        self.constraints
    }

    /// Memory of the resident key with its tables, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Size of its constraint matrices in bytes; an evaluation reads them once.
    pub fn matrix_bytes(&self) -> usize {
        self.matrix_bytes
    }

    /// Number of points of the domain of its constraints.
    pub fn domain_size(&self) -> usize {
        self.domain_size
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &VerifyingKey<C> {
        &self.verifying
    }

    /// The verifier for this key's proofs. The first call checks the verifying key.
    ///
    /// # Errors
    /// If a point of the verifying key is invalid; see [`Verifier::new`].
    pub fn verifier(&self) -> Result<&Verifier<C>, VerifyError> {
        let made = self.verifier.get_or_init(|| Verifier::new(&self.verifying));
        made.as_ref().map_err(Clone::clone)
    }

    /// Proves with fresh randomness and verifies the proof before returning it.
    pub fn prove(&self, witness: Witness<C>) -> Result<Proved<C>, ProveError> {
        self.check_fits(&witness)?;
        let verifier = self.verifier()?;
        let public = witness.public(self.verifying.public_signals()).to_vec();
        let Unverified { proof, mut stages } = self.prove_unverified(witness)?;
        let start = Instant::now();
        verifier.verify(&public, &proof).map_err(|_| ProveError::Unsatisfied)?;
        stages.check = start.elapsed();
        Ok(Proved { proof, stages })
    }

    /// Proves with fresh randomness and without the self-check, for callers that verify elsewhere, such
    /// as on another core or machine. Verify the proof before it is published.
    pub fn prove_unverified(&self, witness: Witness<C>) -> Result<Unverified<C>, ProveError> {
        self.check_fits(&witness)?;
        let (proof, stages) = self.prove_blinded(witness, Blinding::fresh()?)?;
        Ok(Unverified { proof, stages })
    }

    /// Proves with the given randomness and without the self-check, so that proofs can be compared
    /// byte for byte. For tests only: reuse of randomness reveals the witness.
    #[cfg(feature = "deterministic")]
    pub fn prove_with_randomness(
        &self,
        witness: Witness<C>,
        r: C::Fr,
        s: C::Fr,
    ) -> Result<Proof<C>, ProveError> {
        self.check_fits(&witness)?;
        let blinding = Blinding { r: Zeroizing::new(r), s: Zeroizing::new(s) };
        Ok(self.prove_blinded(witness, blinding)?.0)
    }

    /// Runs the stages of a proof one after the other and discards their results. Calls `after` with the name of
    /// each stage (see [`Stages::named`]) when it is done. For measurements of single stages.
    ///
    /// # Errors
    /// As [`ProvingKey::prove`], without the self-check.
    pub fn run_stages(
        &self,
        witness: Witness<C>,
        mut after: impl FnMut(&'static str),
    ) -> Result<(), ProveError> {
        self.check_fits(&witness)?;
        let device = &self.device;
        let witness = &device.upload(witness.into_scalars())?;
        let a = device.evaluate(&self.a, witness, &self.domain)?;
        let b = device.evaluate(&self.b, witness, &self.domain)?;
        after("evaluate");
        let h = device.quotient(&self.domain, self.quotient, a, b)?;
        after("quotient");
        let g1 =
            [(&self.a_query, "msm_a"), (&self.b_g1_query, "msm_b_g1"), (&self.l_query, "msm_l")];
        for (query, name) in g1 {
            let _sum = black_box(device.msm_g1(query, witness)?);
            after(name);
        }
        let _sum = black_box(device.msm_g2(&self.b_g2_query, witness)?);
        after("msm_b_g2");
        let _sum = black_box(device.msm_g1(&self.h_query, &h)?);
        after("msm_h");
        Ok(())
    }

    fn check_fits(&self, witness: &Witness<C>) -> Result<(), ProveError> {
        let (expected, got) = (self.wires, witness.scalars().len());
        if expected == got { Ok(()) } else { Err(ProveError::WrongWitness { expected, got }) }
    }

    fn prove_blinded(
        &self,
        witness: Witness<C>,
        blinding: Blinding<C::Fr>,
    ) -> Result<(Proof<C>, Stages), DeviceError> {
        let start = Instant::now();
        let device = &self.device;
        let witness = &device.upload(witness.into_scalars())?;
        let mut stages = Stages::default();
        let (h, ((a, b_g2), (b_g1, l))) = rayon::join(
            || -> Result<_, DeviceError> {
                let (values, evaluate) = timed(|| {
                    let (a, b) = rayon::join(
                        || device.evaluate(&self.a, witness, &self.domain),
                        || device.evaluate(&self.b, witness, &self.domain),
                    );
                    Ok::<_, DeviceError>((a?, b?))
                });
                let (a, b) = values?;
                let (h, quotient) = timed(|| device.quotient(&self.domain, self.quotient, a, b));
                let h = h?;
                let (h, msm_h) = timed(|| device.msm_g1(&self.h_query, &h));
                Ok((h?, evaluate, quotient, msm_h))
            },
            || {
                rayon::join(
                    || {
                        rayon::join(
                            || timed(|| device.msm_g1(&self.a_query, witness)),
                            || timed(|| device.msm_g2(&self.b_g2_query, witness)),
                        )
                    },
                    || {
                        rayon::join(
                            || timed(|| device.msm_g1(&self.b_g1_query, witness)),
                            || timed(|| device.msm_g1(&self.l_query, witness)),
                        )
                    },
                )
            },
        );
        let (h, evaluate, quotient, msm_h) = h?;
        (stages.evaluate, stages.quotient, stages.msm_h) = (evaluate, quotient, msm_h);
        (stages.msm_a, stages.msm_b_g2) = (a.1, b_g2.1);
        (stages.msm_b_g1, stages.msm_l) = (b_g1.1, l.1);
        let proof = self.assemble(a.0?, b_g1.0?, b_g2.0?, l.0? + h, &blinding);
        stages.prove = start.elapsed();
        Ok((proof, stages))
    }

    /// Adds the fixed terms and the blinding to the sums over the witness.
    fn assemble(
        &self,
        a: C::G1,
        b_g1: C::G1,
        b_g2: C::G2,
        l_and_h: C::G1,
        Blinding { r, s }: &Blinding<C::Fr>,
    ) -> Proof<C> {
        let a = a + self.verifying.alpha_g1 + self.delta_g1 * **r;
        let b_g1 = b_g1 + self.beta_g1 + self.delta_g1 * **s;
        let b_g2 = b_g2 + self.verifying.beta_g2 + self.verifying.delta_g2 * **s;
        let c = l_and_h + a * **s + b_g1 * **r - self.delta_g1 * (**r * **s);
        Proof { a: a.into_affine(), b: b_g2.into_affine(), c: c.into_affine() }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}
