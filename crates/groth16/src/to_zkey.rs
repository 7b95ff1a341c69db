//! Writes a key in memory as a `.zkey`.

use std::io::Write;

use athanor_kernels::{Curve, Quotient};

use crate::{
    RawKey,
    formats::zkey::{
        Coefficient, Contributions, Factor, G1Query, Header, HeaderPoints, Query, ZkeyError,
        ZkeyWriter,
    },
};

impl<C: Curve> RawKey<C> {
    /// Writes the key as a `.zkey` without contributions, as a stream. `note` describes the key.
    ///
    /// # Panics
    ///
    /// If the key is not for the odd-coset quotient, the only one that a `.zkey` can hold.
    pub fn write_zkey(&self, out: impl Write, note: &str) -> Result<(), ZkeyError> {
        assert_eq!(self.quotient, Quotient::OddCoset, "a .zkey needs the odd-coset quotient");
        let count = |number: usize| {
            u32::try_from(number).map_err(|_| ZkeyError::Header {
                what: "it has more than 2^32 - 1 wires, rows or entries",
                value: u32::MAX,
            })
        };
        let header = Header {
            curve: C::ID,
            wires: count(self.a.columns())?,
            public: count(self.verifying.ic.len() - 1)?,
            domain_size: count(self.domain.size())?,
            coefficients: count(self.a.entries() + self.b.entries())?,
        };
        let points = HeaderPoints {
            alpha_g1: self.verifying.alpha_g1,
            beta_g1: self.beta_g1,
            beta_g2: self.verifying.beta_g2,
            gamma_g2: self.verifying.gamma_g2,
            delta_g1: self.delta_g1,
            delta_g2: self.verifying.delta_g2,
        };
        let mut zkey = ZkeyWriter::<C, _>::new(out, &header, &points, Some(note))?;
        zkey.ic(&self.verifying.ic)?;
        let entries = [(Factor::A, &self.a), (Factor::B, &self.b)];
        zkey.coefficients(entries.into_iter().flat_map(|(factor, matrix)| {
            matrix.iter().map(move |(row, wire, value)| Coefficient {
                factor,
                row: row as u32,
                wire: wire as u32,
                value,
            })
        }))?;
        for (query, points) in [
            (G1Query::A, &self.a_query),
            (G1Query::B1, &self.b_g1_query),
            (G1Query::C, &self.l_query),
            (G1Query::H, &self.h_query),
        ] {
            zkey.begin(Query::G1(query))?;
            zkey.g1(points)?;
        }
        zkey.begin(Query::B2)?;
        zkey.g2(&self.b_g2_query)?;
        zkey.contributions(&Contributions { circuit_hash: [0; 64], contributions: Vec::new() })?;
        zkey.finish()?;
        Ok(())
    }
}
