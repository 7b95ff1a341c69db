//! Node and the npm packages that tests run, where they are installed.
//!
//! Tests that need them say by name that they were skipped. With `ATHANOR_REQUIRE_NODE=1` they
//! fail instead, so that a machine meant to run them cannot skip them unseen.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of an npm package under `.cache/npm`, or `None` after saying what is skipped.
pub(crate) fn package(test: &str, name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/npm/node_modules");
    let folder = root.join(name);
    let node = Command::new("node").arg("--version").output().is_ok_and(|run| run.status.success());
    let missing = match (node, folder.is_dir()) {
        (true, true) => return Some(folder),
        (false, _) => "node is not installed".to_owned(),
        (true, false) => format!("`npm install {name}` was not run in .cache/npm"),
    };
    let required = std::env::var_os("ATHANOR_REQUIRE_NODE").is_some_and(|value| value == "1");
    assert!(!required, "{test} cannot run: {missing}");
    // Past the test harness, which shows what passing tests print to nobody.
    let mut terminal = std::io::stderr().lock();
    writeln!(terminal, "SKIPPED {test}: {missing}").unwrap();
    None
}

/// snarkjs's command line.
pub(crate) struct Snarkjs {
    cli: PathBuf,
    folder: tempfile::TempDir,
}

impl Snarkjs {
    /// snarkjs with a folder of its own to work in, or `None` after saying what is skipped.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let cli = package(test, "snarkjs")?.join("build/cli.cjs");
        Some(Self { cli, folder: tempfile::tempdir().unwrap() })
    }

    /// Runs it; whether it was content, and what it said.
    pub(crate) fn run(&self, arguments: &str) -> (bool, String) {
        let run = Command::new("node")
            .arg(&self.cli)
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = [run.stdout, run.stderr].concat();
        (run.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs it and fails the test if it is not content.
    pub(crate) fn must(&self, arguments: &str) -> String {
        let (content, said) = self.run(arguments);
        assert!(content, "snarkjs {arguments}: {said}");
        said
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}
