//! One process at a time has a data directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::StoreError;

/// Longest text that is read from a lock file.
const TEXT_BYTES: u64 = 1024;

/// How long another one's lock is waited for: `athanor store check` has it for an instant, and a process that was
/// killed until it is gone.
const TAKE_TIME: Duration = Duration::from_millis(200);

/// An exclusive lock on the file `lock` of a data directory. The kernel releases it with the process, however
/// that ends; the file stays.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
    /// What the holder says of itself.
    text: String,
}

impl Lock {
    /// Takes the lock, or names its holder.
    pub(crate) fn take(directory: &Path) -> Result<Lock, StoreError> {
        let path = directory.join("lock");
        let io = |source| StoreError::Io { path: path.clone(), source };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(io)?;
        match try_for(&file, TAKE_TIME) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    path: directory.to_owned(),
                    holder: text_of(&file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let text = format!(
            "pid {}, host {}, since {}",
            std::process::id(),
            host(),
            humantime::format_rfc3339_seconds(SystemTime::now())
        );
        let mut lock = Lock { file, path, text };
        lock.write("")?;
        Ok(lock)
    }

    /// Writes down where the holder listens.
    pub(crate) fn note_address(&mut self, address: SocketAddr) -> Result<(), StoreError> {
        self.write(&format!(", listening at {address}"))
    }

    fn write(&mut self, more: &str) -> Result<(), StoreError> {
        let text = format!("{}{more}\n", self.text);
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()));
        match written {
            // The lock holds whether or not there is room to say whose it is.
            Err(error) if error.kind() != std::io::ErrorKind::StorageFull => {
                Err(StoreError::Io { path: self.path.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// Who holds the lock of a directory, if anybody does. Changes nothing.
pub(crate) fn holder(directory: &Path) -> Option<String> {
    let file = File::open(directory.join("lock")).ok()?;
    // A shared lock for an instant, which `Lock::take` waits out.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(text_of(&file)),
        _ => None,
    }
}

/// Tries to lock a file until the time is over.
fn try_for(file: &File, time: Duration) -> Result<(), TryLockError> {
    let end = Instant::now() + time;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            tried => return tried,
        }
    }
}

fn text_of(file: &File) -> String {
    let mut text = Vec::new();
    let _ = file.take(TEXT_BYTES).read_to_end(&mut text);
    let text: String = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect();
    match text.is_empty() {
        true => "it has not said who it is".to_owned(),
        false => text,
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}
