//! The lock of a data directory: one process at a time uses the directory.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::StoreError;

/// Limit on the text that is read from a lock file.
const HOLDER_BYTES: u64 = 1024;

/// Longest wait for the lock. `athanor store check` holds it briefly, and a killed process until the kernel has
/// ended it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(200);

/// An exclusive lock on the file `lock` of a data directory. The kernel releases it when the process ends, whatever
/// the cause. The file stays.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
    /// Description of the holder: process id, host and start time.
    holder: String,
}

impl Lock {
    /// Acquires the lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] with the holder's description if another process holds it.
    pub(crate) fn acquire(directory: &Path) -> Result<Lock, StoreError> {
        let path = directory.join("lock");
        let io = |source| StoreError::Io { path: path.clone(), source };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(io)?;
        match lock_with_timeout(&file, ACQUIRE_TIMEOUT) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked {
                    path: directory.to_owned(),
                    holder: read_holder(&file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let holder = format!(
            "pid {}, host {}, since {}",
            std::process::id(),
            host(),
            humantime::format_rfc3339_seconds(SystemTime::now())
        );
        let mut lock = Lock { file, path, holder };
        lock.write("")?;
        Ok(lock)
    }

    /// Records the address at which the holder listens.
    pub(crate) fn record_address(&mut self, address: SocketAddr) -> Result<(), StoreError> {
        self.write(&format!(", listening at {address}"))
    }

    /// Writes the holder's description, followed by `suffix`.
    fn write(&mut self, suffix: &str) -> Result<(), StoreError> {
        let text = format!("{}{suffix}\n", self.holder);
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()));
        match written {
            // On a full disk the lock holds without a description of its holder.
            Err(error) if error.kind() != std::io::ErrorKind::StorageFull => {
                Err(StoreError::Io { path: self.path.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// The description of the process that holds a directory's lock; `None` if the lock is free. Changes nothing.
pub(crate) fn holder(directory: &Path) -> Option<String> {
    let file = File::open(directory.join("lock")).ok()?;
    // Holds a shared lock until the file is closed at the end of this function; `Lock::acquire` waits for that.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read_holder(&file)),
        _ => None,
    }
}

/// Tries to lock a file until `timeout` has passed.
fn lock_with_timeout(file: &File, timeout: Duration) -> Result<(), TryLockError> {
    let end = Instant::now() + timeout;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            tried => return tried,
        }
    }
}

/// Reads the holder's description, without control characters.
fn read_holder(file: &File) -> String {
    let mut text = Vec::new();
    let _ = file.take(HOLDER_BYTES).read_to_end(&mut text);
    let text: String = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect();
    match text.is_empty() {
        true => "holder unknown".to_owned(),
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
