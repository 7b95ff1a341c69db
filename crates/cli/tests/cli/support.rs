//! Runs the binary in a separate directory with a separate cache.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The curves by snarkjs's names, which are also the names of directories with snarkjs's files.
pub(crate) const CURVES: [&str; 2] = ["bn128", "bls12381"];

/// A directory to work in, with snarkjs's files for one curve.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    given: PathBuf,
}

/// The result of a run.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new(curve: &str) -> Self {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../groth16/tests/data");
        let given = data.canonicalize().unwrap().join(curve);
        Self { directory: tempfile::tempdir().unwrap(), given }
    }

    /// A file that snarkjs made.
    pub(crate) fn given(&self, name: &str) -> PathBuf {
        self.given.join(name)
    }

    /// Path of a file in this directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in this directory.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Runs `athanor` here.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        self.run_with([], args)
    }

    /// Runs `athanor` here with more in its environment.
    pub(crate) fn run_with<'a, S: AsRef<OsStr>>(
        &self,
        environment: impl IntoIterator<Item = (&'a str, &'a str)>,
        args: impl IntoIterator<Item = S>,
    ) -> Ended {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_athanor"))
            .args(args)
            .current_dir(self.directory.path())
            .env("ATHANOR_CACHE_DIR", self.path("cache"))
            .envs(environment)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = status.code().expect("no signal ended it");
        Ended { code, stdout: text(stdout), stderr: text(stderr) }
    }

    /// `athanor prove` with a key and a witness.
    pub(crate) fn prove(&self, zkey: &Path, wtns: &Path) -> Ended {
        self.run([
            OsStr::new("prove"),
            "--zkey".as_ref(),
            zkey.as_ref(),
            "--wtns".as_ref(),
            wtns.as_ref(),
        ])
    }

    /// `athanor verify`.
    pub(crate) fn verify(&self, vkey: &Path, public: &Path, proof: &Path) -> Ended {
        let [v, q, p] = ["--vkey", "--public", "--proof"].map(OsStr::new);
        self.run([OsStr::new("verify"), v, vkey.as_ref(), q, public.as_ref(), p, proof.as_ref()])
    }

    /// Names of the files here, without the cache.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "cache");
        names.sort();
        names
    }
}

impl Ended {
    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}: stdout {:?}, stderr {:?}", self.stdout, self.stderr)
        })
    }

    /// Asserts success.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout {:?}, stderr {:?}", self.stdout, self.stderr);
        self
    }

    /// Asserts a failure's exit code and a part of its message.
    pub(crate) fn fails(&self, code: i32, words: &str) {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.code, code, "stdout {stdout:?}, stderr {stderr:?}");
        assert!(stderr.contains(words), "{stderr:?} does not say {words:?}");
    }
}
