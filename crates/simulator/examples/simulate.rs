//! `cargo run -p athanor-simulator --example simulate -- FILE.toml [OUT.svg] [key=value ...]`
#![allow(clippy::print_stdout)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("name a scenario file")?;
    let (settings, out): (Vec<_>, Vec<_>) = args.partition(|a| a.contains('='));
    let text = std::fs::read_to_string(file)?;
    let scenario = athanor_simulator::Scenario::with_settings(&text, &settings)?;
    let report = athanor_simulator::simulate(&scenario)?;
    print!("{report}");
    if let Some(out) = out.first() {
        std::fs::write(out, report.to_svg())?;
    }
    Ok(())
}
