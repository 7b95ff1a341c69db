//! The memory budget and the resident memory of this process.
//!
//! A container's memory limit is in its control group or in any parent of the group, and the machine's
//! total memory does not show it. The budget is therefore the smallest known limit. For comparison: cuzk
//! derives its budget from the machine's total and is killed in containers.

use crate::cgroup;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// The limit that determined the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The configuration.
    Configured,
    /// The control group of this process, or a parent of that group.
    ControlGroup,
    /// The process's limit on its address space (`RLIMIT_AS`).
    AddressSpace,
    /// The process's limit on its private writable memory (`RLIMIT_DATA`).
    DataSegment,
    /// The memory that the machine had available.
    Available,
}

impl Source {
    /// Instruction for people to get a larger budget.
    pub fn remedy(self) -> &'static str {
        match self {
            Source::Configured => "set a larger `memory-mib` (or PROVER_MEMORY_LIMIT)",
            Source::ControlGroup => {
                "raise the memory limit of the control group (MemoryMax, --memory)"
            }
            Source::AddressSpace => {
                "raise or remove the limit on address space (RLIMIT_AS, ulimit -v)"
            }
            Source::DataSegment => "raise or remove the limit on data (RLIMIT_DATA, ulimit -d)",
            Source::Available => "free memory on this machine, or use a larger one",
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Configured => "the configuration",
            Source::ControlGroup => "the control group's limit",
            Source::AddressSpace => "the limit on address space, RLIMIT_AS",
            Source::DataSegment => "the limit on data, RLIMIT_DATA",
            Source::Available => "what the machine has available",
        })
    }
}

/// The memory that the process may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The budget, in bytes.
    pub bytes: u64,
    /// The limit that determined the budget.
    pub source: Source,
}

/// Part of a system limit that the budget leaves free, in thousandths. A configured budget has no margin.
const MARGIN: u64 = 80;

/// Bytes that the budget leaves free under a limit on address space or on writable mappings. The system
/// counts stacks of later threads (2 MiB each) and arenas of the allocator (64 MiB each) in full, even
/// if they are empty.
const HEADROOM: u64 = 512 << 20;

/// The smallest of: the configured budget, the control group's limits, the process's limits, and the
/// available memory. A margin is subtracted from the system's limits. Zero if no limit is known.
///
/// `configured`: the configured budget in bytes. `address_space`: bytes of address space that the
/// program will map and not fill.
pub fn budget(configured: Option<u64>, address_space: u64) -> Budget {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = resident_in(&status).unwrap_or(0);
    let used = |name: &str| field(&status, name).unwrap_or(0);
    let limit = |resource| getrlimit(resource).current;
    let addresses = used("VmSize:").saturating_add(address_space);
    least([
        (configured, Source::Configured),
        (cgroup::memory_limit(Path::new("/")), Source::ControlGroup),
        (within(limit(Resource::As), addresses, resident), Source::AddressSpace),
        (within(limit(Resource::Data), used("VmData:"), resident), Source::DataSegment),
        (available(), Source::Available),
    ])
}

/// Bytes of filled memory that a limit on mappings allows: `limit - (used - resident) - HEADROOM`, at
/// least zero. `used`: mapped bytes. `resident`: filled bytes, which the budget includes.
fn within(limit: Option<u64>, used: u64, resident: u64) -> Option<u64> {
    let empty = used.saturating_sub(resident);
    Some(limit?.saturating_sub(empty).saturating_sub(HEADROOM))
}

/// The limit of the kind `source`, in bytes, that results in a budget of about `bytes`.
pub fn limit_for(bytes: u64, source: Source) -> u64 {
    match source {
        Source::Configured => bytes,
        _ => bytes.saturating_add(bytes / (1000 - MARGIN) * MARGIN),
    }
}

/// A limit on the address space (`RLIMIT_AS`), in bytes, that leaves a budget above zero.
pub(crate) fn least_address_space(address_space: u64) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let used = field(&status, "VmSize:").unwrap_or(0);
    used.saturating_add(address_space).saturating_add(2 * HEADROOM)
}

fn least(known: [(Option<u64>, Source); 5]) -> Budget {
    let budget = |(bytes, source): (Option<u64>, Source)| {
        let bytes = bytes?;
        let margin = if source == Source::Configured { 0 } else { bytes / 1000 * MARGIN };
        Some(Budget { bytes: bytes - margin, source })
    };
    let least = known.into_iter().filter_map(budget).min_by_key(|budget| budget.bytes);
    least.unwrap_or(Budget { bytes: 0, source: Source::Available })
}

fn available() -> Option<u64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Resident bytes of this process: anonymous memory and shared memory. File pages, which the system can
/// drop, are excluded. Keys are included, because they are read and not mapped. `None` if the system
/// does not report it.
pub fn resident() -> Option<u64> {
    resident_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_in(status: &str) -> Option<u64> {
    Some(field(status, "RssAnon:")? + field(status, "RssShmem:").unwrap_or(0))
}

/// Resident anonymous memory of another process, in bytes.
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

    fn of(configured: Option<u64>, group: Option<u64>, available: Option<u64>) -> Budget {
        least([
            (configured, Source::Configured),
            (group, Source::ControlGroup),
            (None, Source::AddressSpace),
            (None, Source::DataSegment),
            (available, Source::Available),
        ])
    }

    #[test]
    fn the_least_limit_wins_and_only_the_systems_get_a_margin() {
        let budget = of(Some(500), Some(1_000_000), Some(900_000));
        assert_eq!(budget, Budget { bytes: 500, source: Source::Configured });
        let budget = of(Some(5_000_000), Some(1_000_000), Some(2_000_000));
        assert_eq!(budget, Budget { bytes: 920_000, source: Source::ControlGroup });
        assert_eq!(of(None, None, Some(1_000)).source, Source::Available);
        assert_eq!(of(None, None, None).bytes, 0);
    }

    #[test]
    fn a_limit_on_mappings_leaves_what_is_mapped_and_empty_and_the_headroom_alone() {
        let gib = 1 << 30;
        assert_eq!(within(None, gib, gib), None);
        // 3 GiB are mapped and 1 GiB of them is filled: the budget excludes 2 GiB and the headroom.
        assert_eq!(within(Some(8 * gib), 3 * gib, gib), Some(6 * gib - HEADROOM));
        assert_eq!(within(Some(gib), 3 * gib, gib), Some(0), "less than what is there already");
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
