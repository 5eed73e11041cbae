//! Measures forwarding without the rest of the program, for profilers: the arguments are numbers of
//! subscribers, `runs=N` and `seconds=N`.

#![expect(clippy::print_stdout, reason = "the report is the output")]

use salono_bench::forward::{self, ForwardOptions};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = ForwardOptions::default();
    let mut subscribers = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some(("runs", runs)) => options.runs = runs.parse()?,
            Some(("seconds", seconds)) => options.length = Duration::from_secs(seconds.parse()?),
            Some((name, _)) => return Err(format!("there is no option {name}").into()),
            None => subscribers.push(argument.parse()?),
        }
    }
    if !subscribers.is_empty() {
        options.subscribers = subscribers;
    }
    println!("{}", forward::run(&options)?.print());
    Ok(())
}
