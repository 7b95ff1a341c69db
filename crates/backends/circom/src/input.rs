//! A circuit's input in snarkjs's format: a JSON object from signal names to numbers.
//!
//! The text is parsed in place into field elements, without a tree of owned values. Numbers keep every
//! digit, a repeated key cannot overwrite the first, and no unwiped copy of a secret stays in memory.
//! (`serde_json::Value` would violate all three.)

use std::{cell::Cell, collections::HashSet};

use athanor_kernels::{CurveId, Scalar};
use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

use crate::{InputError, Limits, NumberError, number, signal::shown};

/// The input signals of one witness: names and reduced values, wiped when dropped.
///
/// Arrays of any shape are flattened in order. Objects, which circom's buses need, become names
/// with dots, arrays of objects names with indices: `{"a": [{"x": 1}]}` gives `a[0].x`.
pub struct Inputs {
    curve: CurveId,
    signals: Vec<Signal>,
}

/// The values of one input signal.
pub(crate) struct Signal {
    pub(crate) name: String,
    pub(crate) values: Vec<Scalar>,
}

impl Inputs {
    /// Parses an input for a circuit over `curve`. The caller owns the text and must wipe it if it is
    /// secret.
    pub fn parse(json: &[u8], curve: CurveId, limits: &Limits) -> Result<Self, InputError> {
        if json.len() > limits.input_bytes {
            let (bytes, limit) = (json.len(), limits.input_bytes);
            return Err(InputError::TooLarge { bytes, limit });
        }
        let text = std::str::from_utf8(json)
            .map_err(|error| InputError::NotUtf8 { at: error.valid_up_to() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // The whole text is checked as JSON before any of it is read.
        let root: &RawValue = serde_json::from_str(text).map_err(syntax)?;
        if !root.get().starts_with('{') {
            return Err(InputError::NotAnObject);
        }
        let mut walk = Walk { curve, limits, values: 0, signals: Vec::new() };
        walk.object("", root, 1)?;
        let inputs = Inputs { curve, signals: walk.signals };
        let mut names = HashSet::with_capacity(inputs.signals.len());
        match inputs.signals.iter().find(|signal| !names.insert(signal.name.as_str())) {
            Some(twice) => Err(InputError::Duplicate { signal: shown(&twice.name) }),
            None => Ok(inputs),
        }
    }

    /// The curve whose scalar field the values are in.
    pub fn curve(&self) -> CurveId {
        self.curve
    }

    /// Each signal's name and number of values, in the order of the text.
    pub fn names(&self) -> impl ExactSizeIterator<Item = (&str, usize)> {
        self.signals.iter().map(|signal| (signal.name.as_str(), signal.values.len()))
    }

    pub(crate) fn signals(&self) -> &[Signal] {
        &self.signals
    }
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs({} signals hidden)", self.signals.len())
    }
}

impl Signal {
    /// Appends a value. Growth copies and wipes explicitly: `Vec` would leave old values in freed memory.
    fn push(&mut self, value: Scalar) {
        if self.values.len() == self.values.capacity() {
            let mut larger = Vec::with_capacity((2 * self.values.len()).max(4));
            larger.extend_from_slice(&self.values);
            self.values.zeroize();
            self.values = larger;
        }
        self.values.push(value);
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

/// Kind of an array's leaves; all leaves of one array must have the same kind.
#[derive(Clone, Copy, PartialEq)]
enum Leaves {
    Numbers,
    Objects,
}

struct Walk<'a> {
    curve: CurveId,
    limits: &'a Limits,
    values: usize,
    signals: Vec<Signal>,
}

impl Walk<'_> {
    fn object(&mut self, prefix: &str, raw: &RawValue, depth: usize) -> Result<(), InputError> {
        self.check_depth(prefix, depth)?;
        let mut keys = HashSet::new();
        for_each_entry(raw, &mut |key, value| {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if !keys.insert(key) {
                return Err(InputError::Duplicate { signal: shown(&name) });
            }
            match value.get().as_bytes()[0] {
                b'{' => self.object(&name, value, depth + 1),
                b'[' => {
                    let mut signal = Signal { name, values: Vec::new() };
                    let leaves = Cell::new(None);
                    let path = signal.name.clone();
                    self.array(&mut signal, &path, value, depth + 1, &leaves)?;
                    if leaves.get() != Some(Leaves::Objects) {
                        self.signals.push(signal);
                    }
                    Ok(())
                }
                _ => {
                    let mut signal = Signal { name, values: Vec::with_capacity(1) };
                    self.number(&mut signal, value)?;
                    self.signals.push(signal);
                    Ok(())
                }
            }
        })
    }

    /// Flattens an array into `signal`, or walks the objects in it under their indexed names.
    fn array(
        &mut self,
        signal: &mut Signal,
        path: &str,
        raw: &RawValue,
        depth: usize,
        leaves: &Cell<Option<Leaves>>,
    ) -> Result<(), InputError> {
        self.check_depth(&signal.name, depth)?;
        let mut index = 0;
        for_each_element(raw, &mut |value| {
            let first = value.get().as_bytes()[0];
            if first == b'[' {
                // Only objects need the path; numbers, the common case, do not.
                let path = if leaves.get() == Some(Leaves::Numbers) {
                    String::new()
                } else {
                    format!("{path}[{index}]")
                };
                self.array(signal, &path, value, depth + 1, leaves)?;
            } else {
                let kind = if first == b'{' { Leaves::Objects } else { Leaves::Numbers };
                if *leaves.get().get_or_insert(kind) != kind {
                    return Err(InputError::Mixed { signal: shown(&signal.name) });
                }
                leaves.set(Some(kind));
                match kind {
                    Leaves::Objects => {
                        self.object(&format!("{path}[{index}]"), value, depth + 1)?;
                    }
                    Leaves::Numbers => self.number(signal, value)?,
                }
            }
            index += 1;
            Ok(())
        })
    }

    fn number(&mut self, signal: &mut Signal, raw: &RawValue) -> Result<(), InputError> {
        if self.values == self.limits.input_values {
            let limit = self.limits.input_values;
            return Err(InputError::TooManyValues { signal: shown(&signal.name), limit });
        }
        self.values += 1;
        let value = parse_number(self.curve, raw.get()).map_err(|why| {
            let index = signal.values.len();
            InputError::Number { signal: shown(&signal.name), index, why }
        })?;
        signal.push(value);
        Ok(())
    }

    fn check_depth(&self, name: &str, depth: usize) -> Result<(), InputError> {
        let limit = self.limits.input_depth;
        if depth > limit {
            return Err(InputError::TooDeep { signal: shown(name), limit });
        }
        Ok(())
    }
}

fn parse_number(curve: CurveId, raw: &str) -> Result<Scalar, NumberError> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => number::from_literal(curve, raw),
        Some(inside) if !inside.contains('\\') => number::from_string(curve, inside),
        Some(_) => {
            let text = serde_json::from_str(raw).map_err(|_| NumberError::BadDigit)?;
            number::from_string(curve, &Zeroizing::<String>::new(text))
        }
    }
}

/// Keeps only the position of serde_json's error: its message can quote the text, which may be secret.
fn syntax(error: serde_json::Error) -> InputError {
    InputError::Syntax { line: error.line(), column: error.column(), cut_short: error.is_eof() }
}

type EachEntry<'f, 'de> = &'f mut dyn FnMut(String, &'de RawValue) -> Result<(), InputError>;
type EachElement<'f, 'de> = &'f mut dyn FnMut(&'de RawValue) -> Result<(), InputError>;

/// Calls `each` for the entries of an object in the order of the text, including duplicates.
fn for_each_entry<'de>(raw: &'de RawValue, each: EachEntry<'_, 'de>) -> Result<(), InputError> {
    struct Entries<'f, 'de>(EachEntry<'f, 'de>, &'f mut Option<InputError>);

    impl<'de> Visitor<'de> for Entries<'_, 'de> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry()? {
                (self.0)(key, value).map_err(|error| {
                    *self.1 = Some(error);
                    A::Error::custom("refused")
                })?;
            }
            Ok(())
        }
    }

    let mut refused = None;
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_map(Entries(each, &mut refused))
        .map_err(|error| refused.unwrap_or_else(|| syntax(error)))
}

/// Calls `each` for the elements of an array in the order of the text.
fn for_each_element<'de>(raw: &'de RawValue, each: EachElement<'_, 'de>) -> Result<(), InputError> {
    struct Elements<'f, 'de>(EachElement<'f, 'de>, &'f mut Option<InputError>);

    impl<'de> Visitor<'de> for Elements<'_, 'de> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while let Some(value) = seq.next_element()? {
                (self.0)(value).map_err(|error| {
                    *self.1 = Some(error);
                    A::Error::custom("refused")
                })?;
            }
            Ok(())
        }
    }

    let mut refused = None;
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_seq(Elements(each, &mut refused))
        .map_err(|error| refused.unwrap_or_else(|| syntax(error)))
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
