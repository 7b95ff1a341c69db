//! A layer between the service and its files, which reconstructs the disk state after a power cut.
//!
//! The writes of a killed process stay in the page cache, so a kill does not simulate a power cut.
//! `layer.c` logs every change to files in order. [`Log`] replays the log and rebuilds a directory with
//! all synced data, and with none or a random part of the other data. The model is strict: a name in a
//! directory is durable only after the directory was synced.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::support::Place;

/// The layer, compiled once.
fn library() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("layer.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/layer/layer.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&out, &source])
            .args(["-ldl", "-lpthread"])
            .status();
        assert!(built.expect("a C compiler").success());
        (place, out)
    });
    path
}

/// Environment variables of the layer, each with the path of a file whose existence changes its behaviour.
pub(crate) const FULL: &str = "LAYER_FULL";
pub(crate) const CLOCK: &str = "LAYER_CLOCK";

/// Preloads the layer for a command: it logs changes to the files below a directory.
pub(crate) fn under(command: &mut Command, place: &Place, root: &Path, log: &Path) {
    command.env("LD_PRELOAD", library()).env("LAYER_ROOT", root).env("LAYER_LOG", log);
    command.env(FULL, place.path("full")).env(CLOCK, place.path("back"));
}

/// As above, and kills the process before the change with that number.
pub(crate) fn killed_at(command: &mut Command, change: u64) {
    command.env("LAYER_KILL", change.to_string());
}

type Inode = u64;

#[derive(Clone, Default)]
struct File {
    /// State as the process sees it.
    now: Vec<u8>,
    /// State at the last sync.
    synced: Vec<u8>,
    /// Writes since the last sync.
    since: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => {
                to.resize(to.len().max(at + bytes.len()), 0);
                to[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Change::Cut(length) => to.resize(*length, 0),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Entry {
    Directory,
    File(Inode),
}

/// Changes to the files of a directory.
#[derive(Default)]
pub(crate) struct Log {
    files: HashMap<Inode, File>,
    names: BTreeMap<PathBuf, Entry>,
    synced_names: BTreeMap<PathBuf, Entry>,
    /// Number of changes.
    pub(crate) changes: u64,
}

impl Log {
    /// Reads a log. The kill may have truncated its last line.
    pub(crate) fn read(path: &Path) -> Log {
        let bytes = fs::read(path).unwrap_or_default();
        let (mut log, mut rest) = (Log::default(), &bytes[..]);
        while let Some(line) = take_line(&mut rest) {
            let mut words = line.splitn(2, ' ');
            let (kind, what) = (words.next().unwrap(), words.next().unwrap_or_default());
            let number = |at: usize| what.split(' ').nth(at).and_then(|word| word.parse().ok());
            let inode = number(0).unwrap_or(0);
            log.changes += 1;
            match kind {
                "C" => {
                    let path = what.split_once(' ').unwrap().1;
                    log.files.entry(inode).or_default();
                    log.names.insert(path.into(), Entry::File(inode));
                }
                "W" => {
                    let (at, length) = (number(1).unwrap() as usize, number(2).unwrap() as usize);
                    let Some(written) = rest.get(..length) else { break };
                    let written = Change::Write(at, written.to_vec());
                    rest = &rest[length + 1..];
                    log.change(inode, written);
                }
                "T" => log.change(inode, Change::Cut(number(1).unwrap() as usize)),
                "S" => {
                    let file = log.files.entry(inode).or_default();
                    file.synced.clone_from(&file.now);
                    file.since.clear();
                }
                "D" => {
                    let directory = Path::new(what);
                    let inside = |path: &Path| path.parent() == Some(directory);
                    log.synced_names.retain(|path, _| !inside(path));
                    let now = log.names.iter().filter(|(path, _)| inside(path));
                    log.synced_names.extend(now.map(|(path, entry)| (path.clone(), *entry)));
                }
                "R" => {
                    let Some(new) = take_line(&mut rest) else { break };
                    let moved = log.names.remove(Path::new(what)).expect("it was there");
                    log.names.insert(new.into(), moved);
                }
                "U" => _ = log.names.remove(Path::new(what)),
                "M" => _ = log.names.insert(what.into(), Entry::Directory),
                other => panic!("{other:?} in the layer's log"),
            }
        }
        log
    }

    fn change(&mut self, inode: Inode, change: Change) {
        let file = self.files.entry(inode).or_default();
        change.apply(&mut file.now);
        file.since.push(change);
    }

    /// Writes the surviving state below another root; `survives` decides for each unsynced change.
    pub(crate) fn rebuild(&self, from: &Path, to: &Path, mut survives: impl FnMut() -> bool) {
        let mut names = self.synced_names.clone();
        // An unsynced change of a name is either present or absent.
        let all: Vec<&PathBuf> = self.names.keys().chain(self.synced_names.keys()).collect();
        for path in all {
            if self.names.get(path) != self.synced_names.get(path) && survives() {
                match self.names.get(path) {
                    Some(entry) => _ = names.insert(path.clone(), *entry),
                    None => _ = names.remove(path),
                }
            }
        }
        fs::create_dir_all(to).unwrap();
        for (path, entry) in names {
            let target = to.join(path.strip_prefix(from).unwrap());
            // Files of an absent directory are absent.
            if !target.parent().unwrap().is_dir() {
                continue;
            }
            match entry {
                Entry::Directory => fs::create_dir(&target).unwrap(),
                // Shared memory between processes does not survive a power cut.
                Entry::File(_) if path.to_string_lossy().ends_with("-shm") => {}
                Entry::File(inode) => {
                    let file = &self.files[&inode];
                    let mut bytes = file.synced.clone();
                    let kept = file.since.iter().filter(|_| survives());
                    kept.for_each(|change| change.apply(&mut bytes));
                    fs::write(&target, bytes).unwrap();
                }
            }
        }
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&rest[..end]).unwrap();
    *rest = &rest[end + 1..];
    Some(line)
}
