//! Values that can be written in several ways.

use crate::curve::Form;
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// A size: a number of bytes, or text like `"19.4 GiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl Bytes {
    /// `gib` GiB, rounded to a byte.
    pub fn gib(gib: f64) -> Bytes {
        Bytes((gib * (1u64 << 30) as f64).round() as u64)
    }

    /// In GiB.
    pub fn in_gib(self) -> f64 {
        self.0 as f64 / (1u64 << 30) as f64
    }

    fn parse(text: &str) -> Option<Bytes> {
        let text = text.trim();
        let at = text.find(|c: char| c.is_ascii_alphabetic())?;
        let number: f64 = text[..at].trim().parse().ok()?;
        let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &text[at..])?;
        let bytes = number * *size as f64;
        // 2^60 bytes is more than any machine has, and sums of such sizes fit in 64 bits.
        (0.0..=(1u64 << 60) as f64).contains(&bytes).then(|| Bytes(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b if b >= 1 << 30 => write!(f, "{:.1} GiB", self.in_gib()),
            b if b >= 1 << 20 => write!(f, "{:.1} MiB", b as f64 / (1u64 << 20) as f64),
            b => write!(f, "{b} B"),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Bytes, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size: bytes up to 2^60, or text such as \"19.4 GiB\"")
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Bytes, E> {
                if v > 1 << 60 {
                    return Err(E::invalid_value(de::Unexpected::Unsigned(v), &self));
                }
                Ok(Bytes(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Bytes, E> {
                match u64::try_from(v) {
                    Ok(v) => self.visit_u64(v),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(v), &self)),
                }
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Bytes, E> {
                Bytes::parse(v).ok_or_else(|| E::invalid_value(de::Unexpected::Str(v), &self))
            }
        }
        de.deserialize_any(Visitor)
    }
}

/// Threads of a CPU stage: a number, or `[least, most]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a number of threads, or [least, most]")]
pub enum Threads {
    /// Exactly that many.
    Exactly(u32),
    /// At least the first number and at most the second.
    Between([u32; 2]),
}

impl Threads {
    /// The fewest threads.
    pub fn least(self) -> u32 {
        match self {
            Threads::Exactly(n) => n,
            Threads::Between([least, _]) => least,
        }
    }

    /// The most threads.
    pub fn most(self) -> u32 {
        match self {
            Threads::Exactly(n) => n,
            Threads::Between([_, most]) => most,
        }
    }
}

/// A service time: seconds, or points of a curve over the number of runs at once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "seconds, or { form = \"shared\" | \"linear\" | \"table\", points = [[runs at once, seconds], ...] }"
)]
pub enum Seconds {
    /// A constant duration.
    Constant(f64),
    /// A duration that depends on the number of runs at once.
    Curve(Points),
}

/// Points and the form of the curve through them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// The form.
    pub form: Form,
    /// (Runs at once, seconds of each).
    pub points: Vec<(u32, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them_and_nothing_else_does() {
        for (text, bytes) in [
            ("19.4 GiB", 20_830_591_386),
            ("1KiB", 1024),
            (" 2 GB ", 2_000_000_000),
            ("0 B", 0),
            ("1 TiB", 1 << 40),
        ] {
            assert_eq!(Bytes::parse(text), Some(Bytes(bytes)), "{text}");
        }
        for text in ["", "GiB", "12", "-1 GiB", "1 gib", "1 GiBs", "nan GiB", "1e30 GiB", "inf B"] {
            assert_eq!(Bytes::parse(text), None, "{text}");
        }
    }
}
