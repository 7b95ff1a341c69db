//! Carries out the scheduler's actions and reports the ends of runs to the scheduler.

use super::Core;
use crate::backend::Call;
use crate::circuits::CHECK;
use crate::journal::{Receipt, Record};
use crate::lane::Work;
use crate::message::{Ended, Made, Message};
use athanor_scheduler::{
    Action, Event, Failure, FailureReason, JobId, JournalEntry, KeyLocation, Memory, Outcome,
    RecordId, RunId, TaskId, WorkerId,
};
use std::sync::Arc;

impl Core {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Persist { record, entry } => self.persist(record, entry),
            Action::Acknowledge { job, .. } => {
                if let Some(found) = self.jobs.get(job) {
                    found.tell_progress(job, None);
                }
            }
            Action::Refuse { submit_id: ticket, why } => self.refuse(ticket, why),
            Action::Start { run, task, worker: lane, .. } => self.start(run, task, lane),
            Action::Stop { run, .. } => self.stop_run(run),
            Action::Discard { job, partition } => self.discard(job, partition),
            Action::Load { run, key, location: KeyLocation::Shared } => self.load(run, key),
            // A device that has its own copies of keys loads them in its steps.
            Action::Load { run, .. } => self.next.push_back(Event::Loaded { run }),
            Action::Evict { key, location: KeyLocation::Shared } => self.evict(key),
            Action::Evict { .. } => {}
            Action::Probe { run, worker: lane } => {
                let circuits = self.registry.all().iter().map(|c| c.circuit.clone()).collect();
                self.lanes.give(lane, Work::Test { run, circuits });
            }
            Action::Close { worker: lane } => self.close_lane(lane),
            Action::Answer { job, outcome } => self.answer(job, &outcome),
        }
    }

    fn persist(&mut self, record: RecordId, entry: JournalEntry) {
        let own = self.own.clone();
        let receipt = Receipt::new(move |durable| {
            let _ = own.send(Message::Recorded { record, durable });
        });
        let what = match entry {
            JournalEntry::Accepted { submit_id: ticket, job } => self
                .jobs
                .number(ticket, job)
                .map(|found| Record::Accepted { job, submission: found.submission.clone() }),
            JournalEntry::PartitionDone { job, partition } => {
                self.jobs.get(job).and_then(|found| {
                    let left = found.partitions.get(partition as usize)?.left.clone()?;
                    Some(Record::PartitionDone { job, partition, left })
                })
            }
            JournalEntry::Ended { job, outcome } => {
                if let Outcome::Failed { why: FailureReason::Key(key), .. } = outcome
                    && let Some(failure) = self.key_failure(key)
                    && let Some(found) = self.jobs.get_mut(job)
                {
                    found.failure = Some(failure);
                }
                self.jobs.get(job).map(|found| found.ended(job, outcome))
            }
        };
        let journaled = |job: &JobId| self.jobs.get(*job).is_none_or(|found| found.journaled);
        let what = what.filter(|what| match what {
            Record::Accepted { job, .. }
            | Record::PartitionDone { job, .. }
            | Record::Ended { job, .. } => journaled(job),
        });
        match what {
            Some(what) => self.journal.record(what, receipt),
            // The job is not journaled, or the engine has no data of it any more. No record is needed.
            None => receipt.durable(),
        }
    }

    fn start(&mut self, run: RunId, task: TaskId, lane: WorkerId) {
        match self.call(task, lane) {
            Some((call, circuit, check)) => {
                let limit = circuit.limit(call.shape, call.step);
                let stage = match circuit.shapes[call.shape].steps.get(call.step) {
                    Some(step) => step.stage.as_str(),
                    None => CHECK,
                };
                if let Some(job) = self.jobs.get(task.job) {
                    job.tell_progress(task.job, Some(stage.into()));
                }
                let stop = self.begin(run, task, lane, limit);
                let call = Box::new(Call { stop, ..call });
                let circuit = circuit.circuit.clone();
                self.lanes.give(lane, Work::Step { run, circuit, call, check });
            }
            // The job or the worker is gone. The scheduler does not start tasks of answered jobs.
            None => self.next.push_back(Event::Failed { run, failure: Failure::Permanent }),
        }
    }

    /// The call of a task, its circuit, and whether the step is the check.
    fn call(
        &mut self,
        task: TaskId,
        lane: WorkerId,
    ) -> Option<(Call, Arc<crate::circuits::Loaded>, bool)> {
        let lane = self.lanes.lane(lane)?;
        let job = self.jobs.get(task.job)?;
        let partition = job.partitions.get(task.partition as usize)?;
        let step = usize::from(task.step);
        let circuit = job.circuit.clone();
        let shape = circuit.shapes.get(partition.shape)?;
        let named = shape.steps.get(step).and_then(|step| step.key);
        let key = named.and_then(|key| self.keys.get(*circuit.keys.get(key)?));
        let left = partition.after.iter();
        let left = left.map(|after| job.partitions.get(*after as usize)?.left.clone());
        let call = Call {
            job: task.job,
            partition: task.partition,
            shape: partition.shape,
            step,
            again: partition.again,
            raw: job.submission.input.clone(),
            input: job.input.clone(),
            from: partition.payload.clone(),
            left: left.collect::<Option<_>>()?,
            key,
            lane,
            stop: crate::stop::Stop::new(),
        };
        let check = step == shape.steps.len();
        Some((call, circuit, check))
    }

    /// Handles the report of a run that has ended.
    pub(super) fn ended(&mut self, ended: Ended) {
        let Ended { run, made } = ended;
        let Some(running) = self.finish(run) else {
            self.counters.late_reports += 1;
            return;
        };
        let TaskId { job: id, partition, step } = running.task;
        let event = match made {
            // The run was stopped and its job has been answered. Its output is dropped.
            _ if running.stop.is_set() && self.jobs.get(id).is_none() => Event::Stopped { run },
            Ok(made) => {
                let took = running.began.elapsed();
                let Some(job) = self.jobs.get_mut(id) else {
                    return self.tell(Event::Stopped { run });
                };
                let part = &mut job.partitions[partition as usize];
                let shape = &job.circuit.shapes[part.shape];
                let stage = shape.steps.get(usize::from(step)).map_or(CHECK, |s| s.stage.as_str());
                job.marks.push((stage.to_owned(), took));
                let peak = match made {
                    Made::Left(done) => {
                        part.payload = Some(done.payload);
                        let marks = done.marks.into_iter();
                        job.marks.extend(marks.map(|(name, time)| (name.to_owned(), time)));
                        done.peak.map(Memory::host)
                    }
                    Made::Bytes(bytes) => {
                        part.payload = None;
                        part.left = Some(bytes);
                        None
                    }
                };
                Event::Finished { run, peak, again: false }
            }
            Err(error) => {
                self.counters.fail(&error);
                self.note_failure(id, &error);
                if error.failure == Failure::BadResult
                    && let Some(job) = self.jobs.get_mut(id)
                {
                    job.partitions[partition as usize].again += 1;
                }
                Event::Failed { run, failure: error.failure }
            }
        };
        self.tell(event);
    }

    /// Drops the payload of a partition that restarts or whose job has ended.
    fn discard(&mut self, job: JobId, partition: u32) {
        let job = self.jobs.get_mut(job);
        if let Some(part) = job.and_then(|job| job.partitions.get_mut(partition as usize)) {
            part.payload = None;
        }
    }
}
