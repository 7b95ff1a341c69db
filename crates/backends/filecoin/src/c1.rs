//! Makes C1 outputs: seals a sector with the stock stack up to phase C1, for tests, demos and
//! benchmarks.

use std::{fs, io::Write, path::Path};

use filecoin_proofs_api::{
    SectorId, UnpaddedBytesAmount,
    seal::{
        SealCommitPhase1Output, add_piece, seal_commit_phase1, seal_pre_commit_phase1,
        seal_pre_commit_phase2,
    },
};
use rand::{RngCore, SeedableRng, rngs::StdRng};

use crate::{Fault, MinerId, Sector, verify::set_partitions};

/// Seals random data and returns the C1 output, with the sector's number of partitions. This sets the
/// number of partitions for the whole process, so use one process per kind of sector. Large sectors
/// take the time and disk space of a real sealing.
pub fn seal(
    sector: Sector,
    miner: MinerId,
    number: u64,
    seed: u64,
    scratch: &Path,
) -> Result<SealCommitPhase1Output, Fault> {
    set_partitions(sector);
    let failed = |error: &dyn std::fmt::Debug| {
        let text = format!("{error:?}");
        Fault::internal(format_args!("sealing: {}", text.lines().next().unwrap_or_default()))
    };
    let io = |error: std::io::Error| Fault::at("unwritable", scratch, error);
    let mut random = StdRng::seed_from_u64(seed);
    let mut bytes = |count: usize| {
        let mut bytes = vec![0; count];
        random.fill_bytes(&mut bytes);
        bytes
    };
    let (proof, prover) = (sector.registered_proof(), miner.prover_id());
    let (mut ticket, mut challenge) = ([0; 32], [0; 32]);
    ticket.copy_from_slice(&bytes(32));
    challenge.copy_from_slice(&bytes(32));

    let (staged, sealed) = (scratch.join("staged"), scratch.join("sealed"));
    let cache = scratch.join("cache");
    fs::create_dir_all(&cache).map_err(io)?;
    // Two of every 256 bits of a sector are padding.
    let capacity = UnpaddedBytesAmount(sector.bytes / 128 * 127);
    let piece = scratch.join("piece");
    let mut file = fs::File::create(&piece).map_err(io)?;
    let mut left = capacity.0;
    while left > 0 {
        let count = left.min(1 << 20);
        file.write_all(&bytes(count as usize)).map_err(io)?;
        left -= count;
    }
    let target = |path: &Path| {
        fs::File::options().read(true).write(true).create(true).truncate(true).open(path)
    };
    let source = fs::File::open(&piece).map_err(io)?;
    let staged_file = target(&staged).map_err(io)?;
    let (info, _) =
        add_piece(proof, source, staged_file, capacity, &[]).map_err(|error| failed(&error))?;
    drop(target(&sealed).map_err(io)?);
    let (pieces, id) = ([info], SectorId::from(number));
    let first =
        seal_pre_commit_phase1(proof, &cache, &staged, &sealed, prover, id, ticket, &pieces);
    let first = first.map_err(|error| failed(&error))?;
    let second = seal_pre_commit_phase2(first, &cache, &sealed).map_err(|error| failed(&error))?;
    seal_commit_phase1(&cache, &sealed, prover, id, ticket, challenge, second, &pieces)
        .map_err(|error| failed(&error))
}
