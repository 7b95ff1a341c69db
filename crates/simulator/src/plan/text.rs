//! The plan as text for a terminal.

use super::{Capacity, Plan};
use crate::report::{percent, secs};
use crate::scenario::Bytes;
use std::fmt;

fn row(c: &Capacity) -> String {
    let or = |v: Option<String>| v.unwrap_or_else(|| "-".into());
    format!(
        "{:>11} {:>10} {:>9} {:>13}   {}",
        or(c.jobs_per_hour.map(|r| format!("{r:.1}"))),
        or(c.seconds_per_job.map(secs)),
        or(c.device_busy.map(percent)),
        Bytes(c.peak_bytes).to_string(),
        c.binding
    )
}

const HEAD: &str = "  jobs/hour   per job   devices          peak   binding";

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "  proofs per hour     {HEAD}")?;
        writeln!(f, "  {:<18} {}", "as written", row(&self.as_written))?;
        writeln!(f, "  {:<18} {}", "fully loaded", row(&self.capacity))?;
        if let Some(workers) = self.workers {
            writeln!(f, "\n  workers: {workers} (the fewest within 2 % of the best)")?;
            writeln!(f, "  {:<18}  {HEAD}", "CPU lanes")?;
            for w in &self.by_workers {
                writeln!(f, "  {:<18} {}", w.workers, row(&w.capacity))?;
            }
        }
        match self.memory_bytes {
            Some(b) => {
                writeln!(f, "\n  memory: {} (the least within 2 % of what there is)", Bytes(b))?
            }
            None => writeln!(f, "\n  memory: no size up to what there is completes a job")?,
        }
        writeln!(f, "  {:<18}  {HEAD}", "machine memory")?;
        for m in &self.by_memory {
            writeln!(f, "  {:<18} {}", Bytes(m.memory_bytes).to_string(), row(&m.capacity))?;
        }
        match self.buy.first() {
            Some(best) if best.gain >= 0.02 => {
                writeln!(f, "\n  buy next: {} ({:+.1} %)", best.what, 100.0 * best.gain)?;
            }
            _ => writeln!(f, "\n  buy next: nothing of these; {} binds", self.capacity.binding)?,
        }
        for p in &self.buy {
            let now = p.capacity.jobs_per_hour.map_or("-".into(), |r| format!("{r:.1}/hour"));
            let (gain, binding) = (100.0 * p.gain, &p.capacity.binding);
            writeln!(f, "  {gain:>+7.1} %  {now:>12}  {} (then {binding} binds)", p.what)?;
        }
        if !self.formulas.is_empty() {
            writeln!(f, "\n  formulas of cuzk's Phase 7 proposal   formula   simulated")?;
            for l in &self.formulas {
                let said = l.simulated.map_or("-".into(), |v| format!("{v:.1} {}", l.unit));
                let value = format!("{:.1} {}", l.value, l.unit);
                writeln!(f, "  {:<20} {value:>24} {said:>11}   {}", l.about, l.formula)?;
            }
        }
        Ok(())
    }
}
