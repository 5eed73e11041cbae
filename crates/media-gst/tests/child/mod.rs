//! The other side of seam C: starts the real processor, talks to it, and exchanges packets with it.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

use salono_media_api::processing::bridge::*;
use salono_media_api::processing::frames::{self, Frame, push_credit, push_packet};
use salono_media_api::processing::*;
use salono_media_api::*;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Nothing in these tests takes this long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Child {
    process: std::process::Child,
    control: UnixStream,
    media: Arc<OwnedFd>,
    events: Receiver<BridgeEvent>,
    kept: VecDeque<BridgeEvent>,
    /// Newest counts of decoders and encoders.
    pub(crate) load: (u32, u32),
    pub(crate) packets: Receiver<(Instant, Vec<u8>)>,
    next_token: u64,
}

#[allow(unsafe_code, reason = "socketpair(2) of this type has no safe face")]
fn seqpacket() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: room for two descriptors, which are owned by nobody else.
    unsafe {
        assert_eq!(
            libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()),
            0
        );
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}

pub(crate) fn policy() -> UriPolicy {
    UriPolicy {
        read_roots: vec![std::env::temp_dir().to_str().unwrap().to_owned()],
        write_roots: vec![std::env::temp_dir().to_str().unwrap().to_owned()],
        overwrite: false,
        private_addresses: true,
        read_schemes: ["http", "https", "rtsp", "rtmp", "srt"]
            .map(str::to_owned)
            .to_vec(),
        write_schemes: ["http", "https", "s3"].map(str::to_owned).to_vec(),
        elements: Vec::new(),
    }
}

impl Child {
    pub(crate) fn start() -> Self {
        Self::start_with(policy())
    }

    pub(crate) fn start_with(policy: UriPolicy) -> Self {
        Self::start_with_plugins(policy, &[])
    }

    /// With plugins of GStreamer beside those of the system.
    #[allow(unsafe_code, reason = "descriptors of the child have fixed numbers")]
    pub(crate) fn start_with_plugins(policy: UriPolicy, plugins: &[std::path::PathBuf]) -> Self {
        let (control, theirs) = UnixStream::pair().unwrap();
        let (media, their_media) = seqpacket();
        let mut command = Command::new(env!("CARGO_BIN_EXE_salono-processor"));
        command.stdin(Stdio::null()).stdout(Stdio::inherit());
        // What it keeps of the files is decided before it is told the policy.
        let roots = |roots: &[String]| std::env::join_paths(roots).unwrap();
        command.env(salono_sandbox::READ, roots(&policy.read_roots));
        command.env(salono_sandbox::WRITE, roots(&policy.write_roots));
        if !plugins.is_empty() {
            for name in ["GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0"] {
                command.env(name, std::env::join_paths(plugins).unwrap());
            }
        }
        let (c, m) = (theirs.as_raw_fd(), their_media.as_raw_fd());
        // SAFETY: only system calls that may be used between fork and exec. The copies above 10 keep one from
        // covering the other.
        unsafe {
            command.pre_exec(move || {
                let c = libc::fcntl(c, libc::F_DUPFD, 10);
                let m = libc::fcntl(m, libc::F_DUPFD, 10);
                libc::dup2(c, CONTROL_FD);
                libc::dup2(m, MEDIA_FD);
                libc::close(c);
                libc::close(m);
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let process = command.spawn().unwrap();
        drop((theirs, their_media));
        let (sender, events) = channel();
        let lines = BufReader::new(control.try_clone().unwrap());
        std::thread::spawn(move || {
            for line in lines.lines() {
                let Ok(line) = line else { return };
                let event = serde_json::from_str(&line).expect("events are JSON");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let media = Arc::new(media);
        let (sender, packets) = channel();
        let socket = Arc::clone(&media);
        std::thread::spawn(move || {
            let mut buffer = vec![0; frames::MAX_MESSAGE];
            loop {
                // SAFETY: the buffer is valid for its length.
                let length = unsafe {
                    libc::recv(
                        socket.as_raw_fd(),
                        buffer.as_mut_ptr().cast(),
                        buffer.len(),
                        0,
                    )
                };
                if length <= 0 {
                    return;
                }
                let mut taken = 0;
                for frame in frames::read(&buffer[..length as usize]) {
                    if let Frame::Packet(packet) = frame {
                        taken += packet.len() as u32;
                        let _ = sender.send((Instant::now(), packet.to_vec()));
                    }
                }
                if taken > 0 {
                    let mut grant = Vec::new();
                    assert!(push_credit(&mut grant, taken));
                    transmit(&socket, &grant);
                }
            }
        });
        let mut child = Self {
            process,
            control,
            media,
            events,
            kept: VecDeque::new(),
            load: (0, 0),
            packets,
            next_token: 1,
        };
        child.wait(|event| (*event == BridgeEvent::Ready { version: VERSION }).then_some(()));
        child.tell(&BridgeCommand::Begin {
            version: VERSION,
            policy,
        });
        child
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn tell(&mut self, command: &BridgeCommand) {
        let mut line = serde_json::to_vec(command).unwrap();
        line.push(b'\n');
        self.control.write_all(&line).unwrap();
    }

    pub(crate) fn write_raw(&mut self, bytes: &[u8]) {
        self.control.write_all(bytes).unwrap();
    }

    /// Waits for an event that `which` takes; others are kept for later waits.
    pub(crate) fn wait<T>(&mut self, mut which: impl FnMut(&BridgeEvent) -> Option<T>) -> T {
        for at in 0..self.kept.len() {
            if let Some(found) = which(&self.kept[at]) {
                self.kept.remove(at);
                return found;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    if let BridgeEvent::Load { decoders, encoders } = event {
                        self.load = (decoders, encoders);
                    }
                    if let Some(found) = which(&event) {
                        return found;
                    }
                    self.kept.push_back(event);
                }
                Err(RecvTimeoutError::Timeout) => panic!("nothing came but {:?}", self.kept),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended after {:?}", self.kept),
            }
        }
    }

    /// Takes in what was reported so far.
    pub(crate) fn catch_up(&mut self) {
        self.tell(&BridgeCommand::Ping);
        self.wait(|event| (*event == BridgeEvent::Pong).then_some(()));
    }

    /// Events that were not waited for.
    pub(crate) fn kept(&mut self) -> Vec<BridgeEvent> {
        self.catch_up();
        self.kept.drain(..).collect()
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn reply(&mut self, wanted: Token) -> Result<ProcessorReply, MediaError> {
        self.wait(|event| match event {
            BridgeEvent::Replied { token, result } if *token == wanted => Some(result.clone()),
            _ => None,
        })
    }

    pub(crate) fn try_create(&mut self, key: u64, spec: ProcessorSpec) -> Result<(), MediaError> {
        let token = self.token();
        self.tell(&BridgeCommand::Create {
            token: Some(token),
            element: ElementKey(key),
            spec,
            resume: None,
        });
        self.reply(token).map(|_| ())
    }

    pub(crate) fn create(&mut self, key: u64, spec: ProcessorSpec) {
        self.try_create(key, spec).unwrap();
    }

    pub(crate) fn call(
        &mut self,
        key: u64,
        call: ProcessorCall,
    ) -> Result<ProcessorReply, MediaError> {
        let token = self.token();
        self.tell(&BridgeCommand::Call {
            token,
            element: ElementKey(key),
            call,
        });
        self.reply(token)
    }

    pub(crate) fn event(&mut self, key: u64, wanted: &ProcessorEvent) {
        self.wait(|event| {
            let BridgeEvent::Element { element, event } = event else {
                return None;
            };
            (*element == ElementKey(key) && event == wanted).then_some(())
        });
    }

    pub(crate) fn error(&mut self, key: u64) -> ProcessorError {
        self.wait(|event| match event {
            BridgeEvent::Element {
                element,
                event: ProcessorEvent::Error(error),
            } if *element == ElementKey(key) => Some(error.clone()),
            _ => None,
        })
    }

    pub(crate) fn open_inlet(&mut self, key: u32, kind: MediaKind, format: RtpFormat) {
        self.tell(&BridgeCommand::OpenInlet {
            inlet: InletKey(key),
            kind,
            format,
        });
    }

    pub(crate) fn open_outlet(
        &mut self,
        key: u32,
        origin: Origin,
        kind: MediaKind,
        format: RtpFormat,
    ) {
        self.tell(&BridgeCommand::OpenOutlet {
            outlet: OutletKey(key),
            origin,
            kind,
            format,
        });
    }

    pub(crate) fn link(&mut self, sink: u64, kind: MediaKind, source: Origin) {
        self.tell(&BridgeCommand::Link {
            sink: ElementKey(sink),
            kind,
            source: Some(source),
        });
    }

    pub(crate) fn send(&self, packet: &[u8]) {
        send(&self.media, packet);
    }

    pub(crate) fn sender(&self) -> impl Fn(&[u8]) + Send + Sync + 'static {
        let media = Arc::clone(&self.media);
        move |packet| send(&media, packet)
    }

    /// The next packet of this SSRC (RTP).
    pub(crate) fn rtp(&self, ssrc: u32) -> (Instant, Vec<u8>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, packet) = self.packets.recv_timeout(left).expect("packets come");
            let is_rtp = !(192..=223).contains(&packet[1]);
            if is_rtp && packet[8..12] == ssrc.to_be_bytes() {
                return (at, packet);
            }
        }
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) -> std::process::ExitStatus {
        self.tell(&BridgeCommand::End);
        self.process.wait().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn send(media: &OwnedFd, packet: &[u8]) {
    let mut message = Vec::new();
    assert!(push_packet(&mut message, packet));
    transmit(media, &message);
}

#[allow(unsafe_code, reason = "send(2) on a SOCK_SEQPACKET socket")]
fn transmit(media: &OwnedFd, message: &[u8]) {
    // SAFETY: the message is valid for its length.
    unsafe {
        libc::send(
            media.as_raw_fd(),
            message.as_ptr().cast(),
            message.len(),
            libc::MSG_NOSIGNAL,
        )
    };
}

pub(crate) fn format(codec: &str, payload_type: u8, clock_rate: u32, channels: u8) -> RtpFormat {
    RtpFormat {
        codec: codec.to_owned(),
        payload_type,
        clock_rate,
        channels,
        parameters: String::new(),
    }
}

/// A pipeline that makes RTP and sends it into an inlet until it is dropped.
pub(crate) struct Source {
    pipeline: gstreamer::Pipeline,
}

impl Source {
    /// `text` ends with a payloader; packets go to the inlet.
    pub(crate) fn start(child: &Child, text: &str) -> Self {
        Self::start_into(text, child.sender())
    }

    /// The same, with something between it and the inlet.
    pub(crate) fn start_into(text: &str, send: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        use gstreamer::prelude::*;
        gstreamer::init().unwrap();
        let text = format!("{text} ! appsink name=out sync=false async=false");
        let pipeline = gstreamer::parse::launch(&text).unwrap();
        let pipeline: gstreamer::Pipeline = pipeline.downcast().unwrap();
        let exit = pipeline.by_name("out").unwrap();
        let exit: gstreamer_app::AppSink = exit.downcast().unwrap();
        exit.set_callbacks(
            gstreamer_app::AppSinkCallbacks::builder()
                .new_sample(move |exit| {
                    let sample = exit.pull_sample().map_err(|_| gstreamer::FlowError::Eos)?;
                    let buffer = sample.buffer().unwrap().map_readable().unwrap();
                    send(&buffer);
                    Ok(gstreamer::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.set_state(gstreamer::State::Playing).unwrap();
        Self { pipeline }
    }

    pub(crate) fn keyframe(&self) {
        use gstreamer::prelude::*;
        let event = gstreamer_video::UpstreamForceKeyUnitEvent::builder().build();
        self.pipeline.by_name("out").unwrap().send_event(event);
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        use gstreamer::prelude::*;
        let _ = self.pipeline.set_state(gstreamer::State::Null);
    }
}
