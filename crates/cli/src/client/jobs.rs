//! `athanor jobs`.

use std::io::{BufRead, BufReader};

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Service,
    args::{Jobs, JobsVerb},
    broken, kind_of, segment, write_result,
};
use crate::{
    failure::Failure,
    output::{Progress, answer},
};

/// One event of a watched job.
pub(super) struct Event {
    name: String,
    data: Value,
}

/// Runs the command.
pub(crate) fn run(args: &Jobs) -> Result<(), Failure> {
    let service = Service::of(&args.remote)?;
    let as_json = args.remote.json;
    let progress = Progress::new(as_json);
    let of = |id: &str| format!("/v1/jobs/{}", segment(id));
    match &args.verb {
        JobsVerb::List { limit, before } => {
            let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
            let page = service.ask(Method::GET, &format!("/v1/jobs?limit={limit}{before}"))?;
            list(&page, as_json);
        }
        JobsVerb::Show { id } => show(&service.ask(Method::GET, &of(id))?, as_json),
        JobsVerb::Watch { id } => watch(&service, id, |event| match as_json {
            true => answer(&json!({ "event": event.name, "data": event.data }).to_string()),
            false => say(&progress, event),
        })?,
        JobsVerb::Result { id, out } => {
            let request = service.request(Method::GET, &format!("{}/result", of(id)));
            write_result(out, &service.send(request)?.text().map_err(broken)?)?;
            let (proof, public) = (out.proof.display(), out.public.display());
            progress.say(&format!("wrote {proof} and {public}"));
            if as_json {
                let output = json!({ "id": id, "proof": out.proof, "public": out.public });
                answer(&output.to_string());
            }
        }
        JobsVerb::Cancel { id } => {
            service.ask(Method::DELETE, &of(id))?;
            show(&service.ask(Method::GET, &of(id))?, as_json);
        }
        JobsVerb::Retry { id } => {
            show(&service.ask(Method::POST, &format!("{}/retry", of(id)))?, as_json);
        }
    }
    Ok(())
}

/// Prints each event of a job until the job has ended. Fails if it ended without a proof.
pub(super) fn watch(
    service: &Service,
    id: &str,
    mut on_event: impl FnMut(&Event),
) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{}/events", segment(id));
    let events = service.send(service.request(Method::GET, &path))?;
    let mut name = String::new();
    for line in BufReader::new(events).lines() {
        let line = line.map_err(broken)?;
        if let Some(said) = line.strip_prefix("event:") {
            name = said.trim().to_owned();
        } else if let Some(data) = line.strip_prefix("data:") {
            let event = Event {
                name: std::mem::take(&mut name),
                data: serde_json::from_str(data.trim()).map_err(broken)?,
            };
            on_event(&event);
            match event.name.as_str() {
                "complete" => return Ok(()),
                "ended" => {
                    let reason = event.data["title"].as_str().unwrap_or_default();
                    let detail = event.data["detail"].as_str().unwrap_or("no reason was given");
                    return Err(Failure::new(kind_of(reason), detail));
                }
                _ => {}
            }
        }
    }
    Err(broken("the connection to the service ended; the job continues: run the command again"))
}

/// Prints an event as text.
pub(super) fn say(progress: &Progress, event: &Event) {
    let data = &event.data;
    match (event.name.as_str(), data["stage"].as_str()) {
        ("progress", Some(stage)) => {
            progress.say(&format!("{stage}, {} of {} done", data["done"], data["partitions"]));
        }
        ("progress", None) => progress.say("waiting"),
        ("complete", _) => progress.say("complete"),
        _ => {}
    }
}

fn text<'a>(job: &'a Value, field: &str) -> &'a str {
    job[field].as_str().unwrap_or_default()
}

fn line(job: &Value) -> String {
    format!(
        "{}  {:<15} {:<8} {}",
        text(job, "id"),
        text(job, "state"),
        text(job, "class"),
        text(job, "circuit"),
    )
}

fn list(page: &Value, as_json: bool) {
    if as_json {
        answer(&page.to_string());
        return;
    }
    page["jobs"].as_array().into_iter().flatten().for_each(|job| answer(&line(job)));
    if let Some(next) = page["next"].as_u64() {
        answer(&format!("more: --before {next}"));
    }
}

fn show(job: &Value, as_json: bool) {
    if as_json {
        answer(&job.to_string());
        return;
    }
    answer(&line(job));
    if let Some(error) = job["error"].as_object() {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        answer(&format!("  {}: {}", part("code"), part("detail")));
    }
}
