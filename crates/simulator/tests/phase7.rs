//! The figures of cuzk's Phase 7 proposal and cuzk's measurements (filecoin-project/curio),
//! compared with the scheduler under the same service times. `docs/phase7.md` shows these rows with
//! their commands.
#![allow(missing_docs)]

mod common;

use athanor_simulator::curve::{Curve, Form};
use common::{report, within};

#[test]
fn the_proposal_s_constants_give_the_proposal_s_figures() {
    let batch_all = report("cuzk-batch-all", &[]);
    assert!((64.0..=68.0).contains(&batch_all.latency.max), "{}", batch_all.latency.max);
    assert_eq!(batch_all.seconds_per_job, None, "one job has no steady part");

    // Phase 6: 29 s of synthesis to 36 s of it, before ten proofs of 3 s.
    for (seconds, expected) in [("29", 59.0), ("36", 66.0)] {
        let synthesis = format!("circuit.porep-32g.synthesize.seconds={seconds}");
        let single = report("cuzk-phase6", &[&synthesis, "jobs.count=1"]);
        assert!(within(single.latency.max, expected, 1e-6), "{}", single.latency.max);
        let one_by_one = report("cuzk-phase6", &[&synthesis]);
        assert!(within(one_by_one.seconds_per_job.unwrap(), expected, 1e-6));
        assert_eq!(one_by_one.binding, "jobs at a time");
    }

    let phase7 = report("cuzk-phase7", &[]);
    assert!((29.0..=31.0).contains(&phase7.seconds_per_job.unwrap()));
    assert!(phase7.device_busy.unwrap() > 0.99);
    assert_eq!(phase7.binding, "device gpu");
    assert!(phase7.fill.seconds > 0.0 && phase7.drain.is_some());
    let single = report("cuzk-phase7", &["jobs.count=1"]);
    assert!(within(single.latency.max, 59.0, 1e-6), "29 s, then ten times 3 s");
}

/// Seconds per proof by partition workers: one GPU worker, but for the last (two).
const MEASURED: [(u32, f64); 6] =
    [(1, 290.0), (2, 152.0), (5, 68.4), (7, 53.3), (10, 45.4), (12, 42.5)];

#[test]
fn a_curve_through_1_and_12_workers_predicts_2_5_7_and_10_within_a_tenth() {
    for (workers, measured) in MEASURED {
        let r = report("cuzk-workers", &[&format!("cpu.lanes={workers}")]);
        let simulated = r.seconds_per_job.unwrap();
        assert!(within(simulated, measured, 0.10), "{workers}: {simulated} beside {measured}");
        let expected = if workers == 12 { "sharing in synthesize" } else { "cpu lanes" };
        assert_eq!(r.binding, expected, "{workers}");
    }
}

#[test]
fn the_form_of_the_curve_is_chosen_by_its_parts_and_its_largest_error() {
    let worst = |form| {
        let curve = Curve::through(form, &[(1, 29.0), (12, 51.0)]).unwrap().table(12);
        let errors = MEASURED
            .iter()
            .map(|&(n, s)| (curve[n as usize - 1] * 10.0 / f64::from(n) / s - 1.0).abs());
        errors.fold(0.0, f64::max)
    };
    assert!(worst(Form::Shared) < 0.05, "{}", worst(Form::Shared));
    assert!(worst(Form::Linear) > 0.09, "{}", worst(Form::Linear));
    // The fitted `own` and `common` agree with what cuzk measured separately: 25 to 27 s of
    // single-threaded witness generation, and 4 s of bandwidth-bound evaluation alone.
    let curve = Curve::through(Form::Shared, &[(1, 29.0), (12, 51.0)]).unwrap();
    let (own, common) = curve.parts().unwrap();
    assert!(within(own, 25.0, 0.02) && within(common, 4.0, 0.06), "{own} {common}");
}

#[test]
fn neither_length_of_a_call_alone_gives_the_measured_50_7_s() {
    let call = |seconds: &str| {
        let prove = format!("circuit.porep-32g.prove.seconds={seconds}");
        report("cuzk-phase7-measured", &[&prove])
    };
    let long = call("6.5");
    assert!(within(long.seconds_per_job.unwrap(), 65.0, 0.01));
    assert_eq!(long.binding, "device gpu");
    let short = call("3.3");
    let seconds = short.seconds_per_job.unwrap();
    assert!(seconds < 50.7 && seconds > 40.0, "{seconds}");
    assert_eq!(short.binding, "sharing in synthesize");
}

#[test]
fn with_witness_and_evaluation_apart_the_device_is_the_bound_down_to_256_gib() {
    for memory in [754, 512, 256] {
        let r = report("porep-split", &[&format!("machine.memory={memory} GiB")]);
        let distance = r.distance_to_bound().unwrap();
        assert!(distance.abs() <= 0.03, "{memory}: {distance}");
        assert!(r.device_busy.unwrap() >= 0.97, "{memory}: {:?}", r.device_busy);
        assert_eq!(r.binding, "device gpu", "{memory}");
        assert!(within(r.bound_seconds_per_job, 30.0, 1e-9));
        assert!(r.peak_bytes <= r.budget_bytes);
    }
}

#[test]
fn at_128_gib_memory_binds_and_the_distance_to_its_bound_is_told() {
    let r = report("porep-split", &["machine.memory=128 GiB"]);
    assert_eq!(r.binding, "memory");
    assert_eq!(r.bounds[0].constraint.to_string(), "memory");
    // (4 * 25 + 19.4 * 4 + 13.6 * 3) GiB s per partition over 38.3 GiB.
    let by_hand = 10.0 * (4.0 * 25.0 + 19.4 * 4.0 + 13.6 * 3.0) / (128.0 - 20.0 - 44.0 - 25.7);
    assert!(within(r.bound_seconds_per_job, by_hand, 1e-6), "{}", r.bound_seconds_per_job);
    assert!(r.distance_to_bound().unwrap() > 0.0);
    assert!(r.peak_bytes <= r.budget_bytes);
}

#[test]
fn five_sectors_from_a_cold_start_come_near_the_measured_mean_and_device_use() {
    // cuzk's 50.7 s and 64.3 % (three at a time) and 59.8 s (two) are means over five proofs, the
    // pipeline's fill included.
    for (at_a_time, measured) in [(3, 50.7), (2, 59.8)] {
        let prove = "circuit.porep-32g.prove.seconds=3.3";
        let open = format!("jobs.at_a_time={at_a_time}");
        let r = report("cuzk-phase7-measured", &[prove, "jobs.count=5", &open]);
        let mean = r.simulated_seconds / 5.0;
        assert!(within(mean, measured, 0.08), "{at_a_time}: {mean}");
        if at_a_time == 3 {
            assert!(within(mean, measured, 0.03), "{mean}");
            let gpu = r.workers.iter().find(|l| l.name == "gpu").unwrap();
            assert!((gpu.busy - 0.643).abs() < 0.03, "{}", gpu.busy);
        }
    }
}
