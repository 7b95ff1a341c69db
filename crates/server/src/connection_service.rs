//! The HTTP service of one connection. It admits requests within the connection limits and marks the connection
//! busy while the service works on a request.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use athanor_engine::Class;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Request, Version, header};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Router};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tower::util::ServiceExt;

use crate::auth::Caller;
use crate::connection_table::{ConnectionId, Rejection, RequestKind};
use crate::connections::{Connections, InFlight};
use crate::problem::{Problem, Reason};
use crate::state::App;

/// The HTTP service of one connection: a router with admission.
#[derive(Clone)]
pub(crate) struct ConnectionService {
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
    pub(crate) connections: Arc<Connections>,
    pub(crate) connection: ConnectionId,
}

impl ConnectionService {
    async fn respond(self, request: Request<Body>) -> Response {
        let health = is_health(request.uri().path());
        let kind = if health { RequestKind::Health } else { RequestKind::Ordinary };
        let mut in_flight = self.connections.begin(self.connection, kind);
        if in_flight.is_err() && is_critical(&self.app, request.headers()) {
            in_flight = self.connections.begin(self.connection, RequestKind::Critical);
        }
        let in_flight = match in_flight {
            Ok(in_flight) => Some(in_flight),
            // The connection was closed after the request arrived. A health response is still sent.
            Err(_) if health => None,
            Err(refusal) => return busy_response(refusal, &request),
        };
        let counts_as_work = !needs_no_token(request.uri().path());
        let routed = self.router.oneshot(request).await;
        let response = routed.unwrap_or_else(|never| match never {});
        let Some(mut in_flight) = in_flight else { return response };
        in_flight.pause();
        response.map(|inner| {
            Body::new(TrackedBody { inner, in_flight: Some(in_flight), counts_as_work })
        })
    }
}

impl<B> tower::Service<Request<B>> for ConnectionService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let response = self.clone().respond(request.map(Body::new));
        Box::pin(async move { Ok(response.await) })
    }
}

/// Whether the path is for health or metrics. These requests are served beyond the limit of ordinary connections.
fn is_health(path: &str) -> bool {
    matches!(path, "/metrics" | "/health" | "/grpc.health.v1.Health/Check")
        || path.starts_with("/health/")
}

/// Whether the path serves streams without a token. An open stream of this kind does not make its connection busy,
/// so the connection can still be closed for a new one.
fn needs_no_token(path: &str) -> bool {
    path.starts_with("/grpc.health.") || path.starts_with("/grpc.reflection.")
}

/// Whether the request's token has the highest class `critical`. False for all requests if the service has no tokens.
fn is_critical(app: &App, headers: &HeaderMap) -> bool {
    let tokens = &app.config().tokens;
    let Some(authorization) = headers.get(header::AUTHORIZATION) else { return false };
    !tokens.is_empty()
        && Caller::authenticate(tokens, authorization.to_str().ok())
            .is_ok_and(|caller| caller.class == Class::Critical)
}

fn busy_response<B>(refusal: Rejection, request: &Request<B>) -> Response {
    let message = match refusal {
        Rejection::Full => "all connections are busy; try again later",
        Rejection::ClientLimit => {
            "all connections of this client are busy; use fewer connections or try again later"
        }
    };
    let problem = Problem::new(Reason::Busy, message);
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return Status::from(problem).into_http();
    }
    let mut response = problem.into_response();
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A response body that tracks who has to act: the service while the body is pending (the connection is busy),
/// the client while a frame waits to be read (the connection is silent).
struct TrackedBody {
    inner: Body,
    in_flight: Option<InFlight>,
    counts_as_work: bool,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let counts_as_work = self.counts_as_work;
        match (&polled, &mut self.in_flight) {
            (Poll::Pending, Some(in_flight)) if counts_as_work => in_flight.resume(),
            (Poll::Ready(Some(_)), Some(in_flight)) => in_flight.pause(),
            (Poll::Ready(None), in_flight) => *in_flight = None,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_health_and_nothing_else_is() {
        for path in
            ["/health", "/health/live", "/health/ready", "/metrics", "/grpc.health.v1.Health/Check"]
        {
            assert!(is_health(path), "{path}");
        }
        for path in ["/", "/healthy", "/metrics/x", "/v1/jobs", "/grpc.health.v1.Health/Watch"] {
            assert!(!is_health(path), "{path}");
        }
    }
}
