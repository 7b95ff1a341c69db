//! Telling a client's own server that a job has ended.
//!
//! Only origins that the operator named are called, and no redirection is followed: a client cannot
//! have the service knock at doors of the operator's network. The body says which job ended and how,
//! and holds no proof and no secret; who wants the proof asks for it with a token. Whether somebody
//! was told is in the journal: after a restart those who wait are told, at least once.

use std::sync::Arc;
use std::time::Duration;

use athanor_store::{CallbackState, JobRow};
use reqwest::{Client, Url, redirect::Policy};
use tracing::warn;

use crate::events;
use crate::problem::{Problem, Reason};
use crate::responses::Job;
use crate::state::App;

/// How long each try may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Waits between tries; after the last one it is given up.
const RETRY_DELAYS: [u64; 5] = [1, 5, 25, 120, 600];
/// Longest URL.
const MAX_URL_BYTES: usize = 2048;

/// Who may be called, and with what.
pub(crate) struct Callbacks {
    allowed: Vec<String>,
    client: Option<Client>,
}

impl Callbacks {
    /// With the origins that the configuration allows.
    pub(crate) fn new(allowed: &[String]) -> Result<Callbacks, String> {
        let allowed: Vec<String> =
            allowed.iter().map(|text| origin(text)).collect::<Result<_, _>>()?;
        let client = match allowed.is_empty() {
            true => None,
            false => {
                // Ends with an error only if there is one already, which is as good.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = Client::builder().timeout(REQUEST_TIMEOUT).redirect(Policy::none());
                Some(client.build().map_err(|error| error.to_string())?)
            }
        };
        Ok(Callbacks { allowed, client })
    }

    /// Whether a client may ask for that one.
    pub(crate) fn check(&self, url: &str) -> Result<(), Problem> {
        let refuse = |why: String| Err(Problem::new(Reason::CallbackRefused, why));
        if url.len() > MAX_URL_BYTES {
            return refuse(format!("a callback's URL has at most {MAX_URL_BYTES} bytes"));
        }
        let Ok(url) = Url::parse(url) else {
            return refuse("the callback is no URL".into());
        };
        let origin = url.origin().ascii_serialization();
        match self.allowed.contains(&origin) {
            true => Ok(()),
            false => refuse(format!(
                "callbacks to {origin} are not allowed here: the operator names origins in `callbacks`"
            )),
        }
    }
}

/// `https://host:port`, as URLs are compared by.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no origin such as https://hooks.example.org");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.path() == "/";
    match is_origin && url.query().is_none() && url.username().is_empty() {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(wrong()),
    }
}

/// Tells those whom nobody told before the service stopped.
pub(crate) async fn deliver_pending(app: Arc<App>) {
    match app.store.pending_callbacks().await {
        Ok(rows) => rows.into_iter().for_each(|row| _ = tokio::spawn(send(app.clone(), row))),
        Err(error) => warn!(%error, "waiting callbacks could not be read"),
    }
}

/// Tells of a job that has just ended, if somebody wants to know.
pub(crate) async fn deliver(app: Arc<App>, public: &str) {
    match app.store.job(public).await {
        Ok(Some(row)) if row.callback.is_some() && row.ended.is_some() => send(app, row).await,
        Ok(_) => {}
        Err(error) => warn!(job = public, %error, "the callback of a job could not be read"),
    }
}

async fn send(app: Arc<App>, row: JobRow) {
    let Some(callback) = &row.callback else { return };
    let mut state = CallbackState::GivenUp;
    // The operator may have taken the origin from the list since, or all of them.
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
