//! CPU time, which other processes and the choice of threads do not affect.

use std::time::Duration;

use cpu_time::ProcessTime;

/// Runs each contender in turn, round after round, so that disturbances affect all of them, and
/// returns the median CPU time of each. The first round warms up and is not counted.
pub fn medians(rounds: usize, contenders: &mut [&mut dyn FnMut()]) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds.max(1) {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let start = ProcessTime::now();
            contender();
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort();
            times[times.len() / 2]
        })
        .collect()
}

/// The processor's name, if the system reports it.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or("unknown processor").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_take_turns_and_the_first_round_is_not_counted() {
        let order = std::cell::RefCell::new(String::new());
        let (mut a, mut b) = (|| order.borrow_mut().push('a'), || order.borrow_mut().push('b'));
        assert_eq!(medians(2, &mut [&mut a, &mut b]).len(), 2);
        assert_eq!(*order.borrow(), "ababab");
    }
}
