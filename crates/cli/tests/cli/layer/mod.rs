//! A layer between the service and its files: what was synced, and a world without the rest.
//!
//! A killed process leaves its writes in the page cache, so killing alone says nothing of a power
//! cut. `layer.c` writes down every change to files in its order; [`Log`] replays it and rebuilds
//! a directory that holds what a sync had made durable, and of the rest nothing or a random part.
//! Strictly: a name in a directory is durable when the directory was synced, not before.

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

/// Files whose existence the layer heeds, by its variable.
pub(crate) const FULL: &str = "LAYER_FULL";
pub(crate) const CLOCK: &str = "LAYER_CLOCK";

/// Puts the layer between a command and the files below a directory, and has it write a log.
pub(crate) fn under(command: &mut Command, place: &Place, root: &Path, log: &Path) {
    command.env("LD_PRELOAD", library()).env("LAYER_ROOT", root).env("LAYER_LOG", log);
    command.env(FULL, place.path("full")).env(CLOCK, place.path("back"));
}

/// The same, and the process dies before its change of that number.
pub(crate) fn killed_at(command: &mut Command, change: u64) {
    command.env("LAYER_KILL", change.to_string());
}

type Inode = u64;

#[derive(Clone, Default)]
struct File {
    /// As the process sees it.
    now: Vec<u8>,
    /// As of its last sync.
    synced: Vec<u8>,
    /// Writes since.
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

/// What happened to a directory's files.
#[derive(Default)]
pub(crate) struct Log {
    files: HashMap<Inode, File>,
    names: BTreeMap<PathBuf, Entry>,
    synced_names: BTreeMap<PathBuf, Entry>,
    /// How many changes there were.
    pub(crate) changes: u64,
}

impl Log {
    /// Reads a log. Its last line may be cut short by the kill.
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

    /// Writes what survived under another root; of what was not synced, what `survives` says.
    pub(crate) fn rebuild(&self, from: &Path, to: &Path, mut survives: impl FnMut() -> bool) {
        let mut names = self.synced_names.clone();
        // A change of a name that was not synced is there or is not.
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
            // What lies in a directory that is not there is not there.
            if !target.parent().unwrap().is_dir() {
                continue;
            }
            match entry {
                Entry::Directory => fs::create_dir(&target).unwrap(),
                // Memory that processes share; it does not outlive the machine.
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
