//! Implementations for different processor features, and which of them this process uses.

use std::sync::OnceLock;

/// An implementation of the kernels, chosen at run time by processor features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Path {
    /// 64-bit words in plain Rust; runs everywhere.
    Portable,
    /// Eight elements at a time on AVX-512 (F and DQ), multiplied by double-precision fused
    /// multiply-add.
    Avx512,
    /// Eight elements at a time on AVX-512 with integer fused multiply-add of 52-bit numbers.
    Ifma,
}

/// The environment variable that forces a path by its name.
pub const FORCE: &str = "ATHANOR_KERNELS";

/// Why a path cannot be forced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The name is not the name of a path.
    #[error("{FORCE}={0} is not a path: use portable, avx512 or ifma, or unset it")]
    Unknown(String),
    /// This processor does not support the path.
    #[error(
        "{FORCE}={0} needs instructions that this processor lacks; unset it to use the fastest supported path"
    )]
    Unavailable(Path),
}

impl Path {
    /// All paths, the slowest first.
    pub const ALL: [Path; 3] = [Path::Portable, Path::Avx512, Path::Ifma];

    /// The path that this process uses: the one that the environment forces ([`FORCE`]), or the
    /// fastest that the processor supports. An invalid value is ignored here; a program reports it
    /// at its start by calling [`Path::forced`].
    pub fn chosen() -> Self {
        static CHOSEN: OnceLock<Path> = OnceLock::new();
        *CHOSEN.get_or_init(|| Self::forced().ok().flatten().unwrap_or_else(Self::best))
    }

    /// The path that the environment forces, or `None` if the variable is unset.
    ///
    /// # Errors
    /// If the variable does not name a path, or names one that this processor does not support.
    pub fn forced() -> Result<Option<Self>, PathError> {
        match std::env::var_os(FORCE) {
            None => Ok(None),
            Some(name) => Self::named(&name.to_string_lossy()).map(Some),
        }
    }

    /// The path with this name, if this processor supports it.
    ///
    /// # Errors
    /// As for [`Path::forced`].
    pub fn named(name: &str) -> Result<Self, PathError> {
        let path = Self::ALL.into_iter().find(|path| path.name() == name);
        let path = path.ok_or_else(|| PathError::Unknown(name.to_owned()))?;
        if path.available() { Ok(path) } else { Err(PathError::Unavailable(path)) }
    }

    /// The fastest path that the processor supports.
    pub fn best() -> Self {
        let best = Self::ALL.into_iter().rev().find(|path| path.available());
        best.unwrap_or(Path::Portable)
    }

    /// Whether the processor supports the path.
    pub fn available(self) -> bool {
        match self {
            Path::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => crate::lanes::fma::available(),
            #[cfg(target_arch = "x86_64")]
            Path::Ifma => crate::lanes::ifma::available(),
            #[cfg(not(target_arch = "x86_64"))]
            Path::Avx512 | Path::Ifma => false,
        }
    }

    /// The name in benches, metrics and the environment.
    pub const fn name(self) -> &'static str {
        match self {
            Path::Portable => "portable",
            Path::Avx512 => "avx512",
            Path::Ifma => "ifma",
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_path_is_used_or_refused_with_advice() {
        assert_eq!(Path::named("portable"), Ok(Path::Portable));
        let error = Path::named("neon").unwrap_err();
        assert_eq!(error, PathError::Unknown("neon".into()));
        assert!(error.to_string().contains("portable, avx512 or ifma"));
        for path in Path::ALL {
            let expected =
                if path.available() { Ok(path) } else { Err(PathError::Unavailable(path)) };
            assert_eq!(Path::named(path.name()), expected);
        }
    }

    /// The fast path is chosen wherever the processor supports it.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_ifma_path_is_best_where_the_processor_has_it() {
        let has = std::is_x86_feature_detected!("avx512ifma")
            && std::is_x86_feature_detected!("avx512dq");
        assert_eq!(Path::best() == Path::Ifma, has);
        if Path::forced() == Ok(None) {
            assert_eq!(Path::chosen(), Path::best());
        }
    }
}
