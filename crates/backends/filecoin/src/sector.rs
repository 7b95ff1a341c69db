//! Kinds of sectors: their size, and the number of partitions of their proofs.

use std::{fmt, str::FromStr};

use filecoin_proofs::{PoRepConfig, PoRepProofPartitions};
use filecoin_proofs_api::{ApiFeature, RegisteredSealProof};

use crate::{Fault, fault::UNSUPPORTED};

/// A sector's size, and the partitions of its proof.
///
/// The stock stack keeps the number of partitions of each size in a process-wide map. Here the number is
/// part of the circuit, so circuits with different numbers can be used in one process. Only sealing and
/// the stock `verify_seal` need the map; they run in a separate process for each setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sector {
    /// Bytes of the sector.
    pub bytes: u64,
    /// Partitions of one proof.
    pub partitions: u8,
}

/// Sizes with registered proofs: name, bytes, the first registered proof.
const SIZES: [(&str, u64, RegisteredSealProof); 5] = [
    ("2KiB", 2 << 10, RegisteredSealProof::StackedDrg2KiBV1_1),
    ("8MiB", 8 << 20, RegisteredSealProof::StackedDrg8MiBV1_1),
    ("512MiB", 512 << 20, RegisteredSealProof::StackedDrg512MiBV1_1),
    ("32GiB", 32 << 30, RegisteredSealProof::StackedDrg32GiBV1_1),
    ("64GiB", 64 << 30, RegisteredSealProof::StackedDrg64GiBV1_1),
];

impl Sector {
    /// Checks that such proofs exist. A partition has at most 18 challenges, so a size with many challenges
    /// has a minimum number of partitions. `partitions`: 0 means the network's number.
    pub fn new(bytes: u64, partitions: u8) -> Result<Self, Fault> {
        if !SIZES.iter().any(|(_, size, _)| *size == bytes) {
            let names: Vec<&str> = SIZES.iter().map(|(name, _, _)| *name).collect();
            let message =
                format_args!("{bytes} bytes is not a sector size: expected {}", names.join(", "));
            return Err(Fault::new(UNSUPPORTED, message));
        }
        let large = bytes >= 32 << 30;
        let (network, challenges) = if large { (10, 176u16) } else { (1, 2) };
        let partitions = if partitions == 0 { network } else { partitions };
        let most = 18;
        if challenges.div_ceil(u16::from(partitions)) > most {
            let message = format_args!(
                "{partitions} partitions leave more than {most} of the {challenges} challenges to \
                 one: the network has {network}"
            );
            return Err(Fault::new(UNSUPPORTED, message));
        }
        Ok(Self { bytes, partitions })
    }

    /// The size's name.
    pub fn size_name(&self) -> &'static str {
        self.row().0
    }

    /// The registered proof that new sectors of this size are sealed with.
    pub fn registered_proof(&self) -> RegisteredSealProof {
        self.row().2
    }

    fn row(&self) -> &'static (&'static str, u64, RegisteredSealProof) {
        let row = SIZES.iter().find(|(_, bytes, _)| *bytes == self.bytes);
        row.expect("only sizes of the list are made")
    }

    /// The stock stack's configuration of a registered proof, with this number of partitions.
    pub(crate) fn config(&self, proof: RegisteredSealProof) -> Result<PoRepConfig, Fault> {
        let config = proof.as_v1_config();
        let bytes = u64::from(config.sector_size);
        if bytes != self.bytes {
            return Err(Fault::bad_input(format_args!(
                "the proof is {proof:?}, for a sector of {bytes} bytes, but this circuit is for {}",
                self.size_name()
            )));
        }
        if config.api_features.contains(&ApiFeature::NonInteractivePoRep) {
            let message = "non-interactive PoRep is not supported: its proof is an aggregate";
            return Err(Fault::new(UNSUPPORTED, message));
        }
        Ok(PoRepConfig { partitions: PoRepProofPartitions(self.partitions), ..config })
    }
}

impl FromStr for Sector {
    type Err = Fault;

    /// Parses a size's name, ignoring case; the number of partitions is the network's.
    fn from_str(name: &str) -> Result<Self, Fault> {
        let row = SIZES.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(name));
        let bytes = row.map(|(_, bytes, _)| *bytes).or_else(|| name.parse().ok());
        Self::new(bytes.unwrap_or(0), 0)
    }
}

impl fmt::Display for Sector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoRep of {}, {} partitions", self.size_name(), self.partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_names_and_partitions_take_what_they_can() {
        assert_eq!("2kib".parse::<Sector>().unwrap(), Sector { bytes: 2048, partitions: 1 });
        assert_eq!("34359738368".parse::<Sector>().unwrap().partitions, 10);
        assert!("2 KiB".parse::<Sector>().unwrap_err().message.contains("64GiB"));
        assert!(Sector::new(2048, 200).is_ok());
        assert!(Sector::new(32 << 30, 9).unwrap_err().message.contains("the network has 10"));
    }

    #[test]
    fn proofs_of_other_sizes_and_kinds_are_refused() {
        let sector = Sector::new(2048, 10).unwrap();
        let config = sector.config(RegisteredSealProof::StackedDrg2KiBV1).unwrap();
        assert_eq!(usize::from(config.partitions), 10);
        assert!(sector.config(RegisteredSealProof::StackedDrg8MiBV1_1).is_err());
        let other = RegisteredSealProof::StackedDrg2KiBV1_2_Feat_NonInteractivePoRep;
        assert_eq!(sector.config(other).unwrap_err().code, UNSUPPORTED);
    }
}
