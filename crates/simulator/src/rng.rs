//! Random numbers that depend only on their inputs.

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input moves half of
/// the output's.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The random number in `0.0 .. 1.0` for this seed, purpose and index; it does not depend on other
/// draws.
pub(crate) fn unit(seed: u64, purpose: u64, index: u64) -> f64 {
    (mix(mix(mix(seed) ^ purpose) ^ index) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_depend_on_every_input() {
        let n = 20_000;
        let mut bins = [0u32; 10];
        let mut sum = 0.0;
        for i in 0..n {
            let u = unit(1, 2, i);
            assert!((0.0..1.0).contains(&u));
            bins[(u * 10.0) as usize] += 1;
            sum += u;
        }
        assert!((sum / n as f64 - 0.5).abs() < 0.01);
        assert!(bins.iter().all(|&b| (1_800..2_200).contains(&b)), "{bins:?}");
        assert_ne!(unit(1, 2, 3), unit(2, 2, 3));
        assert_ne!(unit(1, 2, 3), unit(1, 3, 3));
    }
}
