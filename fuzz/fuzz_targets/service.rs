//! The service: an input is all that one connection says, whatever version of HTTP that is.
//!
//! The service runs in this process, with journal and engine and without circuits: what is tried is
//! the way of a request up to the circuit, whose own readers have targets of their own. A panic on
//! any of its threads ends the run.

#![no_main]

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::OnceLock,
    time::Duration,
};

use athanor_server::{Config, Limits, serve};
use libfuzzer_sys::fuzz_target;

fn socket() -> &'static PathBuf {
    static STARTED: OnceLock<PathBuf> = OnceLock::new();
    STARTED.get_or_init(|| {
        let place = std::env::temp_dir().join(format!("athanor-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(place.join("circuits")).expect("a directory");
        let socket = place.join("socket");
        let limits = Limits { header_seconds: 1, body_seconds: 1, ..Limits::default() };
        let config = Config {
            circuits: place.join("circuits"),
            data: place.join("data"),
            listen: "127.0.0.1:0".parse().expect("an address"),
            socket: Some(socket.clone()),
            limits,
            ..Config::default()
        };
        std::thread::spawn(move || serve(config, Vec::new()).expect("it serves"));
        while UnixStream::connect(&socket).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        socket
    })
}

fuzz_target!(|bytes: &[u8]| {
    let mut stream = UnixStream::connect(socket()).expect("it listens");
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
});
