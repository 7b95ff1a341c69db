//! Log of the service: one line per event on standard error.

use std::{any::Any, env, io, panic::PanicHookInfo};

use athanor_server::{Config, ConfigError, Log, LogFormat};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

/// The current filter; it can be replaced at run time.
pub(crate) struct Filter(reload::Handle<Targets, Registry>);

/// Starts logging. A second call has no effect.
pub(crate) fn start(log: &Log) -> Result<Filter, ConfigError> {
    let (filter, handle) = reload::Layer::new(targets(&log.filter)?);
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false).log_internal_errors(false);
    let lines = match log.format {
        LogFormat::Json => lines.json().boxed(),
        // The journal adds a time to each line.
        LogFormat::Text if writes_to_journal() => lines.without_time().boxed(),
        LogFormat::Text => lines.boxed(),
    };
    if tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().is_ok() {
        std::panic::set_hook(Box::new(panicked));
    }
    Ok(Filter(handle))
}

/// Logs a panic as an event.
fn panicked(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(thread, "panicked at {place}: {}", words(panic.payload()));
}

/// A panic's message if it is a literal of the source; a formatted message may hold a secret value.
fn words(payload: &dyn Any) -> &'static str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("(message not shown: it may hold secret values)")
}

impl Filter {
    /// Applies the filter of a configuration that was checked before.
    pub(crate) fn replace(&self, config: &Config) {
        if let Ok(targets) = targets(&config.log.filter) {
            let _ = self.0.reload(targets);
        }
    }
}

/// Checks a configuration's filter.
pub(crate) fn check(log: &Log) -> Result<(), ConfigError> {
    targets(&log.filter).map(drop)
}

/// Reads a filter such as `info,athanor_server::jobs=debug`.
fn targets(text: &str) -> Result<Targets, ConfigError> {
    let wrong = |why: String| ConfigError::Malformed { place: "log.filter".into(), why };
    for part in text.split(',').map(str::trim) {
        // A misspelt level would parse as a target and silence all others.
        let level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        if !level && !part.contains('=') {
            let levels = "off, error, warn, info, debug or trace";
            return Err(wrong(format!("{part:?} is neither a level ({levels}) nor target=level")));
        }
    }
    let targets: Targets = text.parse().map_err(|_| {
        wrong(format!("{text:?} is not a list of levels such as info,athanor_server::jobs=debug"))
    })?;
    Ok(bounded(targets))
}

/// Prefix of the targets of this workspace's crates.
const OWN: &str = "athanor";

/// Other libraries log up to `info` only: their details may hold headers, and so tokens.
fn bounded(requested: Targets) -> Targets {
    let default = requested.default_level().unwrap_or(LevelFilter::OFF);
    let bound = |target: &str, level: LevelFilter| match target.starts_with(OWN) {
        true => level,
        false => level.min(LevelFilter::INFO),
    };
    // A named target is more specific than the prefix of all our crates, so it takes precedence.
    Targets::new()
        .with_default(default.min(LevelFilter::INFO))
        .with_target(OWN, default)
        .with_targets(requested.iter().map(|(target, level)| {
            let level = bound(target, level);
            (target.to_owned(), level)
        }))
}

/// Whether standard error is systemd's journal: `JOURNAL_STREAM` holds its device and inode.
fn writes_to_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    let own = rustix::fs::fstat(io::stderr());
    own.is_ok_and(|own| stream == format!("{}:{}", own.st_dev, own.st_ino))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_go_by_target_and_libraries_stop_at_info() {
        let own = "athanor_server::jobs";
        let logged = |filter: &str, target: &str, level| {
            targets(filter).unwrap().would_enable(target, &level)
        };
        assert!(logged("info", own, Level::INFO) && !logged("info", own, Level::DEBUG));
        assert!(logged("info,athanor_server::jobs=debug", own, Level::DEBUG));
        assert!(!logged("info,athanor_server::jobs=debug", "athanor_server::run", Level::DEBUG));
        assert!(!logged("warn", "h2", Level::INFO) && logged("trace", own, Level::TRACE));
        for filter in ["trace", "h2=trace", "trace,h2::codec=debug"] {
            assert!(!logged(filter, "h2::codec", Level::DEBUG), "{filter}");
        }
        assert!(!logged("h2=info", own, Level::ERROR), "nothing but what is named");
        assert!(logged("off,athanor_server=warn", own, Level::WARN));
    }

    #[test]
    fn a_panics_formatted_message_is_not_told() {
        let secret = 31_337;
        assert_eq!(words(&"out of cheese"), "out of cheese");
        assert!(!words(&format!("a is {secret}")).contains("31337"));
    }

    #[test]
    fn a_misspelt_filter_is_refused() {
        for filter in ["inof", "", "info,", "athanor_server=loud", "info,,warn"] {
            assert!(targets(filter).is_err(), "{filter:?}");
        }
    }
}
