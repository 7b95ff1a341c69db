//! `athanor cache`: the files that are kept between runs, and their size limit.
//!
//! Converted keys, compiled witness generators and the circuits of measurements each have a
//! directory below one base. Every entry can be made again: removing one costs only the time to
//! make it. Converted keys share one size limit: storing a key removes the least recently used
//! keys beyond the limit.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    failure::{Failure, Kind},
    keys,
    output::{answer, warn},
};

/// The parts of the cache, each a directory.
const PARTS: [&str; 3] = ["keys", "wasm", "bench"];
/// Default size limit of all converted keys together, in bytes. [`LIMIT`] overrides it.
const DEFAULT_LIMIT: u64 = 32 << 30;
/// Environment variable for the limit: bytes, or a number with the suffix KiB, MiB or GiB.
const LIMIT: &str = "ATHANOR_CACHE_LIMIT";

/// `athanor cache`.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// List cached files: converted keys, compiled witness generators, benchmark circuits
    List(CacheList),
    /// Remove cached files; each is made again when it is needed
    Clean(CacheClean),
}

/// `athanor cache list`.
#[derive(Debug, Args)]
pub struct CacheList {
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `athanor cache clean`.
#[derive(Debug, Args)]
pub struct CacheClean {
    /// Clean only this part
    #[arg(long, value_name = "PART", value_parser = PARTS)]
    pub part: Option<String>,
    /// Keep the most recently used files of each part up to this size; suffixes KiB, MiB, GiB
    #[arg(long, value_name = "BYTES", value_parser = bytes_of, default_value = "0")]
    pub keep: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Cache {
    /// Whether the command prints JSON.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Cache::List(args) => args.json,
            Cache::Clean(args) => args.json,
        }
    }
}

/// Runs one of the commands.
pub(crate) fn run(cache: &Cache) -> Result<(), Failure> {
    match cache {
        Cache::List(args) => list(args),
        Cache::Clean(args) => clean(args),
    }
}

/// Parses a size in bytes with an optional suffix KiB, MiB or GiB.
fn bytes_of(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = unit.unwrap_or((text, 0));
    let number: u64 = number
        .trim()
        .parse()
        .map_err(|_| format!("{text:?} is not a valid size: expected bytes or a suffix, such as 1000000, 512MiB or 20GiB"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("{text} does not fit in 64 bits: give a smaller size"))
}

/// Size limit of all converted keys together, in bytes.
fn limit() -> Result<u64, Failure> {
    match env::var(LIMIT) {
        Ok(text) if !text.is_empty() => bytes_of(&text)
            .map_err(|error| Failure::new(Kind::Unsupported, format_args!("{LIMIT}: {error}"))),
        _ => Ok(DEFAULT_LIMIT),
    }
}

/// A file of the cache.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// The files of a part, least recently used first. Files with unknown extensions are skipped.
fn entries(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        let known = ["key", "outline", "module", "constraints"];
        let ours = path.extension().is_some_and(|ending| known.iter().any(|one| ending == *one));
        if metadata.is_file() && ours {
            entries.push(Entry { path, bytes: metadata.len(), used: metadata.modified()? });
        }
    }
    entries.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
    Ok(entries)
}

/// Removes the least recently used files, except `keep`, until the rest takes at most `limit`
/// bytes. Returns the number of removed files and their bytes.
fn trim(directory: &Path, limit: u64, keep: Option<&Path>) -> io::Result<(u64, u64)> {
    let entries = entries(directory)?;
    let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let mut removed = (0, 0);
    for entry in entries.iter().filter(|entry| Some(&*entry.path) != keep) {
        if total <= limit {
            break;
        }
        match fs::remove_file(&entry.path) {
            // Another process has already removed the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
        total -= entry.bytes;
        removed = (removed.0 + 1, removed.1 + entry.bytes);
    }
    Ok(removed)
}

/// Called after a key was stored or used: keeps the most recently used keys, within the limit.
pub(crate) fn keep(key: &Path, stored: bool) {
    if !stored {
        note_use(key);
    } else if let Err(error) = keep_within_limit(key) {
        warn(&error.message);
    }
}

/// Removes converted keys beyond the limit after one was stored.
fn keep_within_limit(stored: &Path) -> Result<(), Failure> {
    let directory = stored.parent().unwrap_or(Path::new("."));
    trim(directory, limit()?, Some(stored))
        .map(drop)
        .map_err(|error| Failure::at(Kind::Unwritable, directory, error))
}

/// Marks an entry as just used, so that it is removed last. Errors are ignored: a read-only cache
/// still works.
fn note_use(path: &Path) {
    if let Ok(file) = fs::File::options().append(true).open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

fn list(args: &CacheList) -> Result<(), Failure> {
    let limit = limit()?;
    let mut parts = serde_json::Map::new();
    let mut total = 0;
    for part in PARTS {
        let directory = keys::cache_directory(part)?;
        let entries = entries(&directory)
            .map_err(|error| Failure::at(Kind::Unreadable, &directory, error))?;
        let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        total += bytes;
        if !args.json {
            let bound =
                if part == "keys" { format!(" of {}", human(limit)) } else { String::new() };
            answer(&format!(
                "{}: {} entries, {}{bound}",
                directory.display(),
                entries.len(),
                human(bytes)
            ));
        }
        let mut listed = Vec::new();
        // The most recently used first.
        for Entry { path, bytes, used } in entries.iter().rev() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let idle = used.elapsed().unwrap_or_default().as_secs();
            if !args.json {
                answer(&format!("  {:>10}  used {:<12} {name}", human(*bytes), ago(idle)));
            }
            listed.push(json!({ "name": name, "bytes": bytes, "seconds_since_use": idle }));
        }
        parts.insert(
            part.to_owned(),
            json!({ "directory": directory, "bytes": bytes, "entries": listed }),
        );
    }
    if args.json {
        let answered = json!({
            "command": "cache list",
            "bytes": total,
            "limit_of_keys_bytes": limit,
            "parts": Value::Object(parts),
        });
        answer(&answered.to_string());
    }
    Ok(())
}

fn clean(args: &CacheClean) -> Result<(), Failure> {
    let mut removed = (0, 0);
    for part in PARTS {
        if args.part.as_deref().is_some_and(|only| only != part) {
            continue;
        }
        let directory = keys::cache_directory(part)?;
        let (files, bytes) = trim(&directory, args.keep, None)
            .map_err(|error| Failure::at(Kind::Unwritable, &directory, error))?;
        removed = (removed.0 + files, removed.1 + bytes);
    }
    let (files, bytes) = removed;
    if args.json {
        let answered =
            json!({ "command": "cache clean", "removed": files, "removed_bytes": bytes });
        answer(&answered.to_string());
    } else {
        answer(&format!("removed {files} entries, {}", human(bytes)));
    }
    Ok(())
}

fn human(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() as usize / 10).min(units.len() - 1);
    match unit {
        0 => format!("{bytes} B"),
        unit => format!("{:.1} {}", bytes as f64 / (1u64 << (10 * unit)) as f64, units[unit]),
    }
}

fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bytes_are_read_as_people_write_them() {
        assert_eq!(bytes_of("1000"), Ok(1000));
        assert_eq!(bytes_of("2KiB"), Ok(2048));
        assert_eq!(bytes_of("3 GiB"), Ok(3 << 30));
        for bad in ["", "GiB", "-1", "1.5GiB", "1GB", "99999999999GiB"] {
            assert!(bytes_of(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            (human(0), human(1023), human(1536)),
            ("0 B".into(), "1023 B".into(), "1.5 KiB".into())
        );
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_what_was_just_stored_never() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let make = |name: &str, age: u64| {
            let path = directory.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
            path
        };
        let (old, older) = (make("old.key", 10), make("older.key", 20));
        let (new, foreign) = (make("new.key", 0), make("notes.txt", 99));
        note_use(&older);
        assert_eq!(trim(directory.path(), 200, None).unwrap(), (1, 100));
        assert!(!old.exists() && older.exists() && new.exists() && foreign.exists());
        assert_eq!(trim(directory.path(), 0, Some(&new)).unwrap(), (1, 100));
        assert!(!older.exists() && new.exists() && foreign.exists());
    }
}
