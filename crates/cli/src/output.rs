//! Output of commands: result files (all or none), one JSON object, or lines of text.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::failure::{Failure, Kind};

/// Output files, written under temporary names and renamed when all are complete. A failure leaves
/// no partial file and no incomplete set.
#[derive(Default)]
pub struct Files(Vec<(tempfile::NamedTempFile, PathBuf)>);

impl Files {
    /// Prepares a file. Fails early if it cannot be written.
    pub fn add(&mut self, path: &Path, contents: &[u8]) -> Result<(), Failure> {
        self.fill(path, |file| file.write_all(contents))
    }

    /// Prepares a file that `write` fills through a stream.
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

    /// The file prepared last, for reading.
    pub fn last(&self) -> &fs::File {
        self.0.last().expect("a file was prepared").0.as_file()
    }

    /// Renames all files to their final names.
    pub fn commit(self) -> Result<(), Failure> {
        for (file, path) in self.0 {
            file.persist(&path)
                .map_err(|error| Failure::at(Kind::Unwritable, &path, error.error))?;
        }
        Ok(())
    }
}

/// Mode of an ordinary new file, before the umask.
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
    /// Shown if standard error is a terminal and `json` is false.
    pub fn new(json: bool) -> Self {
        Self { shown: !json && io::stderr().is_terminal(), start: Instant::now() }
    }

    /// Prints one finished stage.
    pub fn stage(&self, name: &str, time: Duration, remark: &str) {
        if self.shown {
            let line = format!("{name:<12} {:>9.3} s  {remark}", time.as_secs_f64());
            let _ = writeln!(io::stderr(), "{}", line.trim_end());
        }
    }

    /// Prints one line of text.
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

/// Prints a warning on standard error, whether or not progress is shown.
pub fn warn(message: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::warn!("{message}");
    } else {
        let _ = writeln!(io::stderr(), "warning: {message}");
    }
}

/// Prints an error on standard error.
pub fn complain(message: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!("{message}");
    } else {
        let _ = writeln!(io::stderr(), "error: {message}");
    }
}

/// Prints a line of the result. A closed pipe is not an error: the reader has stopped reading.
pub fn answer(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Runs work and returns its result and duration.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

/// Peak resident memory of this process in bytes, if the system reports it.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
