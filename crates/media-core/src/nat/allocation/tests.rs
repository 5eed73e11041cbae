//! What servers may answer besides yes.
#![expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]

use super::*;
use crate::egress::Egress;
use crate::nat::message::{Class, Key, Message, Method, Writer, attribute};
use crate::network::Requests;
use rand::{SeedableRng, rngs::StdRng};
use salono_media_api::ServerAddress;

const RELAY: SocketId = SocketId(0xf000);
const NONCE: &[u8] = b"nonce";

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// An allocation and the place of its server.
struct Bench {
    allocation: Allocation,
    relays: Relays,
    egress: Egress,
    requests: Requests,
    rng: StdRng,
    now: Instant,
    sockets: u16,
}

impl Bench {
    fn new() -> Self {
        let settings = TurnServer {
            server: ServerAddress {
                host: "192.0.2.1".to_owned(),
                port: 3478,
            },
            transport: TurnTransport::Udp,
            username: "user".to_owned(),
            password: "secret".to_owned(),
        };
        let locals = vec![addr("10.0.0.1:0").ip()];
        let mut bench = Self {
            allocation: Allocation::new(RELAY, settings, locals),
            relays: Relays::default(),
            egress: Egress::with_arena(1 << 16),
            requests: Requests::default(),
            rng: StdRng::from_seed([3; 32]),
            now: Instant::now(),
            sockets: 0,
        };
        bench.act(|allocation, _, io| allocation.resolved(&[addr("192.0.2.1:0").ip()], io));
        bench.serve();
        bench
    }

    fn act<T>(&mut self, action: impl FnOnce(&mut Allocation, &mut Relays, &mut Io<'_>) -> T) -> T {
        let mut io = Io {
            egress: &mut self.egress,
            requests: &mut self.requests,
            now: self.now,
            rng: &mut self.rng,
        };
        action(&mut self.allocation, &mut self.relays, &mut io)
    }

    /// Binds and closes sockets as asked; returns how many were closed.
    fn serve(&mut self) -> usize {
        let mut closed = 0;
        while let Some(request) = self.requests.poll() {
            match request {
                NetworkRequest::BindUdp { request, ip, .. } => {
                    self.sockets += 1;
                    let local = SocketAddr::new(ip, 40_000 + self.sockets);
                    let sockets = vec![(SocketId(self.sockets), local)];
                    let event = NetworkEvent::Bound { request, sockets };
                    self.act(|allocation, relays, io| {
                        allocation.handle_network(&event, relays, io)
                    });
                }
                NetworkRequest::Close { .. } => closed += 1,
                other @ (NetworkRequest::Connect { .. }
                | NetworkRequest::Resolve { .. }
                | NetworkRequest::Disconnect { .. }) => panic!("nobody asked for {other:?}"),
            }
        }
        closed
    }

    /// The newest request: where it went, and what it was.
    fn sent(&mut self) -> (SocketAddr, Vec<u8>) {
        let out = *self.egress.datagrams().last().expect("a request");
        let range = out.start as usize..(out.start + out.len) as usize;
        let bytes = self.egress.bytes()[range].to_vec();
        self.egress.clear();
        (out.remote, bytes)
    }

    fn answer(&mut self, response: &[u8]) -> bool {
        let message = Message::parse(response).expect("a message");
        self.act(|allocation, relays, io| allocation.handle_response(&message, relays, io))
    }

    /// Answers the newest request with an error.
    fn refuse(&mut self, code: u16, add: impl FnOnce(Writer) -> Writer) {
        let (_, request) = self.sent();
        let request = Message::parse(&request).expect("a request");
        let code = [0, 0, (code / 100) as u8, (code % 100) as u8];
        let writer = Writer::new(request.method, Class::Error, request.id)
            .attribute(attribute::ERROR_CODE, &code);
        assert!(self.answer(&add(writer).finish()));
    }

    fn challenge(&mut self) {
        self.refuse(401, |writer| {
            writer
                .attribute(attribute::REALM, b"realm")
                .attribute(attribute::NONCE, NONCE)
        });
    }

    /// Answers the newest request with success, signed with a password.
    fn accept(&mut self, password: &str) -> bool {
        let (_, request) = self.sent();
        let request = Message::parse(&request).expect("a request");
        assert!(request.is_signed(&Key::new("user", "realm", "secret")));
        let response = Writer::new(request.method, Class::Success, request.id)
            .xor_address(attribute::XOR_RELAYED_ADDRESS, addr("192.0.2.1:50000"))
            .xor_address(attribute::XOR_MAPPED_ADDRESS, addr("203.0.113.1:40001"))
            .attribute(attribute::LIFETIME, &600_u32.to_be_bytes())
            .sign(&Key::new("user", "realm", password));
        self.answer(&response)
    }

    fn is_ready(&self) -> bool {
        matches!(self.allocation.status(), Status::Ready { .. })
    }
}

#[test]
fn success_that_is_not_signed_with_our_password_is_none() {
    let mut bench = Bench::new();
    bench.challenge();
    assert!(!bench.accept("forged"));
    assert_eq!(bench.allocation.status(), Status::Pending);
}

#[test]
fn other_server_is_asked_when_the_first_names_it_but_not_for_ever() {
    let mut bench = Bench::new();
    let other = [0, 1, 0x0d, 0x96, 192, 0, 2, 7];
    for _ in 0..3 {
        bench.refuse(300, |writer| {
            writer.attribute(attribute::ALTERNATE_SERVER, &other)
        });
        assert_eq!(bench.serve(), 1, "the old socket is closed");
        assert_eq!(bench.allocation.status(), Status::Pending);
    }
    assert_eq!(
        bench.egress.datagrams().last().expect("one").remote,
        addr("192.0.2.7:3478")
    );
    bench.refuse(300, |writer| {
        writer.attribute(attribute::ALTERNATE_SERVER, &other)
    });
    assert_eq!(bench.allocation.status(), Status::Failed);
}

#[test]
fn port_that_somebody_allocated_with_before_is_left_once() {
    let mut bench = Bench::new();
    bench.challenge();
    bench.refuse(437, |writer| writer);
    assert_eq!((bench.serve(), bench.sockets), (1, 2));
    assert!(bench.accept("secret") && bench.is_ready());
}

#[test]
fn credentials_that_do_not_fit_and_quotas_end_the_attempt() {
    for code in [401, 441, 486, 508, 400] {
        let mut bench = Bench::new();
        bench.challenge();
        bench.refuse(code, |writer| {
            writer
                .attribute(attribute::REALM, b"realm")
                .attribute(attribute::NONCE, NONCE)
        });
        assert_eq!(bench.allocation.status(), Status::Failed, "{code}");
        assert_eq!(bench.serve(), 1, "nothing stays open");
    }
}

#[test]
fn old_nonce_is_replaced_a_few_times_only() {
    let mut bench = Bench::new();
    bench.challenge();
    for _ in 0..3 {
        bench.refuse(438, |writer| writer.attribute(attribute::NONCE, b"newer"));
        assert_eq!(bench.allocation.status(), Status::Pending);
    }
    bench.refuse(438, |writer| writer.attribute(attribute::NONCE, b"newest"));
    assert_eq!(bench.allocation.status(), Status::Failed);
}

#[test]
fn refused_refresh_and_vanished_allocation_end_the_relay() {
    for code in [437, 438, 500] {
        let mut bench = Bench::new();
        bench.challenge();
        assert!(bench.accept("secret"));
        assert!(bench.relays.wrap(RELAY, addr("198.51.100.1:9")).is_some());
        bench.now = bench.allocation.poll_timeout().expect("a refresh");
        bench.act(|allocation, relays, io| allocation.handle_timeout(relays, io));
        let (_, request) = bench.sent();
        let method = Message::parse(&request).expect("a request").method;
        assert_eq!(method, Method::Refresh);
        let id = Message::parse(&request).expect("a request").id;
        let response = Writer::new(method, Class::Error, id)
            .attribute(
                attribute::ERROR_CODE,
                &[0, 0, (code / 100) as u8, (code % 100) as u8],
            )
            .finish();
        assert!(bench.answer(&response));
        assert_eq!(bench.allocation.status(), Status::Failed, "{code}");
        assert!(bench.relays.wrap(RELAY, addr("198.51.100.1:9")).is_none());
        assert_eq!(bench.serve(), 1);
    }
}

#[test]
fn channel_that_is_not_bound_leaves_the_longer_way() {
    let mut bench = Bench::new();
    bench.challenge();
    assert!(bench.accept("secret"));
    let peer = addr("198.51.100.1:9");
    let long = bench.relays.wrap(RELAY, peer).expect("a way").head();
    bench.act(|allocation, _, io| allocation.want(peer, Want::Permission, io));
    assert!(bench.accept("secret"));
    bench.act(|allocation, _, io| allocation.want(peer, Want::Channel, io));
    bench.refuse(403, |writer| writer);
    assert_eq!(bench.relays.wrap(RELAY, peer).expect("a way").head(), long);
    assert!(bench.is_ready());
    bench.act(|allocation, _, io| allocation.want(peer, Want::Channel, io));
    assert!(bench.accept("secret"));
    assert_eq!(bench.relays.wrap(RELAY, peer).expect("a way").head(), 4);
}
