//! HTTP callbacks: a POST to a URL of the client when its job has ended.
//!
//! Only origins in the setting `callbacks` are called, and redirects are not followed, so that a client cannot
//! make the service send requests into the operator's network. The body contains the job without its proof;
//! reading the proof needs a token. The journal holds the state of each callback, so that pending callbacks are
//! sent after a restart. Delivery is at least once.
//!
//! ```text
//! Waiting ── job has ended: POST, retried after RETRY_DELAYS ─┬─ status 2xx ─────────────────► Delivered ("told")
//!                                                             └─ all failed, or not allowed ─► GivenUp
//! ```

use std::sync::Arc;
use std::time::Duration;

use athanor_store::{CallbackState, JobRow};
use reqwest::{Client, Url, redirect::Policy};
use tracing::warn;

use crate::events;
use crate::problem::{Problem, Reason};
use crate::responses::Job;
use crate::state::App;

/// Timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Delays in seconds between attempts. After the last attempt the callback is given up.
const RETRY_DELAYS: [u64; 5] = [1, 5, 25, 120, 600];
/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// The allowed origins and the HTTP client.
pub(crate) struct Callbacks {
    allowed: Vec<String>,
    client: Option<Client>,
}

impl Callbacks {
    /// Callbacks to these origins.
    ///
    /// # Errors
    ///
    /// If an origin is malformed or the HTTP client cannot be built.
    pub(crate) fn new(allowed: &[String]) -> Result<Callbacks, String> {
        let allowed: Vec<String> =
            allowed.iter().map(|text| origin(text)).collect::<Result<_, _>>()?;
        let client = match allowed.is_empty() {
            true => None,
            false => {
                // Fails only if a provider is already installed, which is sufficient.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = Client::builder().timeout(REQUEST_TIMEOUT).redirect(Policy::none());
                Some(client.build().map_err(|error| error.to_string())?)
            }
        };
        Ok(Callbacks { allowed, client })
    }

    /// Checks that a client may use this URL.
    pub(crate) fn check(&self, url: &str) -> Result<(), Problem> {
        let refuse = |why: String| Err(Problem::new(Reason::CallbackRefused, why));
        if url.len() > MAX_URL_BYTES {
            return refuse(format!(
                "the callback URL has {} bytes: the limit is {MAX_URL_BYTES}",
                url.len()
            ));
        }
        let Ok(url) = Url::parse(url) else {
            return refuse("the callback is not a valid URL".into());
        };
        let origin = url.origin().ascii_serialization();
        match self.allowed.contains(&origin) {
            true => Ok(()),
            false => refuse(format!(
                "callbacks to {origin} are not allowed: the operator allows origins in the setting `callbacks`"
            )),
        }
    }
}

/// Parses an origin such as `https://host:port` into the form in which origins are compared.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let invalid =
        || format!("{text:?} is not an origin: give one such as https://hooks.example.org");
    let url = Url::parse(text).map_err(|_| invalid())?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.path() == "/";
    match is_origin && url.query().is_none() && url.username().is_empty() {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(invalid()),
    }
}

/// Sends the callbacks that an earlier run left pending.
pub(crate) async fn deliver_pending(app: Arc<App>) {
    match app.store.pending_callbacks().await {
        Ok(rows) => rows.into_iter().for_each(|row| _ = tokio::spawn(send(app.clone(), row))),
        Err(error) => warn!(%error, "pending callbacks could not be read"),
    }
}

/// Sends the callback of a job that has ended, if it has one.
pub(crate) async fn deliver(app: Arc<App>, public: &str) {
    match app.store.job(public).await {
        Ok(Some(row)) if row.callback.is_some() && row.ended.is_some() => send(app, row).await,
        Ok(_) => {}
        Err(error) => warn!(job = public, %error, "the callback of a job could not be read"),
    }
}

/// Sends a job's callback, with retries, and records the outcome.
async fn send(app: Arc<App>, row: JobRow) {
    let Some(callback) = &row.callback else { return };
    let mut state = CallbackState::GivenUp;
    // The operator may have removed the origin from the setting since the job was submitted.
    let allowed = app.callbacks.check(&callback.url).is_ok();
    if let Some(client) = app.callbacks.client.as_ref().filter(|_| allowed) {
        let mut job = Job::of(&app, &row);
        job.callback = None;
        for delay in RETRY_DELAYS.iter().map(Some).chain([None]) {
            let response = client.post(&callback.url).json(&job).send().await;
            if response.is_ok_and(|response| response.status().is_success()) {
                state = CallbackState::Delivered;
                break;
            }
            let Some(seconds) = delay else { break };
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
        }
    }
    if state == CallbackState::GivenUp {
        events::callback_given_up(&row.public, &callback.url);
    }
    if let Err(error) = app.store.set_callback(&row.public, state).await {
        warn!(job = row.public, %error, "the callback may be sent again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_origins_are_called() {
        let allowed = ["https://hooks.example.org".into(), "http://127.0.0.1:9000/".into()];
        let callbacks = Callbacks {
            allowed: allowed.iter().map(|a: &String| origin(a).unwrap()).collect(),
            client: None,
        };
        for good in [
            "https://hooks.example.org/a?b=c",
            "https://hooks.example.org:443/",
            "http://127.0.0.1:9000/x",
        ] {
            callbacks.check(good).unwrap();
        }
        for bad in [
            "http://hooks.example.org/",
            "https://hooks.example.org:444/",
            "https://hooks.example.org.evil.org/",
            "https://hooks.example.org@evil.org/",
            "http://127.0.0.1:9001/",
            "file:///etc/passwd",
            "not a url",
        ] {
            assert!(callbacks.check(bad).is_err(), "{bad}");
        }
        assert!(origin("https://a.org/path").is_err() && origin("ftp://a.org").is_err());
    }
}
