//! How much memory there is, and how much this process really holds.
//!
//! A container's limit lies in its control group or in any of its parents, and the machine's total
//! says nothing about either, so the budget is the least of all that is known (what others did:
//! cuzk budgets by the machine's total and is killed in containers).

use std::fs;
use std::path::{Path, PathBuf};

/// Where the budget came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Somebody chose it.
    Configured,
    /// The control group of this process, or a parent of it.
    ControlGroup,
    /// What the machine had available.
    Available,
}

/// Bytes that the engine may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The bytes.
    pub bytes: u64,
    /// The limit that was the least.
    pub source: Source,
}

/// Part of the least limit that is left alone, in thousandths, unless somebody chose the budget.
const MARGIN: u64 = 80;

/// The least of what was configured, of the control group's limits and of what is available; less a
/// margin where the system is the limit. Zero where nothing is known.
pub fn budget(configured: Option<u64>) -> Budget {
    least(configured, control_group_limit(), available())
}

fn least(configured: Option<u64>, group: Option<u64>, available: Option<u64>) -> Budget {
    let system = |bytes: u64| bytes - bytes / 1000 * MARGIN;
    let known = [
        configured.map(|bytes| (bytes, Source::Configured)),
        group.map(|bytes| (system(bytes), Source::ControlGroup)),
        available.map(|bytes| (system(bytes), Source::Available)),
    ];
    let least = known.into_iter().flatten().min_by_key(|(bytes, _)| *bytes);
    let (bytes, source) = least.unwrap_or((0, Source::Available));
    Budget { bytes, source }
}

/// The least `memory.max` (or `memory.high`) of this process's control group (version 2) and its
/// parents.
fn control_group_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    group_limit(Path::new("/sys/fs/cgroup"), path)
}

fn group_limit(root: &Path, path: &str) -> Option<u64> {
    let mut at: PathBuf = root.join(path);
    let mut limit = None;
    loop {
        for name in ["memory.max", "memory.high"] {
            let read = fs::read_to_string(at.join(name)).ok();
            if let Some(bytes) = read.and_then(|text| text.trim().parse::<u64>().ok()) {
                limit = Some(limit.map_or(bytes, |limit: u64| limit.min(bytes)));
            }
        }
        if at == root || !at.pop() {
            return limit;
        }
    }
}

fn available() -> Option<u64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// What this process holds: anonymous memory, and shared memory that it wrote. File pages that the
/// system can drop are not in it; keys are read, not mapped, so they are.
pub fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(field(&status, "RssAnon:")? + field(&status, "RssShmem:").unwrap_or(0))
}

/// The same of another process.
pub(crate) fn resident_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, "RssAnon:")
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_wins_and_only_the_systems_get_a_margin() {
        let budget = least(Some(500), Some(1_000_000), Some(900_000));
        assert_eq!(budget, Budget { bytes: 500, source: Source::Configured });
        let budget = least(Some(5_000_000), Some(1_000_000), Some(2_000_000));
        assert_eq!(budget, Budget { bytes: 920_000, source: Source::ControlGroup });
        assert_eq!(least(None, None, Some(1_000)).source, Source::Available);
        assert_eq!(least(None, None, None).bytes, 0);
    }

    #[test]
    fn a_parents_limit_binds_and_max_is_no_limit() {
        let root = tempfile::tempdir().unwrap();
        let leaf = root.path().join("a/b");
        fs::create_dir_all(&leaf).unwrap();
        fs::write(leaf.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("a/memory.max"), "4096\n").unwrap();
        fs::write(leaf.join("memory.high"), "8192\n").unwrap();
        assert_eq!(group_limit(root.path(), "a/b"), Some(4096));
        assert_eq!(group_limit(root.path(), ""), None);
    }

    #[test]
    fn what_was_written_is_resident() {
        let before = resident().unwrap();
        let held = vec![1u8; 64 << 20];
        let after = resident().unwrap();
        assert!(after >= before + (60 << 20), "{before} {after}");
        drop(held);
    }
}
