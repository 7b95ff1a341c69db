//! `athanor bench kernels`: MSMs and transforms, one thread, CPU time.

use athanor_kernels::bench::{Sizes, cpu_name, rows};

use crate::{
    args::BenchKernels,
    failure::{Failure, Kind},
    output::{Progress, answer},
};

/// Measures every kernel on the path that this process uses.
pub fn run(args: &BenchKernels) -> Result<(), Failure> {
    Progress::new(args.json).say("making points and measuring, one thread");
    let sizes = Sizes {
        g1: args.sizes.clone(),
        g2: args.g2_sizes.clone(),
        ntt: args.sizes.clone(),
        rounds: args.runs as usize,
    };
    let rows = rows(&sizes);
    if !args.json {
        answer(&format!("{}; one thread; CPU time; medians of {}", cpu_name(), args.runs));
        answer(&format!("{:<17} {:>8} {:>9} {:>12}", "kernel", "n", "path", "ns per element"));
    }
    for row in rows {
        answer(&if args.json {
            serde_json::to_string(&row).map_err(|error| Failure::new(Kind::Internal, error))?
        } else {
            let (name, n, path, ns) = (row.name, row.n, row.path, row.ns_per_element);
            format!("{name:<17} {n:>8} {path:>9} {ns:>12.1}")
        });
    }
    Ok(())
}
