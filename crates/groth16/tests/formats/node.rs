//! snarkjs, where Node is installed; see `athanor-testkit`.

/// snarkjs's command line.
pub(crate) struct Snarkjs {
    tool: athanor_testkit::Tool,
    folder: tempfile::TempDir,
}

impl Snarkjs {
    /// snarkjs with a working directory, or `None` after a message that the test is skipped.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let tool = athanor_testkit::snarkjs(test)?;
        Some(Self { tool, folder: tempfile::tempdir().unwrap() })
    }

    /// Runs it; returns whether it succeeded, and its output.
    pub(crate) fn run(&self, arguments: &str) -> (bool, String) {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let run = self.tool.output(self.folder.path(), &arguments);
        let said = [run.stdout, run.stderr].concat();
        (run.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs it and fails the test if it fails.
    pub(crate) fn must(&self, arguments: &str) -> String {
        let (content, said) = self.run(arguments);
        assert!(content, "snarkjs {arguments}: {said}");
        said
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}
