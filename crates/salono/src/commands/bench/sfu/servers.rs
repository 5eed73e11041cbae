//! Servers under test, each a process of its own that ends with its turn.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use salono_bench::Pacer;
use salono_bench::load::Server;
use salono_bench::process;
use serde_json::Value;

use super::on_cores;
use super::target::Target;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause before something that changes by itself is looked at again.
const LOOK: Duration = Duration::from_millis(5);

/// What servers are started with.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Media threads of Salono.
    pub(crate) shards: usize,
    /// Cores for servers; none means all.
    pub(crate) cores: Vec<usize>,
    /// What `make bench-peers` has filled.
    pub(crate) peers: PathBuf,
}

impl Surroundings {
    /// A folder of configuration of Janus, and the port of its WebSocket listener there.
    pub(super) fn janus(&self, name: &str) -> io::Result<(PathBuf, u16)> {
        let folder = self.peers.join(name);
        let text = fs::read_to_string(folder.join("janus.transport.websockets.jcfg"));
        let absent = || {
            io::Error::other(format!(
                "Janus is not set up in {}: run make bench-peers, or say where with --peers",
                folder.display()
            ))
        };
        let text = text.map_err(|_| absent())?;
        let port = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("ws_port = ")?.parse().ok())
            .ok_or_else(absent)?;
        Ok((folder, port))
    }
}

/// A server that can be called.
pub(super) struct RunningServer {
    address: Server,
    process: Option<u32>,
    /// Ours, if we started it.
    _child: Option<EndsWithTurn>,
}

impl RunningServer {
    /// Starts one, or finds the one that runs.
    pub(super) fn start(target: &Target, surroundings: &Surroundings) -> io::Result<Self> {
        match target {
            Target::Salono(None) => start_salono(&env::current_exe()?, surroundings),
            Target::Salono(Some(file)) => start_salono(&file.canonicalize()?, surroundings),
            Target::Janus | Target::JanusLoops => start_janus(&target.to_string(), surroundings),
            Target::Floor | Target::DeafFloor => start_floor(surroundings),
            Target::Url(url) => Ok(Self {
                address: Server::Kurento(url.clone()),
                process: local_port(url).and_then(process::listening_on),
                _child: None,
            }),
        }
    }

    /// Where it is and what it speaks.
    pub(super) fn address(&self) -> &Server {
        &self.address
    }

    /// Its process, if that is on this machine.
    pub(super) fn process(&self) -> Option<u32> {
        self.process
    }

    fn of(child: EndsWithTurn, address: Server) -> Self {
        Self {
            address,
            process: Some(child.child.id()),
            _child: Some(child),
        }
    }
}

/// A child with a folder of its own; both go away with it.
struct EndsWithTurn {
    child: Child,
    folder: Option<PathBuf>,
}

impl Drop for EndsWithTurn {
    fn drop(&mut self) {
        // It may have ended by itself, and nothing in the folder is of value.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Starts a child on these cores; on all of them when there are none.
pub(super) fn spawn_on(cores: &[usize], command: &mut Command) -> io::Result<Child> {
    on_cores(cores, || command.spawn())
}

/// `salono media` on free loopback ports, with default settings.
fn start_salono(program: &Path, surroundings: &Surroundings) -> io::Result<RunningServer> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("salono-bench-sfu-{}-{number}", std::process::id());
    let folder = env::temp_dir().join(name);
    fs::create_dir_all(&folder)?;
    let ports = folder.join("ports.json");
    let mut command = Command::new(program);
    command
        .arg("media")
        .args(["--kurento", "127.0.0.1:0", "--media-ip", "127.0.0.1"])
        .args(["--log", "error", "--shards"])
        .arg(surroundings.shards.to_string())
        .arg("--ports-file")
        .arg(&ports)
        .arg("--data-dir")
        .arg(&folder)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SALONO_") {
            command.env_remove(name);
        }
    }
    let mut child = EndsWithTurn {
        child: spawn_on(&surroundings.cores, &mut command)?,
        folder: Some(folder),
    };
    let ports = wait_for(&mut child.child, || {
        let text = fs::read_to_string(&ports).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    })?;
    let text = |name: &str| ports[name].as_str().unwrap_or_default().to_owned();
    let url = format!("ws://{}{}", text("kurento"), text("kurento_path"));
    Ok(RunningServer::of(child, Server::Kurento(url)))
}

/// Janus with the configuration of `make bench-peers`.
fn start_janus(name: &str, surroundings: &Surroundings) -> io::Result<RunningServer> {
    let (folder, port) = surroundings.janus(name)?;
    let mut command = Command::new("janus");
    command
        .arg("--configs-folder")
        .arg(&folder)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = spawn_on(&surroundings.cores, &mut command).map_err(|error| {
        io::Error::other(format!(
            "cannot start janus ({error}): run make bench-peers"
        ))
    })?;
    let mut child = EndsWithTurn {
        child,
        folder: None,
    };
    wait_for(&mut child.child, || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    })?;
    let url = format!("ws://127.0.0.1:{port}");
    Ok(RunningServer::of(child, Server::Janus(url)))
}

/// The bare forwarder: this program again.
fn start_floor(surroundings: &Surroundings) -> io::Result<RunningServer> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["bench", "forwarder"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = EndsWithTurn {
        child: spawn_on(&surroundings.cores, &mut command)?,
        folder: None,
    };
    let stdout = child.child.stdout.take();
    let stdout = stdout.ok_or_else(|| io::Error::other("the forwarder says nothing"))?;
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address)?;
    let address = address.trim().parse().map_err(io::Error::other)?;
    Ok(RunningServer::of(child, Server::Floor(address)))
}

/// Waits until a server is there.
fn wait_for<T>(child: &mut Child, mut look: impl FnMut() -> Option<T>) -> io::Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!(
                "the server ended at once: {status}"
            )));
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("the server does not start"));
        }
        Pacer::start().wait_until(LOOK);
    }
}

/// The port of a URL that leads to this machine.
fn local_port(url: &str) -> Option<u16> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    ["127.0.0.1", "localhost", "[::1]"]
        .contains(&host)
        .then(|| port.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_of_this_machine_have_a_process_to_look_at() {
        assert_eq!(local_port("ws://127.0.0.1:8888/kurento"), Some(8_888));
        assert_eq!(local_port("ws://localhost:80"), Some(80));
        assert_eq!(local_port("ws://media1:8888/kurento"), None);
        assert_eq!(local_port("nonsense"), None);
    }

    #[test]
    fn absent_janus_names_what_to_run() {
        let surroundings = Surroundings {
            shards: 1,
            cores: Vec::new(),
            peers: "/nowhere".into(),
        };
        let error = surroundings.janus("janus").unwrap_err().to_string();
        assert!(error.contains("make bench-peers"), "{error}");
    }
}
