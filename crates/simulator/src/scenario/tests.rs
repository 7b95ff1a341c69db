use crate::scenario::{Scenario, ScenarioError};

pub(super) const GOOD: &str = r#"
title = "t"
[machine]
threads = 8
memory = "64 GiB"
system = "4 GiB"
[[cpu]]
lanes = 4
[[device]]
class = "gpu"
[[key]]
name = "srs"
memory = "1 GiB"
[[circuit]]
name = "c"
partitions = 2
[[circuit.stage]]
name = "synthesize"
threads = [1, 2]
seconds = { form = "shared", points = [[1, 2.0], [4, 3.0]] }
peak = "2 GiB"
keeps = "1 GiB"
[[circuit.stage]]
name = "prove"
device = "gpu"
key = "srs"
seconds = 3
peak = "1 GiB"
[[jobs]]
circuit = "c"
count = 3
at_a_time = 2
"#;

/// The error after `from` is replaced by `to` in a valid scenario.
fn broken(from: &str, to: &str) -> ScenarioError {
    assert!(GOOD.contains(from), "{from:?}");
    Scenario::from_toml(&GOOD.replacen(from, to, 1)).expect_err(to)
}

#[test]
fn the_good_one_is_good() {
    let s = Scenario::from_toml(GOOD).unwrap();
    assert_eq!(s.budget(), 60 << 30);
    assert_eq!(s.circuit[0].stage[0].threads.unwrap().most(), 2);
}

#[test]
fn each_mistake_is_named_with_its_key_and_what_to_do() {
    for (from, to, words) in [
        ("lanes = 4", "lanes = 4\nlane = 3", &["unknown field `lane`", "line"][..]),
        ("lanes = 4", "lanes = 0", &["`cpu[0].lanes` is 0", "1 to"]),
        ("lanes = 4", "lanes = 9", &["9 threads together", "lower `cpu.lanes`"]),
        ("memory = \"64 GiB\"", "memory = \"3 GiB\"", &["`machine.memory`", "machine.system"]),
        ("memory = \"64 GiB\"", "memory = \"64 gigs\"", &["19.4 GiB", "line 5"]),
        ("device = \"gpu\"", "device = \"tpu\"", &["`circuit.c.prove.device`", "\"tpu\"", "gpu"]),
        ("key = \"srs\"", "key = \"x\"", &["`circuit.c.prove.key`", "[[key]]", "srs"]),
        ("device = \"gpu\"\nkey", "key", &["circuit.c.prove", "exactly one of"]),
        ("threads = [1, 2]", "threads = [2, 1]", &["`circuit.c.synthesize.threads` is 1", "2 to"]),
        ("threads = [1, 2]", "threads = \"all\"", &["a number of threads, or [least, most]"]),
        ("seconds = 3", "seconds = \"3 s\"", &["form = ", "points"]),
        ("seconds = 3", "seconds = -3", &["`circuit.c.prove.seconds`", "between 0"]),
        ("[4, 3.0]", "[4, 30.0]", &["`circuit.c.synthesize.seconds`", "form = \"table\""]),
        ("partitions = 2", "partitions = 0", &["`circuit.c.partitions` is 0"]),
        ("count = 3", "count = 0", &["`jobs[0].count` is 0"]),
        ("circuit = \"c\"", "circuit = \"d\"", &["`jobs[0].circuit`", "\"d\""]),
        ("at_a_time = 2", "at_a_time = 2\nevery = 1.0", &["exactly one of", "`every`"]),
        ("at_a_time = 2", "every = nan", &["`jobs[0].every` is NaN"]),
        ("keeps = \"1 GiB\"", "keeps = \"3 GiB\"", &["circuit \"c\"", "keeps more than its peak"]),
        ("[[jobs]]", "[[job]]", &["unknown field `job`"]),
        ("[[key]]", "[[key]]\nname = \"srs\"\n[[key]]", &["two keys", "\"srs\"", "rename"]),
    ] {
        let error = broken(from, to).to_string();
        for word in words {
            assert!(error.contains(word), "{to:?}: {error:?} lacks {word:?}");
        }
    }
}

#[test]
fn work_without_end_is_refused_before_anything_is_built() {
    let text = GOOD
        .replace("count = 3", "count = 10_000_000")
        .replace("partitions = 2", "partitions = 100_000");
    assert!(matches!(Scenario::from_toml(&text), Err(ScenarioError::TooManyTasks { .. })));
    let long = format!("{GOOD}#{}", "x".repeat(2 << 20));
    assert!(matches!(Scenario::from_toml(&long), Err(ScenarioError::TooLong { .. })));
}
