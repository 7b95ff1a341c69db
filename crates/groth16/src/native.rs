//! A proving key in a device's layout, as it is cached on disk and made resident.

use ark_ec::{AffineRepr, models::short_weierstrass::Affine};
use athanor_kernels::{
    Bases, Curve, Device, Domain, Group, Matrix, Quotient, ScalarsOf, Slab, SlabError, SlabMut,
};

use crate::VerifyingKey;

/// A proving key, converted to one device layout. Points at infinity are omitted.
#[derive(Clone, Debug)]
pub struct NativeKey<C: Curve> {
    /// The name of the layout; see [`athanor_kernels::Layout`].
    pub layout: String,
    /// Origin of the key.
    pub origin: Origin,
    /// BLAKE3 of the file it was converted from; zeros if there was no file.
    pub source: [u8; 32],
    /// Form of the quotient that its H points expect.
    pub quotient: Quotient,
    /// Domain of its constraints.
    pub domain: Domain<C::Fr>,
    /// The verifying key.
    pub verifying: VerifyingKey<C>,
    /// `β` in G1.
    pub beta_g1: C::G1Affine,
    /// `δ` in G1.
    pub delta_g1: C::G1Affine,
    /// Left factors, including the rows that bind public signals.
    pub a: Matrix<C::Fr>,
    /// Right factors.
    pub b: Matrix<C::Fr>,
    /// `A_i(τ)` in G1.
    pub a_query: Bases,
    /// `B_i(τ)` in G1.
    pub b_g1_query: Bases,
    /// `B_i(τ)` in G2.
    pub b_g2_query: Bases,
    /// `(β·A_i + α·B_i + C_i)(τ) / δ` in G1, for the private wires.
    pub l_query: Bases,
    /// The quotient's basis times the vanishing polynomial, over `δ`, in G1.
    pub h_query: Bases,
}

/// Origin of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Made by one process that discarded the trapdoors: for development only.
    Development,
    /// Converted from a `.zkey`.
    Zkey,
    /// Converted from parameters in bellman's form.
    Bellman,
}

impl<C: Curve> NativeKey<C> {
    /// Number of wires, the constant one included.
    pub fn wires(&self) -> usize {
        self.a.columns()
    }

    /// Number of constraints, without the rows that bind public signals.
    pub fn constraints(&self) -> usize {
        self.a.rows().saturating_sub(self.verifying.ic.len())
    }

    /// Memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let queries =
            [&self.a_query, &self.b_g1_query, &self.b_g2_query, &self.l_query, &self.h_query];
        let points: usize = queries.iter().map(|query| query.points.len()).sum();
        let lists: usize = queries
            .iter()
            .map(|query| match &query.scalars {
                ScalarsOf::From(_) => 0,
                ScalarsOf::Listed(list) => list.len(),
            })
            .sum();
        points + lists + self.a.bytes() + self.b.bytes()
    }
}

/// Converts a query point by point and omits points at infinity.
pub struct QueryBuilder<P: Group> {
    points: SlabMut,
    words: usize,
    listed: Vec<u32>,
    seen: usize,
    pending: Vec<Affine<P>>,
}

impl<P: Group> QueryBuilder<P> {
    /// Allocates capacity for `count` points of `words` words each.
    pub fn new(count: usize, words: usize) -> Result<Self, SlabError> {
        let bytes = count.checked_mul(words * 8).ok_or(SlabError::OutOfMemory { bytes: count })?;
        Ok(Self {
            points: SlabMut::zeroed(bytes)?,
            words,
            listed: Vec::new(),
            seen: 0,
            pending: Vec::new(),
        })
    }

    /// Appends points, encoded by the device's `encode`. Their number must not exceed the capacity.
    pub fn push(&mut self, points: &[Affine<P>], encode: impl Fn(&[Affine<P>], &mut [u64])) {
        self.pending.clear();
        for point in points {
            if !point.is_zero() {
                self.pending.push(*point);
                self.listed.push(self.seen as u32);
            }
            self.seen += 1;
        }
        let end = self.listed.len() * self.words;
        let start = end - self.pending.len() * self.words;
        encode(&self.pending, &mut self.points.words()[start..end]);
    }

    /// Ends the query, whose first point belongs to scalar `first`.
    pub fn finish(mut self, first: usize) -> Result<Bases, SlabError> {
        self.points.truncate(self.listed.len() * self.words * 8);
        let scalars = if self.listed.len() == self.seen {
            ScalarsOf::From(first)
        } else {
            self.listed.iter_mut().for_each(|index| *index += first as u32);
            ScalarsOf::Listed(Slab::from_u32s(&self.listed)?)
        };
        Ok(Bases { points: self.points.freeze(), scalars })
    }
}

/// A proving key with every point in host memory, as a setup makes it.
#[derive(Clone, Debug)]
pub struct RawKey<C: Curve> {
    /// Form of the quotient that its H points expect.
    pub quotient: Quotient,
    /// Domain of its constraints.
    pub domain: Domain<C::Fr>,
    /// The verifying key.
    pub verifying: VerifyingKey<C>,
    /// `β` in G1.
    pub beta_g1: C::G1Affine,
    /// `δ` in G1.
    pub delta_g1: C::G1Affine,
    /// Left factors, including the rows that bind public signals.
    pub a: Matrix<C::Fr>,
    /// Right factors.
    pub b: Matrix<C::Fr>,
    /// `A_i(τ)` in G1, for every wire.
    pub a_query: Vec<C::G1Affine>,
    /// `B_i(τ)` in G1, for every wire.
    pub b_g1_query: Vec<C::G1Affine>,
    /// `B_i(τ)` in G2, for every wire.
    pub b_g2_query: Vec<C::G2Affine>,
    /// `(β·A_i + α·B_i + C_i)(τ) / δ` in G1, for the private wires.
    pub l_query: Vec<C::G1Affine>,
    /// The quotient's basis times the vanishing polynomial, over `δ`, in G1.
    pub h_query: Vec<C::G1Affine>,
}

impl<C: Curve> RawKey<C> {
    /// Converts the key to a device's layout.
    pub fn to_native<D: Device<C>>(&self, device: &D) -> Result<NativeKey<C>, SlabError> {
        let layout = device.layout();
        let g1 = |points: &[C::G1Affine], first| {
            let mut query = QueryBuilder::<C::G1Config>::new(points.len(), layout.g1_words)?;
            query.push(points, |points, out| device.encode_g1(points, out));
            query.finish(first)
        };
        let g2 = |points: &[C::G2Affine], first| {
            let mut query = QueryBuilder::<C::G2Config>::new(points.len(), layout.g2_words)?;
            query.push(points, |points, out| device.encode_g2(points, out));
            query.finish(first)
        };
        Ok(NativeKey {
            layout: layout.name.to_owned(),
            origin: Origin::Development,
            source: [0; 32],
            quotient: self.quotient,
            domain: self.domain,
            verifying: self.verifying.clone(),
            beta_g1: self.beta_g1,
            delta_g1: self.delta_g1,
            a: self.a.clone(),
            b: self.b.clone(),
            a_query: g1(&self.a_query, 0)?,
            b_g1_query: g1(&self.b_g1_query, 0)?,
            b_g2_query: g2(&self.b_g2_query, 0)?,
            l_query: g1(&self.l_query, self.verifying.ic.len())?,
            h_query: g1(&self.h_query, 0)?,
        })
    }
}
