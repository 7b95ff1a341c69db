//! Signals: SIGTERM and SIGINT stop the service, SIGHUP reloads the configuration.
//!
//! ```text
//! starting ── serving() ──► serving ── SIGTERM, SIGINT ──► draining
//!    └─ SIGTERM, SIGINT: exit 0                               └─ SIGTERM, SIGINT: exit 128 + n
//! ```
//!
//! A separate thread receives them, so that a second signal ends the process even if the network threads hang.
//! Accepted jobs are in the journal in all cases.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

/// The phase of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It accepts no connections yet, so there is nothing to drain.
    Starting,
    Serving,
    Draining,
}

/// The reaction to a stop signal.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Drain,
    Exit(i32),
}

impl Phase {
    /// The reaction to SIGTERM or SIGINT; `number` is the signal's number.
    fn on_stop_signal(self, number: i32) -> Action {
        match self {
            Phase::Starting => Action::Exit(0),
            Phase::Serving => Action::Drain,
            // The exit code that shells report for a process killed by the signal.
            Phase::Draining => Action::Exit(128 + number),
        }
    }
}

/// Receives signals.
pub(crate) struct Signals {
    phase: Arc<Mutex<Phase>>,
    end: watch::Receiver<bool>,
    reloads: watch::Receiver<u64>,
}

impl Signals {
    /// Installs the handlers; they are in place when this returns.
    pub(crate) fn install() -> io::Result<Signals> {
        let phase = Arc::new(Mutex::new(Phase::Starting));
        let (ending, end) = watch::channel(false);
        let (reloading, reloads) = watch::channel(0);
        let (installed, outcome) = std::sync::mpsc::channel();
        let shared = phase.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = installed.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async {
                match Handlers::install() {
                    Err(error) => _ = installed.send(Err(error)),
                    Ok(handlers) => {
                        let _ = installed.send(Ok(()));
                        handlers.receive(&shared, &ending, &reloading).await;
                    }
                }
            });
        })?;
        let gone = || io::Error::other("the thread for signals ended");
        outcome.recv().map_err(|_| gone())??;
        Ok(Signals { phase, end, reloads })
    }

    /// Enters the phase `Serving`: the next stop signal starts the drain.
    pub(crate) fn serving(&self) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Serving;
    }

    /// Waits for the next command.
    pub(crate) async fn next_command(&mut self) -> Command {
        // The sending thread runs until the process ends.
        tokio::select! {
            biased;
            Ok(_) = self.end.wait_for(|ending| *ending) => Command::Stop,
            Ok(()) = self.reloads.changed() => Command::Reload,
            else => std::future::pending().await,
        }
    }
}

/// The command of a signal to a service that accepts connections.
pub(crate) enum Command {
    /// Drain and stop.
    Stop,
    /// Reload the configuration.
    Reload,
}

struct Handlers {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Handlers {
    fn install() -> io::Result<Handlers> {
        Ok(Handlers {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn receive(
        mut self,
        phase: &Mutex<Phase>,
        ending: &watch::Sender<bool>,
        reloading: &watch::Sender<u64>,
    ) {
        loop {
            let kind = tokio::select! {
                _ = self.terminate.recv() => SignalKind::terminate(),
                _ = self.interrupt.recv() => SignalKind::interrupt(),
                _ = self.hang_up.recv() => {
                    reloading.send_modify(|count| *count += 1);
                    continue;
                }
            };
            let mut phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
            match phase.on_stop_signal(kind.as_raw_value()) {
                Action::Drain => {
                    *phase = Phase::Draining;
                    let _ = ending.send(true);
                }
                Action::Exit(0) => {
                    info!("stopped before the service listened");
                    std::process::exit(0);
                }
                Action::Exit(code) => {
                    warn!(
                        "stopped at once by a second signal; jobs that have not ended resume at the next start"
                    );
                    std::process::exit(code);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_drains_and_a_second_one_exits() {
        assert_eq!(Phase::Starting.on_stop_signal(15), Action::Exit(0));
        assert_eq!(Phase::Serving.on_stop_signal(2), Action::Drain);
        assert_eq!(Phase::Draining.on_stop_signal(15), Action::Exit(143));
        assert_eq!(Phase::Draining.on_stop_signal(2), Action::Exit(130));
    }
}
