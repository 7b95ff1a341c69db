//! How much memory there is, and how much this process really holds.
//!
//! A container's limit lies in its control group or in any of its parents, and the machine's total
//! says nothing about either, so the budget is the least of all that is known (what others did:
//! cuzk budgets by the machine's total and is killed in containers).

use crate::cgroup;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// Where the budget came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Somebody chose it.
    Configured,
    /// The control group of this process, or a parent of it.
    ControlGroup,
    /// The process's limit on its address space (`RLIMIT_AS`).
    AddressSpace,
    /// The process's limit on its private writable memory (`RLIMIT_DATA`).
    DataSegment,
    /// What the machine had available.
    Available,
}

impl Source {
    /// What to change to get a larger budget.
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

/// Bytes of address space and of writable mappings that a limit on either must have beyond what is in use: stacks of
/// threads to come (2 MiB each) and the allocator's arenas (64 MiB each) are counted in full, used or not.
const HEADROOM: u64 = 512 << 20;

/// The least of what was configured, of the control group's limits, of the process's own limits and of what is
/// available; less a margin where the system is the limit. Zero where nothing is known.
///
/// `address_space`: bytes of addresses that the program will reserve and not fill.
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

/// What a limit on mappings leaves for memory that is filled, if `used` bytes are mapped and `resident` of them
/// filled. A budget counts the latter too.
fn within(limit: Option<u64>, used: u64, resident: u64) -> Option<u64> {
    let empty = used.saturating_sub(resident);
    Some(limit?.saturating_sub(empty).saturating_sub(HEADROOM))
}

/// The limit of that kind that gives a budget of `bytes`, its margin included.
pub fn limit_for(bytes: u64, source: Source) -> u64 {
    match source {
        Source::Configured => bytes,
        _ => bytes.saturating_add(bytes / (1000 - MARGIN) * MARGIN),
    }
}

/// The least limit on the address space (`RLIMIT_AS`) with which there is a budget at all, in bytes.
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

/// What this process holds: anonymous memory, and shared memory that it wrote. File pages that the
/// system can drop are not in it; keys are read, not mapped, so they are.
pub fn resident() -> Option<u64> {
    resident_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_in(status: &str) -> Option<u64> {
    Some(field(status, "RssAnon:")? + field(status, "RssShmem:").unwrap_or(0))
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
        // 3 GiB are mapped, 1 GiB of them filled: 2 GiB and the headroom are not for the budget.
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
