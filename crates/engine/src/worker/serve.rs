//! The child's side: executes orders until its input ends.

use super::frame::{self, Answer, Order, Parts};
use crate::backend::{Backend, Call, Circuit, Plan, TaskError};
use crate::input::Input;
use crate::lane::Lane;
use crate::manifest::Manifest;
use crate::stop::Stop;
use athanor_scheduler::{JobId, WorkerId};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

/// Executes the orders of a parent process. `from` and `to` are this process's standard input and
/// output. No other code may use them.
///
/// # Errors
///
/// [`io::Error`] if a frame cannot be read or written. The end of the input is not an error.
pub fn serve(
    backends: &[Arc<dyn Backend>],
    mut from: impl Read,
    mut to: impl Write,
) -> io::Result<()> {
    let mut server = Server { backends, circuits: HashMap::new(), lane: None };
    loop {
        let (order, parts) = match frame::receive::<Order>(&mut from) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            received => received?,
        };
        let made = catch_unwind(AssertUnwindSafe(|| server.run(order, parts)));
        let made = made.unwrap_or_else(|_| {
            let message = "a step panicked in its worker process";
            Err(TaskError::new(athanor_scheduler::Failure::Device, "panic", message))
        });
        match made {
            Ok((bytes, marks, peak)) => {
                frame::send(&mut to, &Answer::Made { marks, peak }, &[&bytes])?;
            }
            Err(TaskError { failure, code, message }) => {
                let code = code.to_owned();
                frame::send(&mut to, &Answer::Failed { failure, code, message }, &[])?;
            }
        }
    }
}

struct Server<'a> {
    backends: &'a [Arc<dyn Backend>],
    circuits: HashMap<PathBuf, Arc<dyn Circuit>>,
    lane: Option<Lane>,
}

type Ran = (Vec<u8>, Vec<(String, u64)>, Option<u64>);

impl Server<'_> {
    fn run(&mut self, order: Order, parts: Parts) -> Result<Ran, TaskError> {
        let circuit = self.circuit(&order)?;
        let mut parts = parts.into_iter();
        let input = parts.next().ok_or_else(|| TaskError::internal("an order without an input"))?;
        let raw = Input::new(&order.kind, input.to_vec());
        let Plan { input, .. } = circuit.plan(&raw).map_err(TaskError::internal)?;
        let from = match (order.from, order.step.checked_sub(1)) {
            (true, Some(before)) => {
                let bytes = parts.next();
                let bytes = bytes.ok_or_else(|| TaskError::internal("an order without a part"))?;
                Some(circuit.unpack(before, &bytes)?)
            }
            _ => None,
        };
        let call = Call {
            job: JobId(order.job),
            partition: order.partition,
            shape: order.shape,
            step: order.step,
            again: order.again,
            raw,
            input,
            from,
            left: parts.map(|part| part.as_slice().into()).collect(),
            key: None,
            lane: self.lane(&order),
            stop: Stop::new(),
        };
        if order.check {
            return Ok((circuit.check(&call)?, Vec::new(), None));
        }
        let done = circuit.run(&call)?;
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let marks = done.marks.iter().map(|(name, time)| ((*name).to_owned(), nanos(*time)));
        Ok((circuit.pack(order.step, &done.payload)?, marks.collect(), done.peak))
    }

    fn circuit(&mut self, order: &Order) -> Result<Arc<dyn Circuit>, TaskError> {
        if let Some(known) = self.circuits.get(&order.directory) {
            return Ok(known.clone());
        }
        let backend = self.backends.iter().find(|backend| backend.name() == order.backend);
        let backend = backend.ok_or_else(|| TaskError::internal("no such backend"))?;
        let manifest = Manifest::read(&order.directory).map_err(TaskError::internal)?;
        let circuit = backend.open(&order.directory, &manifest).map_err(TaskError::internal)?;
        self.circuits.insert(order.directory.clone(), circuit.clone());
        Ok(circuit)
    }

    fn lane(&mut self, order: &Order) -> Lane {
        let fresh = || Lane::new(WorkerId(order.lane), order.device.clone(), order.threads);
        self.lane.get_or_insert_with(fresh).clone()
    }
}
