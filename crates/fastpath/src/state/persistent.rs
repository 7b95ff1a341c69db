//! A state on disk in redb, an embedded store with one writer, snapshots for readers, and
//! checksummed copy-on-write pages. A block is stored as a whole or not at all.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{State, StateError};
use crate::block::{Change, Space};
use crate::value::{Key, Value};

/// Maps a name space and a key to a value.
const ENTRIES: TableDefinition<'_, &[u8; 33], &[u8]> = TableDefinition::new("entries");
/// Minimum number of reads per thread in a batch.
const READS_PER_THREAD: usize = 256;

/// A state in one file.
#[derive(Debug)]
pub struct PersistentState {
    database: Database,
    readers: usize,
}

impl PersistentState {
    /// Opens the state in `file`, and creates it if it does not exist.
    ///
    /// # Errors
    /// The file cannot be opened or created, or is not such a state.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, StateError> {
        let database = Database::create(file).map_err(StateError::new)?;
        let transaction = database.begin_write().map_err(StateError::new)?;
        transaction.open_table(ENTRIES).map_err(StateError::new)?;
        transaction.commit().map_err(StateError::new)?;
        Ok(Self { database, readers: 16 })
    }

    /// Sets the maximum number of threads that read a batch. Default: 16. The threads wait for the
    /// disk, so values above the number of cores can be useful.
    #[must_use]
    pub fn readers(mut self, threads: usize) -> Self {
        self.readers = threads.max(1);
        self
    }

    fn read(&self, names: &[(Space, Key)]) -> Result<Vec<Option<Value>>, StateError> {
        let transaction = self.database.begin_read().map_err(StateError::new)?;
        let table = transaction.open_table(ENTRIES).map_err(StateError::new)?;
        names
            .iter()
            .map(|(space, key)| {
                let entry = table.get(&encode(*space, key)).map_err(StateError::new)?;
                Ok(entry.map(|entry| Value::from_bytes(entry.value())))
            })
            .collect()
    }
}

impl State for PersistentState {
    fn get(&self, space: Space, key: &Key) -> Result<Option<Value>, StateError> {
        Ok(self.read(&[(space, *key)])?.pop().flatten())
    }

    fn get_many(&self, names: &[(Space, Key)]) -> Result<Vec<Option<Value>>, StateError> {
        let per = names.len().div_ceil(self.readers).max(READS_PER_THREAD);
        std::thread::scope(|scope| {
            let parts: Vec<_> =
                names.chunks(per).map(|names| scope.spawn(|| self.read(names))).collect();
            let mut values = Vec::with_capacity(names.len());
            for part in parts {
                let part = part.join().map_err(|_| StateError::new("a reader panicked"))?;
                values.extend(part?);
            }
            Ok(values)
        })
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StateError> {
        let transaction = self.database.begin_write().map_err(StateError::new)?;
        {
            let mut table = transaction.open_table(ENTRIES).map_err(StateError::new)?;
            for change in changes {
                let name = encode(change.space, &change.key);
                match &change.value {
                    Some(value) => value
                        .with_bytes(|bytes| table.insert(&name, bytes).map(drop))
                        .map_err(StateError::new)?,
                    None => table.remove(&name).map(drop).map_err(StateError::new)?,
                }
            }
        }
        transaction.commit().map_err(StateError::new)
    }

    fn scan(&self, each: &mut dyn FnMut(Space, Key, Value)) -> Result<(), StateError> {
        let transaction = self.database.begin_read().map_err(StateError::new)?;
        let table = transaction.open_table(ENTRIES).map_err(StateError::new)?;
        for entry in table.iter().map_err(StateError::new)? {
            let (name, value) = entry.map_err(StateError::new)?;
            let (space, key) = decode(name.value())?;
            each(space, key, Value::from_bytes(value.value()));
        }
        Ok(())
    }
}

fn encode(space: Space, key: &Key) -> [u8; 33] {
    let mut name = [0; 33];
    name[0] = space as u8;
    name[1..].copy_from_slice(&key.0);
    name
}

fn decode(name: &[u8; 33]) -> Result<(Space, Key), StateError> {
    let space = match name[0] {
        0 => Space::Plain,
        1 => Space::ObjectHeader,
        2 => Space::ObjectData,
        other => return Err(StateError::new(format!("unknown name space {other}"))),
    };
    let mut key = Key::default();
    key.0.copy_from_slice(&name[1..]);
    Ok((space, key))
}
