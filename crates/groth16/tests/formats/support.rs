//! Takes real files apart and reassembles them with code that is independent of the readers.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use ark_ec::models::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::UniformRand;
use athanor_groth16::formats::{
    R1csError, WtnsError, ZkeyError,
    r1cs::R1csFile,
    wtns::read_wtns,
    zkey::{G1Query, Query, ZkeyFile, ZkeyReader, ZkeyWriter},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Group};

/// A file of `tests/data` for a curve.
pub(crate) fn data<C: Curve>(name: &str) -> Vec<u8> {
    let folder = match C::ID {
        CurveId::Bn254 => "bn128",
        CurveId::Bls12_381 => "bls12381",
    };
    let path = format!("{}/tests/data/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn text<C: Curve>(name: &str) -> String {
    String::from_utf8(data::<C>(name)).unwrap()
}

pub(crate) type Zkey<C> = ZkeyReader<C, Cursor<Vec<u8>>>;

/// A proving key of `tests/data`.
pub(crate) fn zkey<C: Curve>(name: &str) -> Zkey<C> {
    let file = ZkeyFile::open(Cursor::new(data::<C>(name))).unwrap();
    assert_eq!(file.curve(), C::ID);
    file.read_as::<C>().unwrap()
}

/// The key that our writer makes from the reader's output, with sections in the same order.
pub(crate) fn rewritten<C: Curve>(original: &[u8], note: Option<&str>) -> Vec<u8> {
    let mut zkey = ZkeyFile::open(Cursor::new(original)).unwrap().read_as::<C>().unwrap();
    let (header, points) = (*zkey.header(), zkey.header_points().clone());
    let mut writer = ZkeyWriter::<C, _>::new(Vec::new(), &header, &points, note).unwrap();
    for (id, _) in &Parts::of(original).sections[2..] {
        match id {
            3 => writer.ic(&zkey.verifying_key().unwrap().ic).unwrap(),
            4 => {
                let entries = zkey.coefficients().unwrap().map(|entry| entry.unwrap());
                writer.coefficients(entries).unwrap();
            }
            10 => writer.contributions(&zkey.contributions().unwrap().unwrap()).unwrap(),
            7 => {
                writer.begin(Query::B2).unwrap();
                zkey.g2_points(4, |_, points| writer.g2(points)).unwrap();
            }
            id => {
                let queries = [G1Query::A, G1Query::B1, G1Query::C, G1Query::H];
                let query = queries[[5, 6, 8, 9].iter().position(|other| other == id).unwrap()];
                writer.begin(Query::G1(query)).unwrap();
                zkey.g1_points(query, 4, |_, points| writer.g1(points)).unwrap();
            }
        }
    }
    writer.finish().unwrap()
}

/// A container's parts.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) head: [u8; 8],
    pub(crate) sections: Vec<(u32, Vec<u8>)>,
}

impl Parts {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut sections = Vec::new();
        let mut at = 12;
        for _ in 0..u32_at(8) {
            let len = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap()) as usize;
            sections.push((u32_at(at), bytes[at + 12..at + 12 + len].to_vec()));
            at += 12 + len;
        }
        assert_eq!(at, bytes.len());
        Self { head: bytes[..8].try_into().unwrap(), sections }
    }

    pub(crate) fn section(&mut self, id: u32) -> &mut Vec<u8> {
        let section = self.sections.iter_mut().find(|section| section.0 == id);
        &mut section.unwrap_or_else(|| panic!("no section {id}")).1
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_vec();
        bytes.extend((self.sections.len() as u32).to_le_bytes());
        for (id, section) in &self.sections {
            bytes.extend(id.to_le_bytes());
            bytes.extend((section.len() as u64).to_le_bytes());
            bytes.extend(section);
        }
        bytes
    }

    /// The file with some bytes of one section replaced.
    pub(crate) fn patched(&self, id: u32, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut parts = self.clone();
        parts.section(id)[at..at + bytes.len()].copy_from_slice(bytes);
        parts.bytes()
    }
}

/// Reads everything in a proving key.
pub(crate) fn read_whole_zkey<C: Curve>(file: impl Read + Seek) -> Result<(), ZkeyError> {
    let mut zkey = ZkeyFile::open(file)?.read_as::<C>()?;
    zkey.verifying_key()?;
    for entry in zkey.coefficients()? {
        entry?;
    }
    zkey.matrices()?;
    for query in [G1Query::A, G1Query::B1, G1Query::C, G1Query::H] {
        zkey.g1_points(query, 3, |_, _| Ok::<_, ZkeyError>(()))?;
    }
    zkey.g2_points(usize::MAX, |_, _| Ok::<_, ZkeyError>(()))?;
    zkey.contributions()?;
    zkey.note()?;
    Ok(())
}

pub(crate) fn read_whole_r1cs<C: Curve>(file: impl Read + Seek) -> Result<(), R1csError> {
    let mut r1cs = R1csFile::open(file)?;
    r1cs.constraints::<C>()?;
    r1cs.labels()?;
    Ok(())
}

pub(crate) fn read_whole_wtns(file: impl Read + Seek) -> Result<(), WtnsError> {
    read_wtns(file).map(drop)
}

/// Reads a whole file of any kind; returns the error message, if any.
pub(crate) type ReadWhole = fn(&mut dyn ReadSeek) -> Result<(), String>;

pub(crate) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// The small real files of every binary kind and both curves.
pub(crate) fn small_files() -> Vec<(&'static str, Vec<u8>, ReadWhole)> {
    fn of<C: Curve>() -> [(&'static str, Vec<u8>, ReadWhole); 4] {
        let zkey: ReadWhole = |file| read_whole_zkey::<C>(file).map_err(|e| e.to_string());
        let wtns: ReadWhole = |file| read_whole_wtns(file).map_err(|e| e.to_string());
        let r1cs: ReadWhole = |file| read_whole_r1cs::<C>(file).map_err(|e| e.to_string());
        [
            ("initial.zkey", data::<C>("initial.zkey"), zkey),
            ("final.zkey", data::<C>("final.zkey"), zkey),
            ("witness.wtns", data::<C>("witness.wtns"), wtns),
            ("circuit.r1cs", data::<C>("circuit.r1cs"), r1cs),
        ]
    }
    of::<Bn254>().into_iter().chain(of::<Bls12_381>()).collect()
}

/// A file whose reported length differs from its end, like one that is truncated while it is read.
pub(crate) struct Shrunk<'a> {
    pub(crate) file: Cursor<&'a [u8]>,
    pub(crate) ends: u64,
}

impl Read for Shrunk<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.ends.saturating_sub(self.file.position());
        (&mut self.file).take(left).read(out)
    }
}

impl Seek for Shrunk<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A point of the curve outside the subgroup of prime order.
pub(crate) fn outside_the_subgroup<G: SWCurveConfig>() -> Affine<G> {
    let rng = &mut ark_std::test_rng();
    loop {
        let x = G::BaseField::rand(rng);
        match Affine::<G>::get_point_from_x_unchecked(x, false) {
            Some(point) if !point.is_in_correct_subgroup_assuming_on_curve() => return point,
            _ => continue,
        }
    }
}

/// A point as the files store it.
pub(crate) fn stored<G: Group>(point: &Affine<G>) -> Vec<u8> {
    let mut words = vec![0; G::POINT_WORDS];
    G::write_point(point, &mut words);
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
