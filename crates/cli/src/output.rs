//! What a command writes: result files all or none, one JSON object, or lines for a person.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::failure::{Failure, Kind};

/// Files written under other names and renamed when all of them are complete, so that a failure
/// leaves neither a half file nor one of two.
#[derive(Default)]
pub struct Files(Vec<(tempfile::NamedTempFile, PathBuf)>);

impl Files {
    /// Prepares a file, proving early that it can be written.
    pub fn add(&mut self, path: &Path, contents: &[u8]) -> Result<(), Failure> {
        self.fill(path, |file| file.write_all(contents))
    }

    /// Prepares a file in a stream.
    pub fn fill(
        &mut self,
        path: &Path,
        write: impl FnOnce(&mut fs::File) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let unwritable = |error: io::Error| Failure::at(Kind::Unwritable, path, error);
        if path.is_dir() {
            return Err(Failure::at(Kind::Unwritable, path, "is a directory"));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut file = tempfile::Builder::new()
            .permissions(permissions())
            .tempfile_in(directory.unwrap_or(Path::new(".")))
            .map_err(unwritable)?;
        write(file.as_file_mut()).map_err(unwritable)?;
        file.as_file().sync_all().map_err(unwritable)?;
        self.0.push((file, path.to_owned()));
        Ok(())
    }

    /// The file prepared last, to be read.
    pub fn last(&self) -> &fs::File {
        self.0.last().expect("a file was prepared").0.as_file()
    }

    /// Gives all files their names.
    pub fn commit(self) -> Result<(), Failure> {
        for (file, path) in self.0 {
            file.persist(&path)
                .map_err(|error| Failure::at(Kind::Unwritable, &path, error.error))?;
        }
        Ok(())
    }
}

/// As an ordinary new file would get, before the process's mask.
#[cfg(unix)]
fn permissions() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}

/// Progress on a terminal: stages with their times. Silent in a pipe and with `--json`.
pub struct Progress {
    shown: bool,
    start: Instant,
}

impl Progress {
    /// Shown where standard error is a terminal, unless the caller wants JSON.
    pub fn new(json: bool) -> Self {
        Self { shown: !json && io::stderr().is_terminal(), start: Instant::now() }
    }

    /// One finished stage.
    pub fn stage(&self, name: &str, time: Duration, remark: &str) {
        if self.shown {
            let line = format!("{name:<12} {:>9.3} s  {remark}", time.as_secs_f64());
            let _ = writeln!(io::stderr(), "{}", line.trim_end());
        }
    }

    /// One line of words.
    pub fn say(&self, line: &str) {
        if self.shown {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Time since the command began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A warning that a person must see, whether or not progress is shown.
pub fn warn(message: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::warn!("{message}");
    } else {
        let _ = writeln!(io::stderr(), "warning: {message}");
    }
}

/// What went wrong.
pub fn complain(message: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{message}");
    } else {
        let _ = writeln!(io::stderr(), "error: {message}");
    }
}

/// A line of the command's answer. A closed pipe is no error: the reader has what it wanted.
pub fn answer(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Runs work and tells how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

/// The most memory this process ever had resident, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
