//! `salono bench sfu`: forwarding, side by side with other servers.
//!
//! For each scenario and each run the servers take turns, so that what disturbs the machine disturbs all. A turn starts
//! the server as a process of its own and the load as another, both this program or both not, so that the CPU time and
//! the memory of the one say nothing of the other.

mod servers;
mod target;

use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum};
use salono_bench::load::{self, Job, Outcome, Scenario};
use salono_bench::scoreboard::{Row, Scoreboard, Section};
use salono_bench::{Pacer, floor};
use salono_media_engine::os::{confine_thread, thread_cores};

use crate::failure::Failure;
use servers::{RunningServer, Surroundings};
use target::Target;

/// How often the number of subscribers is tried that takes a certain load, and for how long.
const LOAD_STEPS: usize = 6;
const LOAD_SECONDS: u64 = 3;

/// How near to it is near enough.
const LOAD_TOLERANCE: f64 = 0.03;

/// What the load may take to begin and to end.
const WINDING_UP: Duration = Duration::from_secs(60);

/// Of `salono bench sfu`.
#[derive(Debug, Args)]
pub(crate) struct SfuArgs {
    /// A server to measure (repeatable): salono, salono=FILE for another build of it, janus or janus-loops (see
    /// `make bench-peers`), floor for the least that forwarding can cost, floor-deaf for the same without feedback of receivers, or the ws:// URL of a Kurento media server that runs
    #[arg(long, value_name = "SERVER", default_values_t = [Target::Salono(None), Target::Floor])]
    target: Vec<Target>,
    /// What happens (repeatable)
    #[arg(long, value_enum, value_name = "NAME", default_values_t = [ScenarioName::OneToMany])]
    scenario: Vec<ScenarioName>,
    /// Numbers of subscribers to the one publisher
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', default_values_t = [50])]
    subscribers: Vec<usize>,
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 12)]
    rooms: usize,
    /// Participants of each room, who watch each other
    #[arg(long, value_name = "N", default_value_t = 8)]
    room_size: usize,
    /// Participants of the audio conference, who hear each other
    #[arg(long, value_name = "N", default_value_t = 100)]
    speakers: usize,
    /// Runs of each server, alternating with the others
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// Length of what is measured in each run
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Media threads of Salono; with several numbers it takes a turn with each
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', default_values_t = [1])]
    shards: Vec<usize>,
    /// Find the number of subscribers, from the given one on, with which the first server uses this much of a core
    #[arg(long, value_name = "PER CENT", value_parser = clap::value_parser!(u8).range(10..=95))]
    load: Option<u8>,
    /// How long it may take until everybody has joined; a server that takes longer did not finish
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    patience: u64,
    /// Cores for the servers; the load gets the others [default: wherever there is room]
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    server_cores: Vec<usize>,
    /// Receivers that decrypt all they get and measure latency
    #[arg(long, value_name = "N", default_value_t = 4)]
    sampled: usize,
    /// Threads that the other receivers share
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Receivers that tell the server nothing for its congestion control: all of them get everything, however busy this
    /// machine is
    #[arg(long)]
    no_feedback: bool,
    /// Folder that `make bench-peers` has filled [default: peers beside the folder of this program]
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
    /// Write the scoreboard to this file instead
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// End with an error when a packet is lost
    #[arg(long)]
    lossless: bool,
}

/// Names of scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScenarioName {
    /// One publishes audio and video, many watch
    OneToMany,
    /// Rooms in which everybody publishes audio and video and watches all others
    Rooms,
    /// One room in which everybody publishes audio and hears all others
    Audio,
}

/// Measures. Returns the scoreboard, unless it went to a file, and who lost packets although nobody may.
pub(super) fn measure(args: &SfuArgs) -> Result<(String, Vec<String>), Failure> {
    let board = run(args).map_err(Failure::system("cannot measure"))?;
    let mut lossy = Vec::new();
    for section in board.sections.iter().filter(|_| args.lossless) {
        let rows = section.rows.iter().filter(|row| !row.is_lossless());
        lossy.extend(rows.map(|row| format!("{}, {}", row.server, section.scenario)));
    }
    let text = board.print();
    let Some(path) = &args.out else {
        return Ok((text, lossy));
    };
    fs::write(path, text).map_err(Failure::system("cannot write the file of --out"))?;
    Ok((String::new(), lossy))
}

/// The bare forwarder alone.
pub(super) fn measure_floor() -> Result<String, Failure> {
    let args = SfuArgs {
        target: vec![Target::Floor],
        scenario: vec![ScenarioName::OneToMany],
        subscribers: vec![10, 50, 200],
        rooms: 0,
        room_size: 0,
        speakers: 0,
        runs: 3,
        seconds: 3,
        shards: vec![1],
        load: None,
        patience: 180,
        server_cores: Vec::new(),
        sampled: 4,
        threads: 1,
        no_feedback: false,
        peers: None,
        out: None,
        lossless: false,
    };
    measure(&args).map(|(text, _)| text)
}

fn run(args: &SfuArgs) -> io::Result<Scoreboard> {
    let entrants = args.entrants()?;
    for entrant in &entrants {
        entrant.target.check(&entrant.surroundings)?;
    }
    let mut sections = Vec::new();
    for scenario in args.scenarios() {
        let scenario = match (args.load, entrants.first()) {
            (Some(percent), Some(first)) => loaded(args, first, scenario, percent)?,
            (_, _) => scenario,
        };
        let rows = entrants.iter().map(|entrant| Row {
            server: entrant.name.clone(),
            runs: Vec::new(),
        });
        let mut rows: Vec<_> = rows.collect();
        for run in 0..args.runs {
            for (entrant, row) in entrants.iter().zip(&mut rows) {
                progress(&format!("{scenario}, run {}, {}", run + 1, entrant.name));
                let result = measure_once(args, entrant, scenario, args.seconds);
                row.runs.push(result.map_err(|error| error.to_string()));
            }
        }
        sections.push(Section { scenario, rows });
    }
    Ok(Scoreboard {
        command: command_line(),
        notes: args.notes(),
        sections,
    })
}

/// A server that takes turns with others.
struct Entrant<'a> {
    name: String,
    target: &'a Target,
    surroundings: Surroundings,
}

/// The scenario with as many subscribers as it takes for a server to use so much of a core.
fn loaded(
    args: &SfuArgs,
    entrant: &Entrant<'_>,
    scenario: Scenario,
    percent: u8,
) -> io::Result<Scenario> {
    let Scenario::OneToMany { mut subscribers } = scenario else {
        return Ok(scenario);
    };
    let wanted = f64::from(percent) / 100.0;
    for _ in 0..LOAD_STEPS {
        let scenario = Scenario::OneToMany { subscribers };
        let outcome = measure_once(args, entrant, scenario, LOAD_SECONDS)?;
        let busy = outcome.server_cpu.unwrap_or_default().as_secs_f64();
        let share = busy / outcome.measured.as_secs_f64();
        progress(&format!("{scenario}: {:.0} % of a core", share * 100.0));
        if (share - wanted).abs() <= LOAD_TOLERANCE || share <= 0.0 {
            break;
        }
        // Fixed costs weigh less with more of them, so that this comes near from below.
        let next = subscribers as f64 * (wanted / share).clamp(0.25, 2.0);
        subscribers = next.round().max(1.0) as usize;
    }
    Ok(Scenario::OneToMany { subscribers })
}

/// One run of one server.
fn measure_once(
    args: &SfuArgs,
    entrant: &Entrant<'_>,
    scenario: Scenario,
    seconds: u64,
) -> io::Result<Outcome> {
    let server = RunningServer::start(entrant.target, &entrant.surroundings)?;
    let job = Job {
        server: server.address().clone(),
        process: server.process(),
        scenario,
        seconds: seconds as f64,
        patience: args.patience as f64,
        threads: args.threads,
        sampled: args.sampled,
        feedback: !args.no_feedback && *entrant.target != Target::DeafFloor,
    };
    let all = thread_cores()?;
    let others: Vec<_> = all
        .iter()
        .copied()
        .filter(|core| !args.server_cores.contains(core))
        .collect();
    let cores = if others.is_empty() { &all } else { &others };
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["bench", "load"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut load = servers::spawn_on(cores, &mut command)?;
    let job = serde_json::to_vec(&job)?;
    if let Some(mut stdin) = load.stdin.take() {
        stdin.write_all(&job)?;
    }
    let output = load.wait_with_output()?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.trim().trim_start_matches("salono: ").to_owned();
        return Err(io::Error::other(why));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// `salono bench load`: a job comes in, an outcome goes out.
pub(super) fn load() -> Result<String, Failure> {
    let run = || -> io::Result<String> {
        let mut job = String::new();
        io::stdin().read_to_string(&mut job)?;
        let job: Job = serde_json::from_str(&job)?;
        // Whatever hangs, this does not.
        let longest = Duration::from_secs_f64(job.patience + job.seconds) + WINDING_UP;
        std::thread::spawn(move || {
            Pacer::start().wait_until(longest);
            let _ = writeln!(
                io::stderr(),
                "did not finish: no end after {} s",
                longest.as_secs()
            );
            std::process::exit(1);
        });
        let outcome = load::run(&job).map_err(io::Error::other)?;
        Ok(serde_json::to_string(&outcome)?)
    };
    run().map_err(Failure::system("the load failed"))
}

/// `salono bench forwarder`: the bare forwarder, until the end of the standard input.
pub(super) fn forwarder() -> Result<String, Failure> {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // Whoever started it is gone.
        std::process::exit(0);
    });
    floor::serve(|address| writeln!(io::stdout(), "{address}"))
        .map_err(Failure::system("cannot forward"))?;
    Ok(String::new())
}

/// Where `make bench-peers` puts things when the program was built by `make`.
fn default_peers() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.parent().and_then(|folder| folder.parent());
    Ok(target.map_or_else(|| "peers".into(), |target| target.join("peers")))
}

/// How to call for the same again.
fn command_line() -> String {
    let arguments = env::args().skip(1);
    std::iter::once("salono".to_owned())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Says what is going on.
fn progress(what: &str) {
    // Of no importance to the result.
    let _ = writeln!(io::stderr(), "{what}");
}

impl SfuArgs {
    /// All servers, each with what it is started with.
    fn entrants(&self) -> io::Result<Vec<Entrant<'_>>> {
        let peers = self.peers.clone().map_or_else(default_peers, Ok)?;
        let with = |target, shards: usize, name| Entrant {
            name,
            target,
            surroundings: Surroundings {
                shards,
                cores: self.server_cores.clone(),
                peers: peers.clone(),
            },
        };
        let mut entrants = Vec::new();
        for target in &self.target {
            let name = target.to_string();
            match (target, self.shards.as_slice()) {
                (Target::Salono(_), several @ [_, _, ..]) => entrants.extend(
                    several
                        .iter()
                        .map(|&shards| with(target, shards, format!("{name}, {shards} threads"))),
                ),
                (_, shards) => {
                    entrants.push(with(target, shards.first().copied().unwrap_or(1), name))
                }
            }
        }
        Ok(entrants)
    }

    /// All that is to be measured, in order.
    fn scenarios(&self) -> Vec<Scenario> {
        let mut scenarios = Vec::new();
        for name in &self.scenario {
            match name {
                ScenarioName::OneToMany => scenarios.extend(
                    self.subscribers
                        .iter()
                        .map(|&subscribers| Scenario::OneToMany { subscribers }),
                ),
                ScenarioName::Rooms => scenarios.push(Scenario::Rooms {
                    rooms: self.rooms,
                    size: self.room_size,
                }),
                ScenarioName::Audio => scenarios.push(Scenario::Audio {
                    size: self.speakers,
                }),
            }
        }
        scenarios
    }

    /// What the figures depend on.
    fn notes(&self) -> Vec<String> {
        let shards: Vec<_> = self.shards.iter().map(usize::to_string).collect();
        let mut notes = vec![
            "each publisher: VP8 at 1.5 Mbit/s, 30 frames a second of 5 or 6 packets, a keyframe four times as large \
             every 3 s; Opus, 50 packets a second of 120 bytes"
                .to_owned(),
            format!(
                "{} alternating runs of {} s; Salono {} with {} media thread{}",
                self.runs,
                self.seconds,
                env!("CARGO_PKG_VERSION"),
                shards.join(" or "),
                if shards == ["1"] { "" } else { "s" }
            ),
        ];
        if let Some(percent) = self.load {
            notes.push(format!(
                "as many subscribers as take {percent} % of a core of the first server"
            ));
        }
        if !self.server_cores.is_empty() {
            let cores: Vec<_> = self.server_cores.iter().map(usize::to_string).collect();
            notes.push(format!(
                "servers confined to core {}, the load to the others",
                cores.join(", ")
            ));
        }
        notes
    }
}

/// Confines what `spawn` starts to these cores; all of them when there are none.
fn on_cores<T>(cores: &[usize], spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if cores.is_empty() {
        return spawn();
    }
    // Children inherit it from the thread that starts them.
    let before = thread_cores()?;
    confine_thread(cores)?;
    let spawned = spawn();
    confine_thread(&before)?;
    spawned
}
