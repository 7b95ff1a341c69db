//! A Block-STM in a separate process, which executes the blocks that it receives.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};

/// The peer's driver; it waits for the next block without using a core.
pub(super) struct Peer {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

/// The peer's reply for a block.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) wall_ns: f64,
    pub(super) cpu_ns: f64,
    pub(super) executions: u64,
    /// Nanoseconds of a sequential loop over the peer's map.
    pub(super) plain_ns: f64,
    /// Digest of all balances; see [`super::digest`].
    pub(super) digest: u64,
}

impl Peer {
    pub(super) fn start(program: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("the peer's driver {} cannot be started", program.display())
            })?;
        let requests = child.stdin.take().context("its input is a pipe")?;
        let replies = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        Ok(Self { child, requests, replies })
    }

    /// Resets the state.
    pub(super) fn reset(&mut self, accounts: u64, balance: u64) -> anyhow::Result<()> {
        writeln!(self.requests, "state {accounts} {balance}")
            .context("the peer's process has ended")
    }

    /// Executes transfers of one unit.
    pub(super) fn execute(
        &mut self,
        pairs: &[[u64; 2]],
        turns: u32,
        threads: usize,
    ) -> anyhow::Result<Reply> {
        let mut request = format!("block {threads} {turns} {}", pairs.len());
        for [from, to] in pairs {
            write!(request, " {from} {to}")?;
        }
        writeln!(self.requests, "{request}").context("the peer's process has ended")?;
        self.requests.flush()?;
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        let words: Vec<u64> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("a reply")?;
        let [wall, cpu, executions, _, plain, digest] = words[..] else {
            bail!("the peer's reply is {line:?}");
        };
        Ok(Reply {
            wall_ns: wall as f64,
            cpu_ns: cpu as f64,
            executions,
            plain_ns: plain as f64,
            digest,
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has no state on disk, so it can be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
