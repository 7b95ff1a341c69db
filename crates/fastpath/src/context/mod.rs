//! The interface between a transaction and the state during an execution.

mod objects;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::exec::ring::{Pending, Ring};
use crate::frame::{Edit, Frame, Read, credited};
use crate::object::ObjectRef;
use crate::receipt::{Failure, Output, Path, Receipt, Status};
use crate::state::State;
use crate::state::arena::{Arena, Slot};
use crate::state::cell::Stamp;
use crate::transaction::{Abort, Access, Cause, Declaration, Transaction};
use crate::value::{Key, MAX_VALUE_BYTES, Value};

/// Maximum length of a panic message in a receipt, in bytes.
const MAX_MESSAGE: usize = 256;

/// A transaction's only access to the state. Writes are buffered and take effect together if the
/// transaction succeeds. A read sees the transaction's own writes.
pub struct Context<'a> {
    world: &'a World<'a>,
    frame: &'a mut Frame,
    access: Access<'a>,
    objects: &'a [ObjectRef],
    /// Slots of the declared writes, followed by those of the declared reads. Empty if the
    /// scheduler did not look them up.
    slots: &'a [Slot],
    steps: u64,
    /// Whether there is no store behind the resident entries and reads are not logged.
    plain: bool,
    /// Whether `plain` holds and reads are taken from the committed state without recording them.
    direct: bool,
}

/// The parts that all executions of a block share.
#[derive(Copy, Clone)]
pub(crate) struct World<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) behind: &'a dyn State,
    pub(crate) source: Source<'a>,
    /// Whether there is no store behind the resident entries.
    pub(crate) resident: bool,
    /// The oldest stamp of this block.
    pub(crate) since: Stamp,
    pub(crate) step_limit: u64,
}

/// The source of an execution's reads.
#[derive(Copy, Clone)]
pub(crate) enum Source<'a> {
    /// The committed state. Everything below the transaction in block order is committed.
    Committed,
    /// As `Committed`; the reads are recorded.
    Noted,
    /// The values that lower transactions have written so far. The execution is speculative and
    /// records its reads.
    Ahead { ring: &'a Ring, index: u32 },
}

/// An execution without a result.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// It read an entry that the transaction at position `on` is expected to write.
    Suspended { on: u32 },
    /// The store behind the executor failed.
    StateLost,
}

/// Executes a transaction once. If it succeeds, its effects are in `frame` afterwards. The receipt
/// gets everything except the number of attempts.
///
/// `slots` are the slots of its objects, its declared writes and its declared reads, in this order,
/// or empty. The receipt is written in place, because a result returned by value would be copied
/// several times.
///
/// # Errors
/// The execution was suspended, or the store behind the executor failed.
pub(crate) fn attempt<T: Transaction>(
    transaction: &T,
    world: &World<'_>,
    slots: &[Slot],
    frame: &mut Frame,
    receipt: &mut Receipt,
) -> Result<(), Interrupted> {
    frame.clear();
    let objects = transaction.objects();
    // If `slots` is shorter than the list of objects, the objects are looked up in `open_objects`.
    let (objects_at, keys_at) = slots.split_at_checked(objects.len()).unwrap_or_default();
    let access = transaction.access();
    let plain = world.resident && frame.seen.is_none();
    let direct = plain && matches!(world.source, Source::Committed);
    let mut ctx =
        Context { world, frame, access, objects, slots: keys_at, steps: 0, plain, direct };
    if let Access::Keys { kind: Declaration::Exact | Declaration::Superset, writes, reads } =
        ctx.access
    {
        ctx.frame.declare(writes, reads);
    }
    let result = ctx.run(transaction, objects_at, &mut receipt.output);
    receipt.path = if transaction.private().is_some() {
        Path::Private
    } else if matches!(ctx.access, Access::Objects) && !objects.is_empty() && !frame.shared {
        Path::Fast
    } else {
        Path::Consensus
    };
    let cause = match (frame.poison.take(), result) {
        (None, Ok(())) => {
            receipt.status = Status::Success;
            return Ok(());
        }
        (Some(cause), _) | (None, Err(Abort(cause))) => cause,
    };
    frame.discard();
    receipt.output = Output::None;
    receipt.status = match cause {
        Cause::User(code) => Status::Aborted { code },
        Cause::Failure(failure) => Status::Failed(failure),
        Cause::Suspended { on } => return Err(Interrupted::Suspended { on }),
        Cause::StateLost => return Err(Interrupted::StateLost),
    };
    Ok(())
}

impl<'a> Context<'a> {
    #[inline]
    fn run<T: Transaction>(
        &mut self,
        transaction: &T,
        at: &[Slot],
        output: &mut Output,
    ) -> Result<(), Abort> {
        if !transaction.objects().is_empty() {
            self.open_objects(transaction, at)?;
        }
        let run = AssertUnwindSafe(|| transaction.execute(self).map(|result| *output = result));
        catch_unwind(run).unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            let mut end = message.len().min(MAX_MESSAGE);
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            Err(Abort::failure(Failure::Panicked { message: message[..end].to_owned() }))
        })?;
        if let Access::Keys { kind: Declaration::Exact, writes, .. } = self.access {
            for key in writes {
                let slot = self.slot(key, true)?;
                if self.frame.written(slot).is_none() {
                    return Err(self.fail(Failure::InexactAccess { key: *key }));
                }
            }
        }
        if !self.frame.objects.is_empty() {
            self.close_objects()?;
        }
        Ok(())
    }

    /// Returns the value of a key, or `None` if the entry does not exist. Counts one step.
    ///
    /// # Errors
    /// The step limit is reached, the key is outside the declared access set, a lower transaction
    /// is expected to write the key, or the store behind the executor failed. The transaction must
    /// end and return this error.
    #[inline]
    pub fn read(&mut self, key: &Key) -> Result<Option<Value>, Abort> {
        self.step(1)?;
        let slot = self.slot(key, false)?;
        self.fetch(slot)
    }

    /// Returns the first eight bytes of a key's value as a little-endian number; zero if the entry
    /// does not exist. Counts one step.
    ///
    /// # Errors
    /// As [`Context::read`].
    #[inline]
    pub fn read_u64(&mut self, key: &Key) -> Result<u64, Abort> {
        self.step(1)?;
        let slot = self.slot(key, false)?;
        self.number(slot)
    }

    /// Sets the value of a key. Counts one step.
    ///
    /// # Errors
    /// As [`Context::read`]. A value longer than [`MAX_VALUE_BYTES`] fails the transaction.
    #[inline]
    pub fn write(&mut self, key: &Key, value: impl Into<Value>) -> Result<(), Abort> {
        self.step(1)?;
        let value = self.checked(value.into())?;
        let slot = self.slot(key, true)?;
        self.frame.put_value(slot, value);
        Ok(())
    }

    /// Deletes the entry of a key. Counts one step.
    ///
    /// # Errors
    /// As [`Context::read`].
    pub fn delete(&mut self, key: &Key) -> Result<(), Abort> {
        self.step(1)?;
        let slot = self.slot(key, true)?;
        self.frame.put(slot, Edit::Delete);
        Ok(())
    }

    /// Adds `amount` to the number at a key without reading it. Counts one step. Credits commute:
    /// any number of transactions can credit one key in parallel without a conflict.
    ///
    /// # Errors
    /// As [`Context::read`]. A sum above `u64::MAX` fails the transaction.
    #[inline]
    pub fn credit(&mut self, key: &Key, amount: u64) -> Result<(), Abort> {
        self.step(1)?;
        let slot = self.slot(key, true)?;
        let sum = match self.frame.written(slot) {
            Some(Edit::Word(word)) => word.checked_add(amount).map(Edit::Word),
            Some(Edit::Put(value)) => {
                value.as_u64().checked_add(amount).map(|sum| Edit::Put(value.with_u64(sum)))
            }
            Some(Edit::Delete) => Some(Edit::Put(Value::from_u64(amount))),
            Some(Edit::Credit(before)) => before.checked_add(amount).map(Edit::Credit),
            None => Some(Edit::Credit(amount)),
        };
        let fits = match (&sum, self.world.source) {
            (Some(Edit::Credit(total)), Source::Committed | Source::Noted) => {
                credited(&self.world.arena.load(slot).0, *total).is_some()
            }
            // In a speculative execution the committed number is not known yet; the commit checks
            // the sum.
            (sum, _) => sum.is_some(),
        };
        match sum {
            Some(edit) if fits => {
                self.frame.put(slot, edit);
                Ok(())
            }
            _ => Err(self.fail(Failure::Overflow { key: *key })),
        }
    }

    /// Adds `amount` to the fee that the transaction pays to the block's fee account. Fees are
    /// credited when the block ends. The sum saturates.
    pub fn pay_fee(&mut self, amount: u64) {
        self.frame.fee = self.frame.fee.saturating_add(amount);
    }

    /// Counts `n` steps of work against the limit. Each other call of the context, except
    /// [`Context::pay_fee`], counts one step. A loop without a known bound must call this.
    ///
    /// # Errors
    /// The limit is reached. The transaction must end and return this error.
    #[inline]
    pub fn step(&mut self, n: u64) -> Result<(), Abort> {
        self.steps = self.steps.saturating_add(n);
        if self.steps > self.world.step_limit {
            return Err(self.fail(Failure::StepLimit { limit: self.world.step_limit }));
        }
        Ok(())
    }

    /// Ends the transaction with `failure`, even if it ignores the error.
    #[cold]
    fn fail(&mut self, failure: Failure) -> Abort {
        self.poison(Cause::Failure(Box::new(failure)))
    }

    #[cold]
    fn poison(&mut self, cause: Cause) -> Abort {
        let cause = self.frame.poison.get_or_insert(cause).clone();
        Abort(cause)
    }

    #[inline]
    fn checked(&mut self, value: Value) -> Result<Value, Abort> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(self.fail(Failure::ValueTooLong { len: value.len() }));
        }
        Ok(value)
    }

    /// The slot of a key, if the declaration allows the access.
    #[inline]
    fn slot(&mut self, key: &Key, write: bool) -> Result<Slot, Abort> {
        match self.access {
            Access::Unknown | Access::Keys { kind: Declaration::Guess, .. } => {}
            Access::Objects => {
                return Err(self.fail(Failure::UndeclaredAccess { key: *key }));
            }
            Access::Keys { reads, writes, .. } => {
                let place = self.frame.declared(key, writes, reads);
                match place.filter(|&place| !write || place < writes.len()) {
                    None => return Err(self.fail(Failure::UndeclaredAccess { key: *key })),
                    Some(place) => {
                        if let Some(&slot) = self.slots.get(place) {
                            return Ok(slot);
                        }
                    }
                }
            }
        }
        Ok(match self.frame.recent.get(key) {
            Some(slot) => slot,
            None => {
                let slot = self.world.arena.plain(key, self.world.behind);
                self.frame.recent.put(key, slot);
                slot
            }
        })
    }

    /// The number at a slot, including the transaction's own writes.
    #[inline]
    fn number(&mut self, slot: Slot) -> Result<u64, Abort> {
        if self.plain
            && self.frame.written(slot).is_none()
            && let Some(number) = self.base_number(slot)
        {
            return Ok(number);
        }
        Ok(self.fetch(slot)?.map_or(0, |value| value.as_u64()))
    }

    /// As [`Context::base`], but without building a [`Value`]. `None` if the value is not in its
    /// cell or an uncommitted write of the entry is pending.
    #[inline]
    fn base_number(&mut self, slot: Slot) -> Option<u64> {
        let cell = self.world.arena.cell(slot);
        if matches!(self.world.source, Source::Ahead { .. }) && cell.pending().is_some() {
            return None;
        }
        let (number, stamp) = cell.read_u64()?;
        if !self.direct {
            self.frame.reads.push(Read { slot, stamp });
        }
        Some(number)
    }

    /// The value at a slot, including the transaction's own writes.
    #[inline]
    fn fetch(&mut self, slot: Slot) -> Result<Option<Value>, Abort> {
        match self.frame.written(slot) {
            None => self.base(slot),
            Some(&mut Edit::Word(word)) => Ok(Some(Value::from_u64(word))),
            Some(Edit::Put(value)) => Ok(Some(value.clone())),
            Some(Edit::Delete) => Ok(None),
            Some(&mut Edit::Credit(amount)) => {
                // From here on the credit does not commute: it becomes a read and a write.
                let value = self.base(slot)?;
                match credited(&value, amount) {
                    Some(value) => {
                        self.frame.put(slot, Edit::Put(value.clone()));
                        Ok(Some(value))
                    }
                    None => {
                        let key = self.world.arena.name(slot).key;
                        Err(self.fail(Failure::Overflow { key }))
                    }
                }
            }
        }
    }

    /// The value at a slot as the lower transactions left it.
    #[inline]
    fn base(&mut self, slot: Slot) -> Result<Option<Value>, Abort> {
        let arena = self.world.arena;
        if !self.world.resident && arena.is_lost() {
            return Err(self.poison(Cause::StateLost));
        }
        let value = match self.world.source {
            Source::Committed => arena.load(slot).0,
            Source::Noted => {
                let (value, stamp) = arena.load(slot);
                self.frame.reads.push(Read { slot, stamp });
                value
            }
            Source::Ahead { ring, index } => {
                let pending = match arena.cell(slot).pending() {
                    None => Pending::Nothing,
                    Some(writer) => ring.find(writer, slot, index),
                };
                let (value, stamp) = match pending {
                    Pending::Nothing => arena.load(slot),
                    Pending::Value(value, stamp) => (value, stamp),
                    Pending::Soon(on) => return Err(self.poison(Cause::Suspended { on })),
                };
                self.frame.reads.push(Read { slot, stamp });
                value
            }
        };
        if let Some(seen) = &mut self.frame.seen {
            seen.push((slot, value.clone()));
        }
        Ok(value)
    }
}
