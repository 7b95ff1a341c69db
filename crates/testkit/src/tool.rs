//! A program that runs under Node.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A script and how to run it.
#[derive(Clone, Debug)]
pub struct Tool {
    script: PathBuf,
}

impl Tool {
    pub(crate) fn new(script: PathBuf) -> Self {
        Self { script }
    }

    /// The command without arguments, for callers that need more than [`Tool::run`].
    pub fn command(&self) -> Command {
        let mut command = Command::new("node");
        command.arg(&self.script);
        command
    }

    /// Runs it in `dir` and returns what it wrote to standard output.
    ///
    /// # Panics
    ///
    /// If it cannot be run or fails; the message has its whole output.
    #[track_caller]
    pub fn run(&self, dir: &Path, args: &[&str]) -> String {
        let output = self.output(dir, args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            panic!("{} {args:?}: {}\n{text}\n{errors}", self.script.display(), output.status);
        }
        text
    }

    /// Runs it in `dir`, whether it succeeds or fails.
    ///
    /// # Panics
    ///
    /// If it cannot be run.
    #[track_caller]
    pub fn output(&self, dir: &Path, args: &[&str]) -> Output {
        let mut command = self.command();
        command.args(args).current_dir(dir);
        command.output().unwrap_or_else(|error| panic!("node: {error}"))
    }
}
