//! Contents of the log, and secrets that it must not contain.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    generator,
    service::{PATIENCE, Reply, Service, place},
};

/// A number that occurs only in secrets, in decimal and in hexadecimal.
const SECRET: &str = "7730195328190547023316089955021477";
const SECRET_HEX: &str = "17d20c83aba2a66a85ab1a0bdf2a5";

fn id(reply: Reply) -> String {
    reply.is(202).json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_value_of_a_failing_jobs_input_is_in_no_line_of_the_log() {
    assert_eq!(format!("{:x}", SECRET.parse::<u128>().unwrap()), SECRET_HEX);
    // A circuit whose error message quotes its input.
    let place = generator::place(&format!("a is {SECRET}"));
    let origin = "http://127.0.0.1:9";
    let config = place.write("serve.toml", format!("callbacks = [\"{origin}\"]\n"));
    let mut command = Service::command(&place);
    command.arg("--config").arg(&config).args(["--log", "trace", "--log-format", "json"]);
    let service = Service::run(&mut command).unwrap().ready("slow");
    let submit = |input: &str| {
        service.post("/v1/jobs", format!("{{\"circuit\":\"slow\",\"input\":{input}}}").as_bytes())
    };

    let failing = format!("{{\"a\":\"{SECRET}\"}}");
    let job = id(submit(&failing));
    service.result(&job).problem(422, "invalid-witness");
    // The job's tenant gets the message.
    let told = service.get(&format!("/v1/jobs/{job}")).is(200).body;
    assert!(told.contains(SECRET) && told.contains("unsatisfied"), "{told}");

    // The same for a refused input or request.
    submit(&format!("{{\"a\":\"{SECRET}x\"}}")).is(422);
    let unknown = id(submit(&format!("{{\"a\":\"1\",\"{SECRET}\":\"1\"}}")));
    service.result(&unknown).problem(422, "invalid-witness");
    submit(&format!("{{\"a\":{SECRET}.5}}")).is(422);
    service.post("/v1/jobs", format!("{{\"circuit\":\"slow\",{SECRET}").as_bytes()).is(400);
    service.post("/v1/jobs", format!("{{\"circuit\":\"{SECRET}\",\"input\":{{}}}}").as_bytes());
    let query = |query: &str| {
        service.call("POST", &format!("/v1/jobs?{query}"), &[], failing.as_bytes()).status
    };
    assert_eq!(query(&format!("circuit=slow&kind={SECRET}")), 422);
    assert_eq!(query(&format!("circuit=slow&class={SECRET}")), 400);
    assert_eq!(query(&format!("circuit=slow&nothing={SECRET}")), 400);
    let token = format!("Bearer {SECRET}");
    let headers = [("Authorization", token.as_str()), ("Idempotency-Key", SECRET)];
    let called = format!(
        "{{\"circuit\":\"slow\",\"input\":{failing},\"callback\":\"{origin}/{SECRET}?{SECRET}\"}}"
    );
    let job = id(service.call("POST", "/v1/jobs", &headers, called.as_bytes()));
    service.result(&job).problem(422, "invalid-witness");
    service.hear("\"job failed\"", 3);

    let said = service.said("");
    for line in &said {
        assert!(!line.contains(SECRET) && !line.contains(SECRET_HEX), "{line}");
        let line: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
        for field in ["timestamp", "level", "target"] {
            assert!(line[field].is_string(), "{field} in {line}");
        }
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    // The log has the failure with its code.
    let failed = service.said("\"job failed\"").remove(0);
    let failed: Value = serde_json::from_str(&failed).unwrap();
    assert_eq!(failed["target"], "athanor_server::jobs");
    let fields = &failed["fields"];
    assert_eq!((&fields["code"], &fields["circuit"]), (&"unsatisfied".into(), &"slow".into()));
    assert!(service.said("job runs").len() > 1, "stages are told at this level");
    assert!(service.said("request refused").len() > 1, "so are refusals");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_jobs_life_is_in_the_log_and_levels_go_by_target() {
    let (place, witness) = place();
    let text = |filter: &str| format!("[log]\nfilter = \"{filter}\"\n");
    let config = place.write("serve.toml", text("info"));
    let service = Service::start(&place, Some(&config)).ready("tiny");
    assert!(service.hear("circuit loaded", 1)[0].contains("circuit=\"tiny\""));
    let job = id(service.submit(&witness, &[]));
    service.result(&job).is(200);
    let accepted = service.hear("job accepted", 1).remove(0);
    for word in [" INFO ", "athanor_server::jobs", &job, "class=\"normal\"", "bytes=268"] {
        assert!(accepted.contains(word), "{word} in {accepted}");
    }
    assert!(service.hear("job complete", 1)[0].contains(&job));
    assert_eq!(service.said(" DEBUG "), [""; 0]);

    // Another filter, without a restart.
    let levels = "warn,athanor_server::jobs=debug,athanor_server::requests=debug";
    place.write("serve.toml", text(levels));
    service.signal("-HUP");
    let until = Instant::now() + PATIENCE;
    while service.said("job runs").is_empty() {
        assert!(Instant::now() < until);
        let job = id(service.submit(&witness, &[]));
        service.result(&job).is(200);
    }
    assert!(service.hear("stage took", 1)[0].contains("stage=\"prove\""));

    // Many refused requests cause one line per second.
    let began = Instant::now();
    let refused = 200;
    for _ in 0..refused {
        service.post("/v1/jobs?circuit=none&kind=wtns", &witness).problem(404, "circuit-not-found");
    }
    let lines = service.hear("request refused", 1);
    assert!(lines.len() as u64 <= began.elapsed().as_secs() + 1, "{lines:?}");
    // The next line after a pause has their number.
    std::thread::sleep(Duration::from_millis(1100));
    service.post("/v1/jobs?circuit=none&kind=wtns", &witness).problem(404, "circuit-not-found");
    let lines = service.hear("request refused", lines.len() + 1);
    let suppressed = lines.iter().map(|line| {
        let number = line.split_once("suppressed=").unwrap().1.split(' ').next().unwrap();
        number.parse::<usize>().unwrap()
    });
    assert_eq!(suppressed.sum::<usize>() + lines.len(), refused + 1);
    assert_eq!(service.terminate(), Some(0));

    let misspelt = place.write("wrong.toml", text("inof"));
    let misspelt = misspelt.to_str().unwrap();
    place.run(["config", "check", "--config", misspelt]).fails(26, "inof");
    let printed = place.run_with([("ATHANOR_LOG", "debug")], ["config", "print"]).ok().stdout;
    assert!(printed.contains("filter = \"debug\"") && printed.contains("format = \"text\""));
    let printed = place.run_with([("ATHANOR_LOG", "debug")], ["config", "print", "--log", "warn"]);
    assert!(printed.ok().stdout.contains("filter = \"warn\""));
}
