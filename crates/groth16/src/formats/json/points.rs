//! Numbers and points as decimal texts.

use std::slice;

use ark_ec::{
    AffineRepr,
    models::short_weierstrass::{Affine, SWCurveConfig},
};
use ark_ff::{Field, One, PrimeField, Zero};
use athanor_kernels::Curve;

use super::JsonError;
use crate::formats::field;

/// A point of G1: three coordinates, the third one or zero.
pub(super) type G1Json = [String; 3];
/// A point of G2: likewise, each coordinate in two parts.
pub(super) type G2Json = [[String; 2]; 3];

/// Place of a value, for error messages.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'static str,
    pub(super) name: &'a str,
}

impl Place<'_> {
    pub(super) fn number<F: PrimeField>(self, text: &str) -> Result<F, JsonError> {
        field::parse_decimal(text).map_err(|source| {
            let Self { file, name: place } = self;
            JsonError::Number { file, place: place.into(), source }
        })
    }

    /// A point of G1 that is not at infinity.
    pub(super) fn g1<C: Curve>(self, point: &G1Json) -> Result<C::G1Affine, JsonError> {
        self.not_infinity(self.g1_or_infinity::<C>(point)?)
    }

    /// A point of G1.
    pub(super) fn g1_or_infinity<C: Curve>(self, point: &G1Json) -> Result<C::G1Affine, JsonError> {
        self.point::<C::G1Config>(point.each_ref().map(slice::from_ref))
    }

    /// A point of G2 that is not at infinity.
    pub(super) fn g2<C: Curve>(self, point: &G2Json) -> Result<C::G2Affine, JsonError> {
        self.not_infinity(self.point::<C::G2Config>(point.each_ref().map(|parts| &parts[..]))?)
    }

    fn not_infinity<G: SWCurveConfig>(self, point: Affine<G>) -> Result<Affine<G>, JsonError> {
        if point.is_zero() {
            let Self { file, name: place } = self;
            return Err(JsonError::Infinity { file, place: place.into() });
        }
        Ok(point)
    }

    /// Makes a point from the parts of its coordinates; checks curve and subgroup.
    fn point<G: SWCurveConfig>(self, coordinates: [&[String]; 3]) -> Result<Affine<G>, JsonError> {
        let mut values = [G::BaseField::zero(); 3];
        for (value, texts) in values.iter_mut().zip(coordinates) {
            let parts =
                texts.iter().map(|text| self.number(text)).collect::<Result<Vec<_>, _>>()?;
            *value = G::BaseField::from_base_prime_field_elems(parts)
                .expect("a coordinate has one part per degree of its field");
        }
        let [x, y, z] = values;
        if (x, y, z) == (Zero::zero(), One::one(), Zero::zero()) {
            return Ok(Affine::identity());
        }
        let Self { file, name: place } = self;
        if !z.is_one() {
            return Err(JsonError::NotAffine { file, place: place.into() });
        }
        let point = Affine::<G>::new_unchecked(x, y);
        if !point.is_on_curve() {
            return Err(JsonError::NotOnCurve { file, place: place.into() });
        }
        if !point.is_in_correct_subgroup_assuming_on_curve() {
            return Err(JsonError::NotInSubgroup { file, place: place.into() });
        }
        Ok(point)
    }
}

pub(super) fn g1_json<C: Curve>(point: &C::G1Affine) -> G1Json {
    coordinates(point).map(|parts| parts.concat())
}

pub(super) fn g2_json<C: Curve>(point: &C::G2Affine) -> G2Json {
    coordinates(point).map(|parts| parts.try_into().expect("coordinates in G2 have two parts"))
}

/// The parts of a point's three coordinates.
fn coordinates<G: SWCurveConfig>(point: &Affine<G>) -> [Vec<String>; 3] {
    let (one, zero) = (G::BaseField::one(), G::BaseField::zero());
    let (x, y, z) = point.xy().map_or((zero, one, zero), |(x, y)| (x, y, one));
    [x, y, z].map(|coordinate| parts(&coordinate).collect())
}

/// A field element's parts over the prime field, as decimal texts.
pub(super) fn parts<F: Field>(element: &F) -> impl Iterator<Item = String> {
    element.to_base_prime_field_elements().map(|part| part.into_bigint().to_string())
}
