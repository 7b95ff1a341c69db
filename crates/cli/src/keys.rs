//! The cache directory, key checks, and reading of text files.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

pub use athanor_circom::circuit::keys::{curve_of, open};
use athanor_groth16::Standing;

use crate::{
    failure::{Failure, Kind},
    output::warn,
};

/// The failure for a malformed proving key.
pub(crate) fn bad_zkey(path: &Path, error: athanor_groth16::formats::ZkeyError) -> Failure {
    athanor_circom::circuit::keys::bad_zkey(path, error).into()
}

/// Warns if the key's origin makes its proofs forgeable.
pub fn warn_of_standing(standing: Standing) {
    if standing == Standing::NoContribution {
        warn(
            "nobody contributed to this key (delta = gamma): ANYONE CAN FORGE PROOFS for it. \
             Use it for tests only.",
        );
    }
}

/// The JSON name of a key's standing.
pub fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::NoContribution => "no-contribution",
        Standing::Contributed => "contributed",
    }
}

/// Reads a whole text file of at most `limit` bytes.
pub fn read_text(path: &Path, limit: u64, too_large: Kind) -> Result<String, Failure> {
    let file = open(path)?;
    let mut text = String::new();
    let read = file.take(limit + 1).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Failure::at(too_large, path, "is not UTF-8 text"))
        }
        Err(error) => Err(Failure::at(Kind::Unreadable, path, error)),
        Ok(bytes) if bytes as u64 > limit => Err(Failure::at(
            too_large,
            path,
            format_args!("is larger than the limit of {limit} bytes"),
        )),
        Ok(_) => Ok(text),
    }
}

/// Directory of a part of the cache; created if missing, accessible only to this user.
///
/// `ATHANOR_CACHE_DIR`, or `athanor` in the user's cache directory.
pub fn cache_directory(part: &str) -> Result<PathBuf, Failure> {
    let given = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = given("ATHANOR_CACHE_DIR")
        .or_else(|| given("XDG_CACHE_HOME").map(|cache| cache.join("athanor")))
        .or_else(|| given("HOME").map(|home| home.join(".cache/athanor")))
        .ok_or_else(|| {
            Failure::new(
                Kind::Unwritable,
                "the cache directory is unknown: set ATHANOR_CACHE_DIR or HOME",
            )
        })?;
    let directory = base.join(part);
    let unwritable = |error| Failure::at(Kind::Unwritable, &directory, error);
    fs::create_dir_all(&base).map_err(unwritable)?;
    make_private(&base).map_err(unwritable)?;
    fs::create_dir_all(&directory).map_err(unwritable)?;
    make_private(&directory).map_err(unwritable)?;
    Ok(directory)
}

/// Refuses a directory of another user, and removes other users' access to this user's.
#[cfg(unix)]
fn make_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let metadata = fs::metadata(directory)?;
    // A file that was just created belongs to the effective user.
    let probe = tempfile::NamedTempFile::new_in(directory)?;
    if metadata.uid() != probe.as_file().metadata()?.uid() {
        let message = "belongs to another user; set ATHANOR_CACHE_DIR to a directory of your own";
        return Err(std::io::Error::other(message));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}
