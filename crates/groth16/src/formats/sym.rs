//! `.sym`: circom's names for signals.
//!
//! A text file with one line for each signal before simplification: label, wire (-1 if the signal
//! has no wire), component, name. Names are only for messages, so they are read when a message needs
//! them.

use std::io::{BufRead, Read};

use super::r1cs::Header;

/// Maximum length of a line in bytes.
pub const MAX_LINE: u64 = 1 << 16;

/// Why a file of names is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SymError {
    /// Reading failed.
    #[error("sym: cannot read line {line}: {source}")]
    Io {
        /// The line, from 1.
        line: u64,
        /// The system's error.
        source: std::io::Error,
    },
    /// A line is longer than [`MAX_LINE`].
    #[error(
        "sym: line {line} is longer than {MAX_LINE} bytes; this is not a .sym file written by circom"
    )]
    LineTooLong {
        /// The line, from 1.
        line: u64,
    },
    /// A line is not "label,wire,component,name".
    #[error("sym: line {line} is not \"label,wire,component,name\"")]
    BadLine {
        /// The line, from 1.
        line: u64,
    },
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The signal's number before simplification.
    pub label: u64,
    /// The wire of the signal, if it has one.
    pub wire: Option<u32>,
    /// Number of its component.
    pub component: u32,
    /// Its name, such as `main.hash.in[2]`.
    pub name: String,
}

impl Symbol {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, ',');
        let label = fields.next()?.parse().ok()?;
        let wire = match fields.next()? {
            "-1" => None,
            wire => Some(wire.parse().ok()?),
        };
        let component = fields.next()?.parse().ok()?;
        let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
        Some(Self { label, wire, component, name })
    }
}

/// Iterates over the lines. An error ends the iteration.
pub fn read_sym(mut text: impl BufRead) -> impl Iterator<Item = Result<Symbol, SymError>> {
    let mut number = 0;
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        number += 1;
        let next = read_line(&mut text, number);
        failed = next.is_err();
        next.transpose()
    })
}

/// The next line; `None` at the end of the file.
fn read_line(text: &mut impl BufRead, number: u64) -> Result<Option<Symbol>, SymError> {
    let mut line = Vec::new();
    let read = text.take(MAX_LINE + 1).read_until(b'\n', &mut line);
    let read = read.map_err(|source| SymError::Io { line: number, source })?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 > MAX_LINE {
        return Err(SymError::LineTooLong { line: number });
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let symbol = std::str::from_utf8(line).ok().and_then(Symbol::parse);
    symbol.map(Some).ok_or(SymError::BadLine { line: number })
}

/// An input of the main component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name without indices, as in the JSON of inputs.
    pub name: String,
    /// Number of its field elements.
    pub size: usize,
}

/// Names of wires.
#[derive(Clone, Debug, Default)]
pub struct WireNames {
    /// The first name of each wire, by ascending wire.
    names: Vec<(u32, String)>,
}

impl WireNames {
    /// Reads the whole file.
    pub fn read(text: impl BufRead) -> Result<Self, SymError> {
        Self::keep(text, |_| true)
    }

    /// Reads the file and keeps only the names of some wires, to save memory.
    pub fn of(text: impl BufRead, wires: &[u32]) -> Result<Self, SymError> {
        Self::keep(text, |wire| wires.contains(&wire))
    }

    fn keep(text: impl BufRead, wanted: impl Fn(u32) -> bool) -> Result<Self, SymError> {
        let mut names = Vec::new();
        for symbol in read_sym(text) {
            let Symbol { wire, name, .. } = symbol?;
            names.extend(wire.filter(|&wire| wanted(wire)).map(|wire| (wire, name)));
        }
        // The sort is stable: if a wire has several names, the first in the file, the outermost, is kept.
        names.sort_by_key(|&(wire, _)| wire);
        names.dedup_by_key(|&mut (wire, _)| wire);
        Ok(Self { names })
    }

    /// A wire's name.
    pub fn get(&self, wire: u32) -> Option<&str> {
        let index = self.names.binary_search_by_key(&wire, |&(wire, _)| wire).ok()?;
        Some(&self.names[index].1)
    }

    /// The main component's named inputs, in the order of their wires.
    pub fn inputs(&self, header: &Header) -> Vec<Input> {
        let first = 1 + header.outputs;
        let wires = first..first + header.public_inputs + header.private_inputs;
        let mut inputs: Vec<Input> = Vec::new();
        for name in wires.filter_map(|wire| self.get(wire)) {
            let name = name.strip_prefix("main.").unwrap_or(name);
            let name = name.split(['[', '.']).next().unwrap_or(name);
            match inputs.last_mut().filter(|input| input.name == name) {
                Some(input) => input.size += 1,
                None => inputs.push(Input { name: name.into(), size: 1 }),
            }
        }
        inputs
    }
}

#[cfg(test)]
mod tests {
    use athanor_kernels::CurveId;

    use super::*;

    const TEXT: &str = "1,1,9,main.root\n2,3,9,main.path[0]\n3,4,9,main.path[1]\r\n\
                        4,2,9,main.leaf\n5,-1,8,main.hash.in[0]\n6,2,8,main.hash.in[1]\n\
                        7,5,9,main.note,odd";

    #[test]
    fn wires_have_their_outermost_name() {
        let names = WireNames::read(TEXT.as_bytes()).unwrap();
        assert_eq!(names.get(2), Some("main.leaf"));
        assert_eq!(names.get(5), Some("main.note,odd"));
        assert_eq!(names.get(0), None);
        let some = WireNames::of(TEXT.as_bytes(), &[4]).unwrap();
        assert_eq!((some.get(4), some.get(2)), (Some("main.path[1]"), None));
    }

    #[test]
    fn inputs_are_told_with_their_sizes_and_outputs_left_out() {
        let header = Header {
            curve: CurveId::Bn254,
            wires: 6,
            outputs: 1,
            public_inputs: 1,
            private_inputs: 2,
            labels: 7,
            constraints: 0,
        };
        let inputs = WireNames::read(TEXT.as_bytes()).unwrap().inputs(&header);
        let expected = [("leaf", 1), ("path", 2)];
        assert_eq!(inputs, expected.map(|(name, size)| Input { name: name.into(), size }));
    }

    #[test]
    fn bad_lines_are_errors_with_their_number() {
        let long = format!("1,1,0,main.a\n1,1,0,{}", "x".repeat(MAX_LINE as usize));
        let error = WireNames::read(long.as_bytes()).unwrap_err();
        assert!(matches!(error, SymError::LineTooLong { line: 2 }), "{error}");
        for bad in ["x", "1,2,3", "1,2,3,", "a,1,1,n", "1,-2,1,n", "1,4294967296,1,n", "\n"] {
            let error = WireNames::read(format!("1,1,0,main.a\n{bad}").as_bytes()).unwrap_err();
            assert!(matches!(error, SymError::BadLine { line: 2 }), "{bad:?}: {error}");
        }
        let error = WireNames::read(&b"1,1,0,\xff"[..]).unwrap_err();
        assert!(matches!(error, SymError::BadLine { line: 1 }), "{error}");
    }
}
