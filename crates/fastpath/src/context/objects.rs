//! The objects of a transaction: checked and opened before it runs, and moved to their next version
//! after it.

use std::collections::HashSet;

use super::Context;
use crate::frame::{Edit, FEW, Opened, Write};
use crate::object::{Header, Kind, Object, ObjectId, Owner, Ownership};
use crate::receipt::Failure;
use crate::state::arena::Slot;
use crate::transaction::{Abort, Transaction};
use crate::value::Value;

impl Context<'_> {
    /// Returns the declared object number `index`, with this transaction's changes to its data.
    /// Counts one step.
    ///
    /// # Errors
    /// As [`Context::read`].
    #[inline]
    pub fn object(&mut self, index: usize) -> Result<Object, Abort> {
        self.step(1)?;
        let &mut Opened { slot, header, .. } = self.opened(index)?;
        let data = self.fetch(slot + 1)?.unwrap_or_else(|| Value::from_bytes(&[]));
        let (version, ownership) = (header.version, header.ownership());
        Ok(Object { id: self.objects[index].id, version, ownership, data })
    }

    /// Returns the first eight bytes of the data of the declared object number `index` as a
    /// little-endian number; zero if it has no data. Counts one step.
    ///
    /// # Errors
    /// As [`Context::read`].
    #[inline]
    pub fn object_u64(&mut self, index: usize) -> Result<u64, Abort> {
        self.step(1)?;
        let slot = self.opened(index)?.slot;
        self.number(slot + 1)
    }

    /// Replaces the data of the declared object number `index`. Counts one step.
    ///
    /// # Errors
    /// As [`Context::read`]. An immutable object or a value that is too long fails the transaction.
    #[inline]
    pub fn set_object(&mut self, index: usize, data: impl Into<Value>) -> Result<(), Abort> {
        self.step(1)?;
        let data = self.checked(data.into())?;
        let slot = self.writable(index)?.slot;
        self.frame.put_value(slot + 1, data);
        Ok(())
    }

    /// Changes the ownership of the declared object number `index`: to another owner, shared or
    /// immutable. Counts one step.
    ///
    /// # Errors
    /// As [`Context::read`]. An object that is immutable already fails the transaction.
    pub fn give_object(&mut self, index: usize, to: Ownership) -> Result<(), Abort> {
        self.step(1)?;
        let opened = self.writable(index)?;
        opened.header = Header::new(to, opened.header.version);
        opened.given = true;
        Ok(())
    }

    /// Opens the transaction's objects. Each must exist and be named once; an owned object must
    /// belong to the sender and be at the cited version. `at` are their slots, or a prefix of them.
    /// Counts one step per object.
    #[inline]
    pub(super) fn open_objects<T: Transaction>(
        &mut self,
        transaction: &T,
        at: &[Slot],
    ) -> Result<(), Abort> {
        let objects = transaction.objects();
        let sender = transaction.sender();
        self.step(objects.len() as u64)?;
        let mut seen = (objects.len() > FEW).then(HashSet::<ObjectId, ahash::RandomState>::default);
        for (i, object) in objects.iter().enumerate() {
            let repeated = match &mut seen {
                None => objects[..i].iter().any(|other| other.id == object.id),
                Some(seen) => !seen.insert(object.id),
            };
            if repeated {
                return Err(self.fail(Failure::DuplicateObject { id: object.id }));
            }
            let slot = match at.get(i) {
                Some(&slot) => slot,
                None => self.world.arena.object(&object.id, self.world.behind),
            };
            self.open(slot, &object.id, object.version, &sender)?;
        }
        Ok(())
    }

    #[inline]
    fn open(&mut self, slot: Slot, id: &ObjectId, cited: u64, sender: &Owner) -> Result<(), Abort> {
        let header = if self.direct {
            self.world.arena.header(slot)
        } else {
            self.base(slot)?.as_ref().and_then(Header::decode)
        };
        let Some(header) = header else {
            self.frame.shared = true;
            return Err(self.fail(Failure::UnknownObject { id: *id }));
        };
        match header.kind {
            Kind::Owned if header.version != cited => {
                return Err(self.wrong_version(slot, *id, cited, header.version));
            }
            Kind::Owned if !header.belongs_to(sender) => {
                return Err(self.fail(Failure::NotOwner { id: *id }));
            }
            Kind::Shared => self.frame.shared = true,
            Kind::Owned | Kind::Immutable => {}
        }
        let (frozen, spent) = (header.kind == Kind::Immutable, header.kind == Kind::Owned);
        self.frame.objects.push(Opened { slot, header, frozen, spent, given: false });
        Ok(())
    }

    #[cold]
    fn wrong_version(&mut self, slot: Slot, id: ObjectId, cited: u64, found: u64) -> Abort {
        let written = match self.frame.reads.last() {
            Some(read) => read.stamp,
            None => self.world.arena.cell(slot).stamp(),
        };
        let spent_here = written >= self.world.since && cited.checked_add(1) == Some(found);
        self.fail(if spent_here {
            Failure::Equivocation { id, version: cited }
        } else {
            Failure::WrongVersion { id, cited, found }
        })
    }

    /// Moves every spent object to its next version: each owned object, and each shared object that
    /// was written.
    #[inline]
    pub(super) fn close_objects(&mut self) -> Result<(), Abort> {
        for index in 0..self.frame.objects.len() {
            let &Opened { slot, header, spent, given, .. } = &self.frame.objects[index];
            if !spent {
                continue;
            }
            let Some(version) = header.version.checked_add(1) else {
                let id = self.objects[index].id;
                return Err(self.fail(Failure::LastVersion { id }));
            };
            if self.direct && !given {
                self.frame.versions.push((slot, version));
            } else {
                let edit = Edit::Put(header.at(version).encode());
                self.frame.push(Write { slot, edit });
            }
        }
        Ok(())
    }

    #[inline]
    fn opened(&mut self, index: usize) -> Result<&mut Opened, Abort> {
        if index >= self.frame.objects.len() {
            return Err(self.fail(Failure::UndeclaredObject { index }));
        }
        Ok(&mut self.frame.objects[index])
    }

    /// The opened object, marked as spent. Fails if it is immutable.
    #[inline]
    fn writable(&mut self, index: usize) -> Result<&mut Opened, Abort> {
        if self.opened(index)?.frozen {
            let id = self.objects[index].id;
            return Err(self.fail(Failure::Immutable { id }));
        }
        let opened = &mut self.frame.objects[index];
        opened.spent = true;
        Ok(opened)
    }
}
