//! HTTP client of a running service: `athanor submit`, `athanor jobs`, `athanor circuits`.

pub mod args;
pub(crate) mod circuits;
pub(crate) mod jobs;
pub(crate) mod submit;

use std::{env, fs, path::Path, time::Duration};

use reqwest::{
    Certificate, Method, StatusCode,
    blocking::{Client, RequestBuilder, Response},
    redirect::Policy,
};
use serde_json::Value;

use crate::{
    failure::{Failure, Kind},
    output::Files,
};
use args::{Out, Remote};

/// A client of one service.
pub(crate) struct Service {
    client: Client,
    base: String,
    token: Option<String>,
}

impl Service {
    /// Prepares the client; sends nothing yet.
    pub(crate) fn of(remote: &Remote) -> Result<Service, Failure> {
        // An error only means that a provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |error: reqwest::Error| Failure::new(Kind::Service, error);
        // No total timeout: a watcher waits for a proof, which may take long.
        let mut client = Client::builder()
            .timeout(None)
            .connect_timeout(Duration::from_secs(10))
            .redirect(Policy::none());
        if let Some(path) = &remote.ca {
            let pem = fs::read(path).map_err(|error| Failure::at(Kind::Unreadable, path, error))?;
            let trusted = Certificate::from_pem_bundle(&pem).map_err(unusable)?;
            client = client.tls_certs_only(trusted);
        }
        let base = match remote.server.strip_prefix("unix:") {
            Some(path) => {
                client = client.unix_socket(Path::new(path));
                "http://localhost".to_owned()
            }
            None => remote.server.trim_end_matches('/').to_owned(),
        };
        let token = match &remote.token_file {
            Some(path) => Some(
                fs::read_to_string(path)
                    .map_err(|error| Failure::at(Kind::Unreadable, path, error))?,
            ),
            None => env::var("ATHANOR_TOKEN").ok(),
        };
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Ok(Service { client: client.build().map_err(unusable)?, base, token })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request. An error response becomes a [`Failure`].
    fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = request.send().map_err(|error| {
            let why = innermost(&error);
            Failure::new(Kind::Service, format_args!("{} does not answer: {why}", self.base))
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        Err(problem(status, &answer.text().unwrap_or_default()))
    }

    fn ask(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let answer = self.send(self.request(method, path))?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let text = answer.text().map_err(broken)?;
        serde_json::from_str(&text).map_err(broken)
    }
}

/// The message of an error's root cause, which is the most specific one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Service, format_args!("the service's response cannot be read: {error}"))
}

/// The failure that an error response describes.
fn problem(status: StatusCode, body: &str) -> Failure {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let (title, detail) = (problem["title"].as_str(), problem["detail"].as_str());
    let kind = kind_of(title.unwrap_or_default());
    match detail {
        Some(detail) if problem["retriable"] == true => {
            Failure::new(kind, format_args!("{detail} (retriable: try again)"))
        }
        Some(detail) => Failure::new(kind, detail),
        None => Failure::new(kind, format_args!("the service answered with status {status}")),
    }
}

/// The kind for an error code of the service or of a failed job.
fn kind_of(reason: &str) -> Kind {
    match reason {
        "invalid-witness" => Kind::BadInput,
        "circuit-not-found" | "circuit-not-ready" => Kind::BadCircuit,
        "does-not-fit" => Kind::DoesNotFit,
        "out-of-memory" => Kind::OutOfMemory,
        other => Kind::named(other).unwrap_or(Kind::Service),
    }
}

/// Percent-encodes text so that it stays one path segment or one query value.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    // `.` and `..` alone would be resolved as path steps.
    match text.chars().all(|c| c == '.') {
        true => text.replace('.', "%2E"),
        false => text.bytes().map(encode).collect(),
    }
}

/// Writes proof and public signals as snarkjs does; on failure, neither file.
fn write_result(out: &Out, result: &str) -> Result<(), Failure> {
    let bundle = athanor_circom::circuit::ProofBundle::from_bytes(result.as_bytes());
    let bundle = bundle.map_err(broken)?;
    let mut files = Files::default();
    files.add(&out.proof, bundle.proof().as_bytes())?;
    files.add(&out.public, bundle.public().as_bytes())?;
    files.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_typed_stays_one_segment_of_the_path() {
        assert_eq!(segment("a/../b?c=d#e"), "a%2F..%2Fb%3Fc%3Dd%23e");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("merkle-20_v1.2"), "merkle-20_v1.2");
    }

    #[test]
    fn a_problem_keeps_its_words_and_gets_an_exit_code() {
        let body =
            r#"{"title":"invalid-witness","detail":"signal x is missing","retriable":false}"#;
        let failure = problem(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::BadInput, "signal x is missing")
        );
        assert_eq!(problem(StatusCode::BAD_GATEWAY, "<html>").kind, Kind::Service);
    }
}
