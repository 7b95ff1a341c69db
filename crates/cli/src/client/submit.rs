//! `athanor submit`.

use std::{
    fs::File,
    io::{Read, Seek},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Service, args::Submit, broken, jobs, segment, write_result};
use crate::{
    failure::{Failure, Kind},
    output::{Progress, answer},
};

/// Submits an input; with `--wait`, waits for the proof and writes it.
pub(crate) fn run(args: &Submit) -> Result<(), Failure> {
    let progress = Progress::new(args.remote.json);
    let service = Service::of(&args.remote)?;
    let unreadable = |error| Failure::at(Kind::Unreadable, &args.input, error);
    let mut file = File::open(&args.input).map_err(unreadable)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let kind = if magic[..read] == *b"wtns" { "wtns" } else { "json" };
    let mut path = format!("/v1/jobs?kind={kind}&circuit={}", segment(&args.circuit));
    for (name, value) in [
        ("class", args.class.clone()),
        ("deadline_seconds", args.deadline.map(|seconds| seconds.to_string())),
        ("callback", args.callback.clone()),
    ] {
        if let Some(value) = value {
            path += &format!("&{name}={}", segment(&value));
        }
    }
    let mut request = service.request(Method::POST, &path);
    if let Some(key) = &args.idempotency_key {
        request = request.header("Idempotency-Key", key);
    }
    // Streamed from the file, so its size does not matter for memory.
    let accepted = service.send(request.body(file))?.text().map_err(broken)?;
    let accepted: Value = serde_json::from_str(&accepted).map_err(broken)?;
    let id = accepted["id"].as_str().ok_or_else(|| broken("the response has no job id"))?;
    if !args.wait {
        return tell(args.remote.json, id);
    }
    progress.say(&format!("job {id}"));
    jobs::watch(&service, id, |event| jobs::say(&progress, event))?;
    let path = format!("/v1/jobs/{}/result", segment(id));
    let result = service.send(service.request(Method::GET, &path))?.text().map_err(broken)?;
    write_result(&args.out, &result)?;
    let (proof, public) = (args.out.proof.display(), args.out.public.display());
    progress.say(&format!("wrote {proof} and {public}"));
    if args.remote.json {
        let (proof, public) = (&args.out.proof, &args.out.public);
        answer(
            &json!({ "command": "submit", "id": id, "proof": proof, "public": public }).to_string(),
        );
    }
    Ok(())
}

fn tell(as_json: bool, id: &str) -> Result<(), Failure> {
    match as_json {
        true => answer(&json!({ "command": "submit", "id": id }).to_string()),
        // Only the id on its line, for scripts.
        false => answer(id),
    }
    Ok(())
}
