//! The memory limit of this process's control groups, version 1 and 2, and both at once.
//!
//! `/proc/self/cgroup` names the group in each hierarchy. `/proc/self/mountinfo` names the mount point of
//! each hierarchy and the group at the root of the mount. In a container, the mount often shows only the
//! container's own group, or the named group is outside of the mount. Then the root of the mount is the
//! nearest visible group.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Value at or above which a limit of version 1 means no limit. The kernel reports the largest signed
/// number, rounded down to a multiple of the page size.
const UNLIMITED: u64 = 1 << 62;

/// A hierarchy of control groups that can limit memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The smallest effective limit, in bytes, from the file system below `root` (`/`, except in tests).
pub(crate) fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let limits = [Version::V1, Version::V2].into_iter().filter_map(|version| {
        let path = groups.lines().find_map(|line| group_path(line, version))?;
        let (shown, mount) = mounts.lines().find_map(|line| mount(line, version))?;
        let below = Path::new(path).strip_prefix(&shown).unwrap_or(Path::new(""));
        // A path with `..` names a group above the namespace. It is not followed.
        let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
        let top = root.join(mount.strip_prefix("/").unwrap_or(&mount));
        let group = if inside { top.join(below) } else { top.clone() };
        limit_up_to(&top, group, version)
    });
    limits.min()
}

/// The path of the process's group from a line of `/proc/self/cgroup`: `number:controllers:path`.
fn group_path(line: &str, version: Version) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let wanted = match version {
        Version::V1 => controllers.split(',').any(|name| name == "memory"),
        Version::V2 => number == "0" && controllers.is_empty(),
    };
    wanted.then_some(path)
}

/// The group at the root of a mount, and the mount point, from a line of `/proc/self/mountinfo`.
fn mount(line: &str, version: Version) -> Option<(PathBuf, PathBuf)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (shown, point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1).unwrap_or_default());
    let wanted = match version {
        Version::V1 => kind == "cgroup" && options.split(',').any(|name| name == "memory"),
        Version::V2 => kind == "cgroup2",
    };
    wanted.then(|| (unescape(shown), unescape(point)))
}

/// Decodes a path of `mountinfo`, which encodes space, tab, newline and backslash as `\` and three octal
/// digits.
fn unescape(path: &str) -> PathBuf {
    let mut plain = path.to_owned();
    for (escaped, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
    {
        plain = plain.replace(escaped, character);
    }
    plain.into()
}

/// The smallest limit of a group and its parents up to the root of the mount. A missing group has no limit.
fn limit_up_to(top: &Path, group: PathBuf, version: Version) -> Option<u64> {
    let mut least: Option<u64> = None;
    let mut at = group;
    loop {
        for limit in limits_of(&at, version) {
            least = Some(least.map_or(limit, |least| least.min(limit)));
        }
        if at == top || !at.pop() {
            return least;
        }
    }
}

/// The limits in a group's own files.
fn limits_of(group: &Path, version: Version) -> Vec<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    match version {
        // "max" does not parse as a number and means no limit.
        Version::V2 => ["memory.max", "memory.high"].into_iter().filter_map(number).collect(),
        Version::V1 => {
            // This value also includes the limits of groups above the mount.
            let hierarchical = read("memory.stat").and_then(|text| {
                let value = text
                    .lines()
                    .find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?;
                value.trim().parse::<u64>().ok()
            });
            let all = [number("memory.limit_in_bytes"), hierarchical].into_iter().flatten();
            all.filter(|limit| *limit < UNLIMITED).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary file system with the given files.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, contents) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        root
    }

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        memory_limit(tree(files).path())
    }

    const V2: &str =
        "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";

    #[test]
    fn version_2_takes_the_least_of_the_group_and_its_parents_and_max_is_no_limit() {
        let tree = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.high", "8192\n"),
            ("sys/fs/cgroup/a/memory.max", "4096\n"),
        ];
        assert_eq!(limit(&tree), Some(4096));
        assert_eq!(limit(&tree[..4]), Some(8192));
        assert_eq!(limit(&tree[..3]), None);
    }

    #[test]
    fn version_1_takes_the_least_of_the_group_its_parents_and_what_is_above_the_mount() {
        let mut tree = vec![
            ("proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/a/b\n1:name=systemd:/x\n"),
            ("proc/self/mountinfo", V1),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(limit(&tree), None, "the largest number is no limit");
        let stat = "cache 5\nhierarchical_memory_limit 12288\ntotal_cache 5\n";
        tree.push(("sys/fs/cgroup/memory/a/b/memory.stat", stat));
        assert_eq!(limit(&tree), Some(12288));
        tree.push(("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8192\n"));
        assert_eq!(limit(&tree), Some(8192));
        tree[2].1 = "4096\n";
        assert_eq!(limit(&tree), Some(4096));
    }

    #[test]
    fn where_both_versions_are_mounted_the_lesser_limit_binds() {
        let mounts = format!("{V1}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let mut tree = vec![
            ("proc/self/cgroup", "4:memory:/a\n0::/b\n"),
            ("proc/self/mountinfo", mounts.as_str()),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8192\n"),
        ];
        assert_eq!(limit(&tree), Some(8192));
        tree.push(("sys/fs/cgroup/unified/b/memory.max", "4096\n"));
        assert_eq!(limit(&tree), Some(4096));
    }

    #[test]
    fn in_a_container_the_mount_s_top_is_the_group() {
        // The host's path, while the mount shows the container's own group.
        let mounted = "35 31 0:32 /docker/c0 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let file = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
        let group = |path| ("proc/self/cgroup", path);
        let mounts = ("proc/self/mountinfo", mounted);
        assert_eq!(limit(&[group("4:memory:/docker/c0\n"), mounts, file]), Some(4096));
        // A group below the mounted group, a group outside of the mount, and a group above the namespace.
        let below = ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "2048\n");
        assert_eq!(limit(&[group("4:memory:/docker/c0/x\n"), mounts, file, below]), Some(2048));
        assert_eq!(limit(&[group("4:memory:/docker/c1\n"), mounts, file]), Some(4096));
        let above = ("proc/self/mountinfo", "25 30 0:23 /../.. /cg rw - cgroup2 none rw\n");
        assert_eq!(limit(&[group("0::/../x\n"), above, ("cg/memory.max", "1024\n")]), Some(1024));
    }

    #[test]
    fn mount_points_are_read_as_they_are_and_not_assumed() {
        let mounts = "25 30 0:23 / /my\\040groups rw - cgroup2 none rw\n";
        let files = [
            ("proc/self/cgroup", "0::/a\n"),
            ("proc/self/mountinfo", mounts),
            ("my groups/a/memory.max", "4096\n"),
        ];
        assert_eq!(limit(&files), Some(4096));
        assert_eq!(limit(&files[..1]), None);
    }
}
