//! `cargo run -p athanor-simulator --example plan -- FILE.toml [key=value ...]`
#![allow(clippy::print_stdout)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("name a scenario file")?;
    let settings: Vec<String> = args.collect();
    let text = std::fs::read_to_string(file)?;
    let scenario = athanor_simulator::Scenario::with_settings(&text, &settings)?;
    print!("{}", athanor_simulator::plan(&scenario)?);
    Ok(())
}
