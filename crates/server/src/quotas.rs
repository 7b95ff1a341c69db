//! Quotas: limits on open jobs, in total, per tenant and per circuit.
//!
//! A job holds an [`Admission`] from before its submission until its end. The check and the count are one step, so
//! that concurrent requests cannot exceed a limit together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use athanor_engine::Class;

use crate::config::Limits;
use crate::problem::{Problem, Reason};

/// The counts of open jobs. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Quotas(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    tenants: HashMap<String, usize>,
    circuits: HashMap<String, usize>,
}

/// One open job in the counts, subtracted when dropped.
pub(crate) struct Admission {
    quotas: Quotas,
    tenant: String,
    circuit: String,
}

impl Quotas {
    /// Counts a job if the limits on all jobs, on its tenant and on its circuit permit it.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] with the name of the limit.
    pub(crate) fn admit(
        &self,
        limits: &Limits,
        tenant: &str,
        circuit: &str,
        class: Class,
    ) -> Result<Admission, Problem> {
        let mut counts = self.lock();
        let critical = if class == Class::Critical { limits.jobs_critical } else { 0 };
        let count = |of: &HashMap<String, usize>, name: &str| of.get(name).copied().unwrap_or(0);
        let full = [
            ("jobs", counts.all, limits.jobs.saturating_add(critical)),
            ("jobs-per-tenant", count(&counts.tenants, tenant), limits.jobs_per_tenant),
            ("jobs-per-circuit", count(&counts.circuits, circuit), limits.jobs_per_circuit),
        ];
        match full.into_iter().find(|(_, open, most)| open >= most) {
            Some((name, open, most)) => {
                let message = format!(
                    "{open} jobs are open and the limit {name} is {most}: submit again later"
                );
                Err(Problem::new(Reason::Busy, message))
            }
            None => Ok(self.count(&mut counts, tenant, circuit)),
        }
    }

    /// Counts a job that was accepted earlier, without a check of the limits.
    pub(crate) fn admit_accepted(&self, tenant: &str, circuit: &str) -> Admission {
        self.count(&mut self.lock(), tenant, circuit)
    }

    fn count(&self, counts: &mut Counts, tenant: &str, circuit: &str) -> Admission {
        counts.all += 1;
        *counts.tenants.entry(tenant.to_owned()).or_default() += 1;
        *counts.circuits.entry(circuit.to_owned()).or_default() += 1;
        Admission { quotas: self.clone(), tenant: tenant.to_owned(), circuit: circuit.to_owned() }
    }

    /// Open jobs of all tenants.
    #[cfg(test)]
    pub(crate) fn all(&self) -> usize {
        self.lock().all
    }

    /// Open jobs of a tenant.
    pub(crate) fn of_tenant(&self, tenant: &str) -> usize {
        self.lock().tenants.get(tenant).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.quotas.lock();
        counts.all -= 1;
        decrement(&mut counts.tenants, &self.tenant);
        decrement(&mut counts.circuits, &self.circuit);
    }
}

/// Subtracts one from a count and removes it at zero.
fn decrement(counts: &mut HashMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            jobs: 4,
            jobs_critical: 1,
            jobs_per_tenant: 2,
            jobs_per_circuit: 3,
            ..Limits::default()
        }
    }

    #[test]
    fn each_limit_holds_alone_and_an_admission_that_is_dropped_is_free() {
        let quotas = Quotas::default();
        let admit = |tenant, circuit, class| quotas.admit(&limits(), tenant, circuit, class);
        let first = admit("a", "x", Class::Normal).unwrap();
        let _second = admit("a", "y", Class::Normal).unwrap();
        assert!(admit("a", "z", Class::Normal).is_err(), "the tenant's limit");
        let _others =
            [admit("b", "x", Class::Normal), admit("b", "x", Class::Normal)].map(Result::unwrap);
        assert!(admit("c", "x", Class::Critical).is_err(), "the circuit's limit");
        assert!(admit("c", "z", Class::Normal).is_err(), "the limit of all");
        let critical = admit("c", "z", Class::Critical).unwrap();
        assert!(admit("d", "z", Class::Critical).is_err());
        drop((first, critical));
        assert_eq!((quotas.all(), quotas.of_tenant("a"), quotas.of_tenant("c")), (3, 1, 0));
        admit("a", "x", Class::Normal).unwrap();
    }

    #[test]
    fn threads_that_enter_together_do_not_pass_a_limit() {
        let quotas = Quotas::default();
        let limits = Limits { jobs_per_tenant: 5, ..Limits::default() };
        let admissions: Vec<_> = std::thread::scope(|scope| {
            let admit = || scope.spawn(|| quotas.admit(&limits, "a", "x", Class::Normal).ok());
            let threads: Vec<_> = (0..32).map(|_| admit()).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((admissions.len(), quotas.all()), (5, 5));
    }
}
