//! `athanor circuits` against a service.

use reqwest::Method;
use serde_json::Value;

use super::{
    Service,
    args::{CircuitOfService, Remote},
    segment,
};
use crate::{failure::Failure, output::answer};

/// Lists the circuits of the service.
pub(crate) fn list(remote: &Remote) -> Result<(), Failure> {
    let response = Service::of(remote)?.ask(Method::GET, "/v1/circuits")?;
    if remote.json {
        answer(&response.to_string());
        return Ok(());
    }
    response["circuits"].as_array().into_iter().flatten().for_each(line);
    Ok(())
}

/// Asks the service to load a circuit; returns before the circuit is ready.
pub(crate) fn load(args: &CircuitOfService) -> Result<(), Failure> {
    ask(args, "load")
}

/// Asks the service to unload a circuit.
pub(crate) fn unload(args: &CircuitOfService) -> Result<(), Failure> {
    ask(args, "unload")
}

fn ask(args: &CircuitOfService, verb: &str) -> Result<(), Failure> {
    let path = format!("/v1/circuits/{}/{verb}", segment(&args.name));
    let circuit = Service::of(&args.remote)?.ask(Method::POST, &path)?;
    match args.remote.json {
        true => answer(&circuit.to_string()),
        false => line(&circuit),
    }
    Ok(())
}

fn line(circuit: &Value) {
    let part = |name: &str| circuit[name].as_str().unwrap_or("-");
    let key = if circuit["key_resident"] == true { "key in memory" } else { "" };
    let (system, curve) = (part("proof_system"), part("curve"));
    let words = format!("{:<24} {:<9} {system} {curve}  {key}", part("name"), part("state"));
    answer(words.trim_end());
    if let Some(why) = circuit["reason"].as_str() {
        answer(&format!("  {why}"));
    }
}
