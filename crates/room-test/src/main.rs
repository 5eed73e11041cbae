//! `salono-room-test`: fakes in a room of a running server, from a shell.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use salono_room_client::Trust;
use salono_room_test::{Crowd, FakeError, Film, FilmError, Options, joins};

/// Fake participants for video rooms: real signalling, real media
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  salono-room-test fakes --insecure wss://localhost:8443/room garden --count 3
        three fakes in the room \"garden\", until Ctrl-C
  salono-room-test fakes ws://localhost:8080/room garden --film cat.ivf --seconds 30 --check
        one that shows a film of its own for half a minute, and fails if it does not see everybody
  salono-room-test joins ws://localhost:8080/room --count 100
        how long it takes to enter a room until the first picture

  ffmpeg -i cat.mp4 -an -c:v libvpx cat.ivf       makes a film of most files"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fakes enter a room, publish a film and watch everybody
    Fakes(Fakes),
    /// Measures the time from entering a room to the first picture
    Joins(Joins),
}

#[derive(Debug, Args)]
struct Target {
    /// The room server, as wss://host:8443/room
    url: String,
    /// Accept any certificate, as a self-signed one
    #[arg(long)]
    insecure: bool,
    /// Token for servers that ask for one (`salono token` mints it)
    #[arg(
        long,
        value_name = "JWT",
        env = "SALONO_ROOM_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// Film that they show, an IVF file; a test picture otherwise
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Fakes {
    #[command(flatten)]
    target: Target,
    /// The room
    room: String,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: usize,
    /// Their names, followed by a number
    #[arg(long, value_name = "TEXT", default_value = "user")]
    name: String,
    /// Leave after so long; otherwise at Ctrl-C
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Fail unless all see each other before they leave
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Args)]
struct Joins {
    #[command(flatten)]
    target: Target,
    /// The room; a new one is best
    #[arg(long, value_name = "NAME", default_value = "salono-room-test")]
    room: String,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: usize,
}

/// How long fakes may take until they see each other.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Fake(#[from] FakeError),
    #[error("{path}: {error}")]
    Film { path: String, error: FilmError },
    #[error("certificates: {0}")]
    Trust(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Fakes(fakes) => run(&fakes).await,
        Command::Joins(joins) => measure(&joins).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

impl Target {
    fn options(&self, room: &str) -> Result<Options, Failure> {
        let mut options = Options::new(&self.url, room);
        if let Some(path) = &self.film {
            let film = Film::open(path).map_err(|error| Failure::Film {
                path: path.display().to_string(),
                error,
            })?;
            options.film = Some(film);
        }
        if self.insecure {
            let anybody = Trust::anybody().map_err(|error| Failure::Trust(error.to_string()));
            options.trust = anybody?;
        }
        options.token.clone_from(&self.token);
        Ok(options)
    }
}

async fn run(args: &Fakes) -> Result<(), Failure> {
    let options = args.target.options(&args.room)?;
    let crowd = Crowd::join(&options, &args.name, args.count).await?;
    if args.check {
        crowd.all_see_each_other(PATIENCE).await?;
    }
    say(&format!("{} in {}", args.count, args.room));
    let end = tokio::signal::ctrl_c();
    match args.seconds {
        Some(seconds) => drop(tokio::time::timeout(Duration::from_secs(seconds), end).await),
        None => drop(end.await),
    }
    for member in crowd.members() {
        for (stream, seen) in member.watched() {
            let (user, pictures, sounds) = (member.user(), seen.pictures, seen.sounds);
            say(&format!(
                "{user}: {pictures} pictures and {sounds} packets of sound of {stream}"
            ));
        }
    }
    crowd.leave().await;
    Ok(())
}

async fn measure(args: &Joins) -> Result<(), Failure> {
    let options = args.target.options(&args.room)?;
    let serial = joins::one_after_the_other(&options, args.count).await?;
    let parallel = joins::all_at_once(&options, args.count).await?;
    say(joins::table(&serial, &parallel).trim_end());
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this is what the person asked for")]
fn say(text: &str) {
    println!("{text}");
}

#[allow(
    clippy::print_stderr,
    reason = "this is for the person at the terminal"
)]
fn complain(error: &Failure) {
    eprintln!("{error}");
}
