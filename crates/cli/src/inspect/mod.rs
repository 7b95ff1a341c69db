//! `athanor inspect`: describes a file, as text and as JSON.
//!
//! Each kind of file gives one list of facts for both forms. A witness is secret, so only the size
//! of a `.wtns` is shown.

mod binary;
mod text;

use std::{
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use athanor_groth16::digest_of;
use clap::{Args, ValueHint};
use serde_json::{Map, Value};

use crate::{
    failure::{Failure, Kind},
    keys,
    output::answer,
};

/// `athanor inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A .zkey, .ptau, .r1cs, .wtns or .sym, or the JSON of a proof, public signals or verifying key
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Facts about a file, in display order.
struct Facts(Map<String, Value>);

impl Facts {
    fn new(kind: &str) -> Self {
        let mut facts = Self(Map::new());
        facts.add("kind", kind);
        facts
    }

    fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

/// Describes a file.
pub(crate) fn run(args: &Inspect) -> Result<(), Failure> {
    let path = &args.file;
    let unreadable = |error| Failure::at(Kind::Unreadable, path, error);
    let mut file = keys::open(path)?;
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut facts = match &magic[..] {
        b"zkey" => binary::zkey(path, file)?,
        b"ptau" => binary::ptau(path, file)?,
        b"r1cs" => binary::r1cs(path, file)?,
        b"wtns" => binary::wtns(path, file)?,
        _ => text::facts(path, file)?,
    };
    let mut file = keys::open(path)?;
    facts.add("bytes", file.metadata().map_err(unreadable)?.len());
    let digest = digest_of(&mut file).map_err(unreadable)?;
    facts.add("blake3", crate::setup::ceremony::hex(digest));
    if args.json {
        answer(&Value::Object(facts.0).to_string());
    } else {
        facts.0.iter().for_each(|(name, value)| print(0, name, value));
    }
    Ok(())
}

/// Prints a fact as text: one line, or one line per part.
fn print(depth: usize, name: &str, value: &Value) {
    let name = name.replace('_', " ");
    let margin = "  ".repeat(depth);
    match value {
        Value::Null => {}
        Value::Object(parts) => {
            answer(&format!("{margin}{name}"));
            parts.iter().for_each(|(name, value)| print(depth + 1, name, value));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in items.iter().enumerate() {
                print(depth, &format!("{name} {}", number + 1), item);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            answer(&format!("{margin}{name:<24} {}", items.join(", ")));
        }
        value => answer(&format!("{margin}{name:<24} {}", plain(value))),
    }
}

/// Escapes control characters of untrusted text before it reaches the terminal.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string().replace("\\'", "'"),
        value => value.to_string(),
    }
}
