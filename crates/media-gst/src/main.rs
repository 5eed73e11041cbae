//! `salono-processor`: started by Salono with its two sockets; by people only to check an installation.

mod interpose;

use gstreamer as gst;
use salono_media_api::processing::bridge::{CONTROL_FD, MEDIA_FD};
use salono_media_gst::control::Ended;
use salono_media_gst::host::Host;
use salono_media_gst::inbox::Inbox;
use salono_media_gst::media_socket::MediaSocket;
use salono_media_gst::processor::Processor;
use salono_media_gst::reports::{self, Reports};
use salono_media_gst::routes::Routes;
use salono_media_gst::{check, control};
use salono_sandbox::Files;
use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

const HELP: &str = "\
Media processor of Salono. It is started by `salono`, with a control stream as file descriptor 3
and a media socket as file descriptor 4.

  --check      print which GStreamer elements are installed, as JSON
  --elements   print which of the elements that follow there are, with their plugins, as JSON
  --version    print the version
  --help       print this text
";

/// Wrong use of the command line, as in `sysexits.h`.
const USAGE: u8 = 64;

/// Something the process cannot do without is missing.
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => run(),
        (Some("--check"), None) => match gst::init() {
            Ok(()) => say(&format!("{:#}\n", check::report())),
            Err(error) => fail(UNAVAILABLE, &format!("GStreamer: {error}")),
        },
        (Some("--elements"), first) => match gst::init() {
            Ok(()) => {
                let names = first.into_iter().chain(arguments);
                say(&format!("{:#}\n", check::elements(names)))
            }
            Err(error) => fail(UNAVAILABLE, &format!("GStreamer: {error}")),
        },
        (Some("--version" | "-V"), None) => say(concat!(
            "salono-processor ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )),
        (Some("--help" | "-h"), None) => say(HELP),
        (Some(_), _) => fail(USAGE, HELP),
    }
}

fn run() -> ExitCode {
    let (Some(control_stream), Some(media)) = (inherited(CONTROL_FD), inherited(MEDIA_FD)) else {
        return fail(USAGE, HELP);
    };
    if let Err(error) = salono_sandbox::start() {
        return fail(UNAVAILABLE, &error.to_string());
    }
    if let Err(error) = gst::init() {
        return fail(UNAVAILABLE, &format!("GStreamer: {error}"));
    }
    ignore_signals();
    // Before there is a second thread, which would keep what this one gives up.
    match salono_sandbox::confine(&Files::from_environment()) {
        Ok(confined) if confined.files && confined.calls => {}
        Ok(confined) => eprintln!("WARN this system cannot confine a processor: {confined:?}"),
        Err(error) => return fail(UNAVAILABLE, &error.to_string()),
    }
    let Ok(events) = control_stream.try_clone() else {
        return fail(UNAVAILABLE, "no file descriptor left");
    };
    let inbox = Arc::new(Inbox::default());
    let (reports, unread) = Reports::new();
    let host = Host::new(Arc::clone(&inbox), reports, MediaSocket::new(Some(media)));
    let routes = Routes::default();
    let processor = Processor::new(host.clone(), routes.clone());

    let control = thread::Builder::new().name("control".into());
    let commands = File::from(control_stream);
    let control = control.spawn(move || {
        if control::read(commands, &inbox) == Ended::Garbage {
            eprintln!("the control stream is garbage");
        }
    });
    let writer = thread::Builder::new().name("events".into());
    let writer = writer.spawn(move || reports::write(&unread, File::from(events)));
    let reader = thread::Builder::new().name("packets".into());
    let reader = reader.spawn(move || routes.read(&host));
    let (Ok(_), Ok(_), Ok(_)) = (control, writer, reader) else {
        return fail(UNAVAILABLE, "no thread can be started");
    };
    processor.run();
    ExitCode::SUCCESS
}

/// The end comes over the control stream, after everything was finished; not from a terminal or a service manager,
/// which tell all processes at once.
#[allow(unsafe_code, reason = "the standard library has no face for signals")]
fn ignore_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGPIPE] {
        // SAFETY: no handler is installed, so none runs.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// A descriptor that the parent left open.
#[allow(
    unsafe_code,
    reason = "descriptors with fixed numbers come from the parent"
)]
fn inherited(fd: i32) -> Option<OwnedFd> {
    // SAFETY: asks for the flags of a descriptor, which may be closed.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    // SAFETY: it is open, and nothing else in this process knows of it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(code: u8, text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(code)
}
