//! The program that processors run: where it is, and what it is started with.

use super::ProcessorConfig;
use crate::os::process::{Launch, Process};
use socket2::{Domain, Socket, Type};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Name of the program.
pub const NAME: &str = "salono-processor";

/// What it needs of the system, as Debian names it.
pub const PACKAGES: &str = "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
     gstreamer1.0-plugins-ugly gstreamer1.0-libav";

/// Asked of the kernel for each direction of media: some messages of the largest size.
const MEDIA_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// What of our environment a processor gets; a star stands for any ending.
const PASSED_ON: [&str; 11] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "XDG_*",
    "SSL_CERT_*",
    "GST_*",
    "RUST_*",
    "LD_LIBRARY_PATH",
];

/// Where GStreamer, and its loader of plugins in Python, look for plugins.
const PLUGIN_PATHS: [&str; 2] = ["GST_PLUGIN_PATH_1_0", "GST_PLUGIN_PATH"];

/// Credentials that only a processor that may write there gets.
const CREDENTIALS: (&str, &str) = ("s3", "AWS_*");

/// Keeps libraries from what they would look for on a desktop: settings and mounts by way of D-Bus.
const NO_DESKTOP: [&CStr; 2] = [c"GSETTINGS_BACKEND=memory", c"GIO_USE_VFS=local"];

/// Tells the program how much memory it may have, in bytes.
const MEMORY: &str = "SALONO_SANDBOX_MEMORY";

/// Tell it what it keeps of the files, as lists like `PATH`.
const READ: &str = "SALONO_SANDBOX_READ";
const WRITE: &str = "SALONO_SANDBOX_WRITE";

/// A program that was started, and our ends.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) control: UnixStream,
    pub(super) media: OwnedFd,
    pub(super) output: UnixStream,
}

/// Where the program of processors is: as configured, else beside the running program, else in `PATH`.
///
/// # Errors
/// Says what mends it.
pub fn find(configured: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = configured {
        return match path.is_file() {
            true => Ok(path.to_owned()),
            false => Err(format!(
                "there is no {}; see processor.path of the configuration",
                path.display()
            )),
        };
    }
    let beside = std::env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(NAME))
        .find(|program| program.is_absolute() && program.is_file());
    found.ok_or_else(|| {
        format!(
            "there is no {NAME} beside this program or in PATH; install it and \
             the packages {PACKAGES}"
        )
    })
}

/// Starts the program.
///
/// # Errors
/// When the system has no more of something, or the file is no program.
pub(super) fn start(program: &Path, config: &ProcessorConfig) -> io::Result<Started> {
    let (control, its_control) = UnixStream::pair()?;
    control.set_nonblocking(true)?;
    let (media, its_media) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    for socket in [&media, &its_media] {
        enlarge(socket);
    }
    let (output, its_output) = UnixStream::pair()?;
    output.set_nonblocking(true)?;
    let environment = environment(std::env::vars_os(), config);
    let launch = Launch {
        program,
        arguments: &[],
        environment: &environment,
        output: its_output.as_fd(),
        descriptors: &[its_control.as_fd(), its_media.as_fd()],
    };
    Ok(Started {
        process: launch.start()?,
        control,
        media: media.into(),
        output,
    })
}

/// More than the system allows takes a privilege that we may have.
fn enlarge(socket: &Socket) {
    let set = socket.set_send_buffer_size(MEDIA_BUFFER_BYTES);
    let set = set.and_then(|()| socket.set_recv_buffer_size(MEDIA_BUFFER_BYTES));
    if let Err(error) = set {
        tracing::debug!(%error, "media sockets keep their small buffers");
    }
}

/// `NAME=value` of everything that a processor gets.
fn environment(
    ours: impl Iterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    config: &ProcessorConfig,
) -> Vec<CString> {
    let (scheme, credentials) = CREDENTIALS;
    let writes_there = config.policy.write_schemes.iter().any(|it| it == scheme);
    let passed_on = PASSED_ON.iter().chain(writes_there.then_some(&credentials));
    let passed_on: Vec<&str> = passed_on.copied().collect();
    let mut environment = vec![];
    let ours: Vec<_> = ours
        .map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned()))
        .collect();
    let plugins = plugin_path(&config.modules, ours.iter().cloned());
    for (name, value) in &ours {
        if plugins.is_some() && PLUGIN_PATHS.iter().any(|it| name == it) {
            continue;
        }
        let (name, value) = (name.as_bytes(), value.as_bytes());
        if passed_on.iter().any(|pattern| matches(name, pattern)) {
            environment.extend(CString::new([name, b"=", value].concat()));
        }
    }
    for name in PLUGIN_PATHS {
        let pair = plugins
            .iter()
            .map(|path| [name.as_bytes(), b"=", path.as_bytes()].concat());
        environment.extend(pair.flat_map(CString::new));
    }
    environment.extend(NO_DESKTOP.map(CString::from));
    environment.extend(CString::new(format!("{MEMORY}={}", config.memory_bytes)));
    let policy = &config.policy;
    for (name, roots) in [(READ, &policy.read_roots), (WRITE, &policy.write_roots)] {
        match std::env::join_paths(roots) {
            Ok(list) => environment.extend(CString::new(
                [name.as_bytes(), b"=", list.as_bytes()].concat(),
            )),
            Err(error) => tracing::warn!(name, %error, "directories of processors"),
        }
    }
    environment
}

/// The list of directories that GStreamer looks for plugins in beside its own: those of modules, then those of the
/// environment. `None` without modules, which leaves the environment's.
#[must_use]
pub fn plugin_path(
    modules: &[PathBuf],
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Option<OsString> {
    if modules.is_empty() {
        return None;
    }
    // GStreamer takes the first of the two that is set.
    let set: Vec<_> = environment.collect();
    let known = PLUGIN_PATHS
        .iter()
        .find_map(|name| set.iter().find(|(known, _)| known == name));
    let known = known.map(|(_, paths)| std::env::split_paths(paths).collect::<Vec<_>>());
    let all = modules.iter().cloned().chain(known.unwrap_or_default());
    std::env::join_paths(all)
        .inspect_err(|error| tracing::warn!(%error, "directories of modules"))
        .ok()
}

/// Makes the directories that may be written, as a processor that gives up all files keeps only those that are there.
pub(super) fn make_roots(config: &ProcessorConfig) {
    for root in &config.policy.write_roots {
        if let Err(error) = std::fs::create_dir_all(root) {
            tracing::warn!(root, %error, "cannot make a directory for recordings");
        }
    }
}

fn matches(name: &[u8], pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning.as_bytes()),
        None => name == pattern.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salono_media_api::processing::bridge::UriPolicy;

    #[test]
    fn a_processor_learns_no_secret_of_our_environment() {
        let ours = [
            ("PATH", "/bin"),
            ("PATHS", "x"),
            ("LC_ALL", "C"),
            ("SALONO_ADMIN_TOKEN", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("http_proxy", "http://proxy"),
            ("LD_PRELOAD", "x.so"),
        ];
        let mut config = ProcessorConfig {
            memory_bytes: 5,
            policy: UriPolicy {
                read_roots: vec!["/films".to_owned(), "/music".to_owned()],
                ..UriPolicy::default()
            },
            ..ProcessorConfig::default()
        };
        let memory = c"SALONO_SANDBOX_MEMORY=5";
        let got = environment(ours.into_iter(), &config);
        let expected = [
            c"PATH=/bin",
            c"LC_ALL=C",
            NO_DESKTOP[0],
            NO_DESKTOP[1],
            memory,
            c"SALONO_SANDBOX_READ=/films:/music",
            c"SALONO_SANDBOX_WRITE=",
        ];
        assert_eq!(got, expected.map(CString::from));
        config.policy = UriPolicy {
            write_schemes: vec!["s3".to_owned()],
            ..UriPolicy::default()
        };
        let got = environment(ours.into_iter(), &config);
        assert!(got.contains(&c"AWS_SECRET_ACCESS_KEY=secret".to_owned()));
    }

    #[test]
    fn plugins_of_modules_come_before_those_of_the_environment() {
        let config = ProcessorConfig {
            modules: vec!["/m".into(), "/n".into()],
            ..ProcessorConfig::default()
        };
        let ours = [("GST_PLUGIN_PATH", "/old"), ("GST_DEBUG", "1")];
        let got = environment(ours.into_iter(), &config);
        for expected in [
            c"GST_PLUGIN_PATH_1_0=/m:/n:/old",
            c"GST_PLUGIN_PATH=/m:/n:/old",
            c"GST_DEBUG=1",
        ] {
            assert!(got.contains(&expected.to_owned()), "{got:?}");
        }
        assert!(!got.contains(&c"GST_PLUGIN_PATH=/old".to_owned()));
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_its_mend() {
        let told = find(Some(Path::new("/nonexistent/it"))).unwrap_err();
        assert!(told.contains("/nonexistent/it") && told.contains("processor.path"));
        assert_eq!(find(Some(Path::new("/bin/sh"))), Ok("/bin/sh".into()));
    }
}
