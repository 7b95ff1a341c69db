//! gRPC: the same operations as REST, with health and reflection, on the same port.

mod convert;
mod prover;

use std::sync::Arc;

use axum::Router;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::state::App;
use proto::prover_server::ProverServer;
use prover::Prover;

/// The wire format, compiled from `proto/athanor.proto`: messages, server and client.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::undocumented_unsafe_blocks)]
pub mod proto {
    tonic::include_proto!("athanor.v1");

    /// The file descriptor set, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/athanor.bin"));
}

/// The services, and the reporter of their health.
pub(crate) fn router(app: Arc<App>) -> (Router, HealthReporter) {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::new(ProverServer::new(Prover(app))).add_service(health);
    // Both versions of reflection: older clients support only v1alpha.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    if let Ok(service) = reflection().build_v1() {
        routes = routes.add_service(service);
    }
    if let Ok(service) = reflection().build_v1alpha() {
        routes = routes.add_service(service);
    }
    // The REST fallback handles unknown services: gRPC clients read status 404 as UNIMPLEMENTED.
    (routes.into_axum_router().reset_fallback(), reporter)
}

/// Names in health checks. The empty name stands for the whole server.
const NAMES: [&str; 2] = ["", "athanor.v1.Prover"];

/// Reports whether the service is ready.
pub(crate) async fn set_serving(reporter: &HealthReporter, serving: bool) {
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in NAMES {
        reporter.set_service_status(name, status).await;
    }
}
