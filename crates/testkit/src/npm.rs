//! npm packages and files made from them, downloaded once and cached.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Installs a package with its dependencies; returns the directory that has its `node_modules`.
pub(crate) fn installed(test: &str, package: &str, version: &str) -> Option<PathBuf> {
    kept(test, &format!("{package}@{version}"), &directory(package, version), |dir| {
        install(dir, package, version)
    })
}

/// Installs a package into a directory.
pub(crate) fn install(dir: &Path, package: &str, version: &str) -> Result<(), String> {
    let spec = format!("{package}@{version}");
    let flags = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix"];
    run(Command::new("npm").arg("install").args(flags).arg(dir).arg(spec))
}

/// Extracts only some files of a package; returns the directory that has its `package`.
pub(crate) fn extracted(
    test: &str,
    package: &str,
    version: &str,
    files: &[String],
) -> Option<PathBuf> {
    kept(test, &format!("{package}@{version}"), &directory(package, version), |dir| {
        let spec = format!("{package}@{version}");
        run(Command::new("npm").args(["pack", &spec, "--pack-destination"]).arg(dir))?;
        let archive = fs::read_dir(dir)
            .and_then(|mut entries| entries.next().transpose())
            .map_err(|error| error.to_string())?
            .ok_or("npm pack wrote no archive")?
            .path();
        let members = files.iter().map(|file| format!("package/{file}"));
        run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(dir).args(members))?;
        fs::remove_file(archive).map_err(|error| error.to_string())
    })
}

fn directory(package: &str, version: &str) -> String {
    format!("{}-{version}", package.trim_start_matches('@').replace('/', "-"))
}

/// A directory of the cache. If it does not exist, `fetch` creates it, completely or not at all. `what`
/// describes its contents in error messages.
pub(crate) fn kept(
    test: &str,
    what: &str,
    name: &str,
    fetch: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    match try_kept(what, name, fetch) {
        Ok(dir) => Some(dir),
        Err(why) if std::env::var("ATHANOR_REQUIRE_NODE").is_ok_and(|value| value == "1") => {
            panic!("{test}: {why}, and with ATHANOR_REQUIRE_NODE=1 the test must not be skipped")
        }
        Err(why) => {
            // Not `eprintln!`, whose output the test runner hides if the test passes.
            let _ = writeln!(io::stderr(), "SKIPPED: {test}: {why}");
            None
        }
    }
}

fn try_kept(
    what: &str,
    name: &str,
    fetch: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    for program in ["node", "npm"] {
        run(Command::new(program).arg("--version"))
            .map_err(|why| format!("needs {program}: {why}"))?;
    }
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/npm");
    let dir = cache.join(name);
    let fetched = || -> io::Result<Result<(), String>> {
        fs::create_dir_all(&cache)?;
        // Other tests, in this and other processes, wait here for the first one.
        let lock = File::create(cache.join(format!("{name}.lock")))?;
        lock.lock()?;
        if dir.exists() {
            return Ok(Ok(()));
        }
        let staging = tempfile::Builder::new().prefix(".fetching-").tempdir_in(&cache)?;
        if let Err(why) = fetch(staging.path()) {
            return Ok(Err(format!("could not get {what}: {why}")));
        }
        fs::rename(staging.path(), &dir)?;
        // The directory has been renamed, so the guard must not remove it.
        let _ = staging.keep();
        Ok(Ok(()))
    };
    fetched().unwrap_or_else(|error| Err(format!("{}: {error}", cache.display())))?;
    dir.canonicalize().map_err(|error| error.to_string())
}

/// Runs a program to its end. If it fails, returns the last line of its output.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.lines().last().unwrap_or("it failed").to_owned())
}
