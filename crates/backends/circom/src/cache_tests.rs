use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;

struct Fixture {
    dir: tempfile::TempDir,
    engine: Engine,
    key: Key,
}

const WASM: &[u8] = b"\0asm\x01\0\0\0";

impl Fixture {
    /// A cache with one entry, for the empty module.
    fn new() -> (Self, ModuleCache) {
        let dir = tempfile::tempdir().unwrap();
        let engine = crate::sandbox::engine(crate::sandbox::Dialect::Circom).unwrap();
        let key = Key::of(&engine, WASM);
        let cache = ModuleCache::open(dir.path().join("modules")).unwrap();
        let module = Module::from_binary(&engine, WASM).unwrap();
        cache.store(key, &module).unwrap();
        (Self { dir, engine, key }, cache)
    }

    fn load(&self, cache: &ModuleCache) -> Result<bool, CacheError> {
        cache.load(&self.engine, self.key).map(|module| module.is_some())
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_stored_module_comes_back_and_is_closed_to_others() {
    let (fixture, cache) = Fixture::new();
    assert!(fixture.load(&cache).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache.dir), 0o700);
    assert_eq!(mode(&cache.path(fixture.key)), 0o600);
    let other = Key::of(&fixture.engine, b"\0asm\x01\0\0\0\0");
    assert!(cache.load(&fixture.engine, other).unwrap().is_none());
}

#[test]
fn a_key_covers_the_engines_settings() {
    let ours = crate::sandbox::engine(crate::sandbox::Dialect::Circom).unwrap();
    assert!(
        Key::of(&ours, WASM)
            == Key::of(&crate::sandbox::engine(crate::sandbox::Dialect::Circom).unwrap(), WASM)
    );
    assert!(Key::of(&ours, WASM) != Key::of(&Engine::default(), WASM));
}

#[test]
fn a_directory_open_to_others_is_refused() {
    let (fixture, cache) = Fixture::new();
    let open = || ModuleCache::open(&cache.dir);
    for bad in [0o755, 0o770, 0o701] {
        mode(&cache.dir, bad);
        assert!(matches!(open(), Err(CacheError::NotPrivate { .. })), "{bad:o}");
    }
    mode(&cache.dir, 0o700);
    open().unwrap();
    let link = fixture.dir.path().join("link");
    symlink(&cache.dir, &link).unwrap();
    assert!(ModuleCache::open(&link).is_err(), "a symbolic link is refused");
    let file = fixture.dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(ModuleCache::open(&file).is_err());
}

#[test]
fn an_entry_that_others_may_write_is_refused() {
    let (fixture, cache) = Fixture::new();
    let path = cache.path(fixture.key);
    for bad in [0o620, 0o602, 0o666] {
        mode(&path, bad);
        assert!(matches!(fixture.load(&cache), Err(CacheError::NotPrivate { .. })), "{bad:o}");
    }
    mode(&path, 0o644);
    assert!(fixture.load(&cache).unwrap(), "read access by others is allowed");

    let elsewhere = fixture.dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(matches!(fixture.load(&cache), Err(CacheError::Io { .. })), "links are not followed");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(fixture.load(&cache), Err(CacheError::NotPrivate { .. })));
}

#[test]
fn an_entry_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // Only the superuser can change a file's owner.
    }
    let (fixture, cache) = Fixture::new();
    std::os::unix::fs::chown(cache.path(fixture.key), Some(12345), None).unwrap();
    assert!(matches!(fixture.load(&cache), Err(CacheError::NotPrivate { .. })));
    std::os::unix::fs::chown(&cache.dir, Some(12345), None).unwrap();
    assert!(matches!(ModuleCache::open(&cache.dir), Err(CacheError::NotPrivate { .. })));
}

#[test]
fn damage_anywhere_in_an_entry_is_found() {
    let (fixture, cache) = Fixture::new();
    let path = cache.path(fixture.key);
    let good = fs::read(&path).unwrap();
    let places = (0..HEADER).chain((HEADER..good.len()).step_by(97)).chain([good.len() - 1]);
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        fs::write(&path, bad).unwrap();
        assert!(matches!(fixture.load(&cache), Err(CacheError::Damaged { .. })), "{place}");
    }
    for length in [0, 1, HEADER - 1, HEADER, good.len() - 1] {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(fixture.load(&cache), Err(CacheError::Damaged { .. })), "{length}");
    }
    fs::write(&path, good).unwrap();
    assert!(fixture.load(&cache).unwrap());
}

#[test]
fn the_entries_used_longest_ago_make_room() {
    let (fixture, cache) = Fixture::new();
    let size = fs::metadata(cache.path(fixture.key)).unwrap().len();
    let cache = cache.with_limit(2 * size + size / 2);
    let module = Module::from_binary(&fixture.engine, WASM).unwrap();
    let keys: Vec<Key> = (0..3).map(|i| Key::of(&fixture.engine, &[i])).collect();
    let age = |path: &Path, seconds| {
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    age(&cache.path(fixture.key), 300);
    cache.store(keys[0], &module).unwrap();
    age(&cache.path(keys[0]), 200);
    assert!(fixture.load(&cache).unwrap(), "use makes it the most recent");
    cache.store(keys[1], &module).unwrap();
    assert!(!cache.path(keys[0]).exists());
    assert!(cache.path(fixture.key).exists() && cache.path(keys[1]).exists());
    let cache = cache.with_limit(0);
    cache.store(keys[2], &module).unwrap();
    assert!(cache.path(keys[2]).exists(), "what was just stored stays");
    assert!(!cache.path(keys[1]).exists());
}
