use super::*;
use crate::testing::*;
use athanor_scheduler::DeviceClass;

const DEVICE: LaneGroup = LaneGroup::Device(DeviceClass(0));

fn fed(records: &[Trace]) -> Stats {
    let mut stats = Stats::new();
    records.iter().for_each(|r| stats.push(r));
    stats
}

#[test]
fn totals_of_a_small_story_equal_those_counted_by_hand() {
    let stats = fed(&story());
    let whole = stats.whole();
    assert_eq!(whole.seconds(), 60e-9);
    // Device: 3 + 2 (lost) + 4 of 60; CPU: 25 + 20 of 60.
    assert_eq!(whole.busy(DEVICE), Some(9.0 / 60.0));
    assert_eq!(whole.device_busy(), Some(9.0 / 60.0));
    assert_eq!(whole.busy(LaneGroup::Cpu), Some(45.0 / 60.0));
    let prove = whole.sums.stages[usize::from(PROVE.0)];
    assert_eq!((prove.finished, prove.lost, prove.served), (2, 1, 7));
    assert_eq!((prove.starts, prove.waited), (3, 10));
    let synth = whole.sums.stages[usize::from(SYNTH.0)];
    assert_eq!((synth.waited, synth.served), (5 + 30, 45));
    // Memory: 4 bytes over 5..30, 8 over 30..60.
    assert_eq!(whole.sums.held, 4 * 25 + 8 * 30);
    assert_eq!(stats.peak_bytes(), 8);
    assert_eq!(stats.counts().complete, 1);
    assert_eq!((stats.counts().failures, stats.counts().retries), (1, 1));
    assert_eq!(stats.steady(), None, "one job has no steady part");
}

/// One job of one partition after the other on one device: `jobs` jobs of `each` nanoseconds, the
/// first one slower by `fill`.
fn chain(jobs: u64, each: u64, fill: u64) -> Vec<Trace> {
    let mut records = lanes().to_vec();
    let mut now = 0;
    for job in 1..=jobs {
        records.push(at(now, accepted(job, 1)));
        records.push(at(now, TraceEvent::Ready { task: task(job, 0, 0), stage: PROVE }));
        records.push(at(now, started(job, task(job, 0, 0), PROVE, GPU)));
        let took = each + if job == 1 { fill } else { 0 };
        now += took;
        records.push(at(now, finished(job, task(job, 0, 0), PROVE, GPU, took)));
        records.push(at(now, TraceEvent::PartitionDone { job: JobId(job), partition: 0 }));
        records.push(at(now, TraceEvent::Answered { job: JobId(job), outcome: Outcome::Complete }));
    }
    records
}

#[test]
fn fill_and_drain_do_not_touch_the_steady_part() {
    let stats = fed(&chain(10, 30, 1000));
    let steady = stats.steady().unwrap();
    assert_eq!((steady.from, steady.sums.at), (Time(1030), Time(1030 + 8 * 30)));
    assert_eq!(steady.seconds_per_job(), Some(30e-9));
    assert_eq!(steady.busy(DEVICE), Some(1.0));
    assert_eq!(stats.fill().seconds(), 1030e-9);
    assert_eq!(stats.drain().unwrap().seconds(), 30e-9);
    assert_eq!(stats.job_times().count(), 8);
    assert_eq!(stats.job_times().max(), 30, "the slow first job is not in it");
    assert_eq!(stats.service_times(PROVE).unwrap().quantile(0.99), Some(30));
}

#[test]
fn little_s_law_holds_in_the_steady_part() {
    let stats = fed(&chain(10, 30, 7));
    let steady = stats.steady().unwrap();
    let prove = usize::from(PROVE.0);
    let latency = steady.sums.stages[prove].latency().unwrap();
    let rate = steady.sums.stages[prove].finished as f64 / steady.seconds();
    assert!((steady.concurrency(prove) / latency - rate).abs() < 1e-9 * rate);
}

#[test]
fn jobs_under_way_at_the_first_end_belong_to_the_fill() {
    // Two jobs side by side on two lanes; the second ends much later, and only then it is steady.
    let mut records = lanes().to_vec();
    records.extend([
        at(0, accepted(1, 1)),
        at(0, accepted(2, 1)),
        at(0, started(1, task(1, 0, 0), PROVE, GPU)),
        at(0, started(2, task(2, 0, 0), SYNTH, CPU)),
        at(10, TraceEvent::Answered { job: JobId(1), outcome: Outcome::Complete }),
        at(90, TraceEvent::Answered { job: JobId(2), outcome: Outcome::Complete }),
    ]);
    assert_eq!(fed(&records).fill().seconds(), 90e-9);
}

#[test]
fn a_job_half_done_at_a_border_counts_half_and_one_that_fails_counts_nothing() {
    let mut records = lanes().to_vec();
    let done = |partition| TraceEvent::PartitionDone { job: JobId(1), partition };
    records.extend([at(0, accepted(1, 4)), at(5, done(0)), at(6, done(1))]);
    assert_eq!(fed(&records).whole().sums.work, 0.5);
    let mut failed = records.clone();
    failed.push(at(9, TraceEvent::Answered { job: JobId(1), outcome: Outcome::Cancelled }));
    assert_eq!(fed(&failed).whole().sums.work, 0.0);
    // A job that was restored with two partitions done is whole in the end.
    records.push(at(9, TraceEvent::Answered { job: JobId(1), outcome: Outcome::Complete }));
    assert_eq!(fed(&records).whole().sums.work, 1.0);
}

#[test]
fn a_job_end_after_the_last_fresh_start_belongs_to_the_drain() {
    // Five jobs one after the other end at 30, 60, .. 150; a sixth had its fresh start at 140 and
    // only its second step starts after the fifth has ended.
    let mut records = chain(5, 30, 0);
    records.extend([
        at(140, accepted(6, 1)),
        at(140, started(60, task(6, 0, 0), SYNTH, CPU)),
        at(155, finished(60, task(6, 0, 0), SYNTH, CPU, 15)),
        at(155, started(61, task(6, 0, 1), PROVE, GPU)),
        at(185, finished(61, task(6, 0, 1), PROVE, GPU, 30)),
        at(185, TraceEvent::Answered { job: JobId(6), outcome: Outcome::Complete }),
    ]);
    records.sort_by_key(|r| r.at);
    let stats = fed(&records);
    assert_eq!(stats.steady().unwrap().sums.at, Time(120));
    assert_eq!(stats.drain().unwrap().seconds(), 65e-9);
}
