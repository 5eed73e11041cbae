//! The command line.

mod kurento;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use figment::value::Value;
use salono_room_token::{Algorithm, Role};

use crate::config::{self, Listen, LogFormat, Setting, Source};

pub(crate) use kurento::{KurentoArgs, arguments};

/// Video calls in rooms: a media server that speaks the Kurento Protocol and a room server that
/// speaks Kurento Room's, in one program.
#[derive(Debug, Parser)]
#[command(
    name = "salono",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Examples:\n  \
        salono serve                     everything, with the demo page on https://localhost:8443\n  \
        salono media --kurento 0.0.0.0:8888    a media server for your application server\n  \
        salono room --kms ws://a:8888/kurento  rooms on media servers that you have\n  \
        salono doctor                    why does it not work?\n\n\
        Every setting is also a key of salono.toml and a SALONO_* variable: `salono config`."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Media server, room server and demo page in one process
    #[command(after_help = "Examples:\n  \
        salono serve\n  \
        salono serve --https 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem\n  \
        salono serve --https off --http 127.0.0.1:8080       behind a proxy that does TLS\n  \
        salono serve --media-port 40000 --announce-ip 203.0.113.7   behind a 1:1 NAT")]
    Serve(ServeArgs),
    /// A media server: the Kurento Protocol on ws://127.0.0.1:8888/kurento
    #[command(after_help = "Examples:\n  \
        salono media\n  \
        salono media --kurento 0.0.0.0:8888 --media-ip 192.0.2.10\n  \
        salono media --conf-file /etc/kurento/kurento.conf.json\n  \
        salono media --kurento-tls 0.0.0.0:8433    wss:// beside ws://\n  \
        salono media --http 127.0.0.1:9090        /healthz and /metrics")]
    Media(MediaOnlyArgs),
    /// A room server on Kurento media servers that run elsewhere
    #[command(after_help = "Examples:\n  \
        salono room --kms ws://media1:8888/kurento --kms ws://media2:8888/kurento\n  \
        salono room --import kurento-room-demo.conf.json")]
    Room(RoomArgs),
    /// Check ports, buffers, limits, certificate and addresses, and say how to mend them
    #[command(after_help = "Examples:\n  \
        salono doctor\n  \
        salono doctor --config /etc/salono/salono.toml\n\n\
        Ends with 1 when something must be mended. Do not run it beside the server that it is to \
        check: the ports would be in use.")]
    Doctor(AllArgs),
    /// Modules of third parties: list them, or generate typed clients
    #[command(after_help = "Examples:\n  \
        salono modules list --modules /opt/modules\n  \
        salono modules client /opt/modules/plates -o src/plates.rs")]
    Modules(ModulesArgs),
    /// Print every setting, its value and where it is from
    #[command(after_help = "Examples:\n  \
        salono config > salono.toml      the output is a configuration file\n  \
        salono config --import /etc/kurento/kurento.conf.json\n  \
        salono config --markdown         the reference, as in docs/config.md")]
    Config(ConfigArgs),
    /// Make tokens that let participants into rooms, and the keys that sign them
    #[command(after_help = "Examples:\n  \
        salono token --new-key eddsa --key-file rooms.json      a key; name it in room.token_keys\n  \
        salono token --key-file rooms.json --room daily --identity ann\n  \
        salono token --key-file rooms.json --room '*' --role moderator --grant record --ttl 12h\n  \
        salono token --key-file rooms.json --public > rooms.pub.json   what servers need\n\n\
        A token goes into joinRoom as the member `token`, or into the WebSocket's URL as ?token=.")]
    Token(TokenArgs),
    /// Measure this program on this machine
    #[command(after_help = "Examples:\n  \
        salono bench startup\n  \
        salono bench floor\n  \
        salono bench leak --endpoints 1000\n  \
        salono bench memory --idle 400 --active 200\n  \
        salono bench recording --recordings 10\n  \
        salono bench sfu --target salono --target floor --subscribers 50,200 --out board.md")]
    Bench(BenchArgs),
}

/// Where the configuration is from, and what concerns every subcommand.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Configuration file [default: ./salono.toml, then /etc/salono/salono.toml]
    #[arg(long, value_name = "FILE", env = "SALONO_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Take over a kurento.conf.json, kurento-room-demo.conf.json or kroombasic.conf.json (repeatable)
    #[arg(
        long,
        value_name = "FILE",
        env = "SALONO_IMPORT",
        value_delimiter = ','
    )]
    pub(crate) import: Vec<PathBuf>,
    /// Folder for what is kept between runs
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What is logged, for example info or warn,salono_room_server=debug
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// HTTP and HTTPS.
#[derive(Debug, Args)]
pub(crate) struct WebArgs {
    /// HTTPS listener, or off [default: 0.0.0.0:8443]
    #[arg(long, value_name = "ADDR")]
    https: Option<Listen>,
    /// Plain listener with the same routes [default: off]
    #[arg(long, value_name = "ADDR")]
    http: Option<Listen>,
    /// Certificate chain of your own, PEM
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

/// The media server.
#[derive(Debug, Args)]
pub(crate) struct MediaArgs {
    /// Listener of the Kurento Protocol, or off [default: 127.0.0.1:8888]
    #[arg(long, value_name = "ADDR")]
    kurento: Option<Listen>,
    /// The same over TLS, or off [default: off]
    #[arg(long, value_name = "ADDR")]
    kurento_tls: Option<Listen>,
    /// Local address for media (repeatable) [default: all but loopback]
    #[arg(long, value_name = "IP")]
    media_ip: Vec<IpAddr>,
    /// UDP port of the first media shard, the next ones follow [default: 0, any]
    #[arg(long, value_name = "PORT")]
    media_port: Option<u16>,
    /// Media threads [default: 0, one per core]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Directory of third-party modules (repeatable)
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
    /// Public address behind a 1:1 NAT (once for IPv4, once for IPv6)
    #[arg(long, value_name = "IP")]
    announce_ip: Vec<IpAddr>,
}

/// Remote media servers.
#[derive(Debug, Args)]
pub(crate) struct KmsArgs {
    /// Media server (repeatable) [default: ws://127.0.0.1:8888/kurento]
    #[arg(long, value_name = "URL")]
    kms: Vec<String>,
}

/// For programs that start this one.
#[derive(Debug, Args)]
pub(crate) struct PortsArgs {
    /// Write the bound addresses as JSON to this file when all listeners are open
    #[arg(long, value_name = "FILE")]
    pub(crate) ports_file: Option<PathBuf>,
}

/// Of `salono serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) web: WebArgs,
    #[command(flatten)]
    pub(crate) media: MediaArgs,
    #[command(flatten)]
    pub(crate) ports: PortsArgs,
}

/// Of `salono media`.
#[derive(Debug, Args)]
pub(crate) struct MediaOnlyArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) media: MediaArgs,
    /// Plain listener for /healthz and /metrics [default: off]
    #[arg(long, value_name = "ADDR")]
    http: Option<Listen>,
    #[command(flatten)]
    pub(crate) ports: PortsArgs,
    #[command(flatten)]
    pub(crate) kurento: KurentoArgs,
}

/// Of `salono room`.
#[derive(Debug, Args)]
pub(crate) struct RoomArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) web: WebArgs,
    #[command(flatten)]
    pub(crate) kms: KmsArgs,
    #[command(flatten)]
    pub(crate) ports: PortsArgs,
}

/// Everything that can be set, for the subcommands that look at all of it.
#[derive(Debug, Args)]
pub(crate) struct AllArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) web: WebArgs,
    #[command(flatten)]
    pub(crate) media: MediaArgs,
    #[command(flatten)]
    pub(crate) kms: KmsArgs,
}

/// Of `salono modules`.
#[derive(Debug, Args)]
pub(crate) struct ModulesArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: ModulesCommand,
}

/// What `salono modules` does.
#[derive(Debug, Subcommand)]
pub(crate) enum ModulesCommand {
    /// Print what modules there are, and what is wrong with them
    List(Box<AllArgs>),
    /// Generate the typed Rust client of the modules in a directory
    Client(ModuleClientArgs),
}

/// Of `salono modules client`.
#[derive(Debug, Args)]
pub(crate) struct ModuleClientArgs {
    /// Directory with the descriptors
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Of `salono config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) all: AllArgs,
    /// Print the reference of all keys instead
    #[arg(long)]
    pub(crate) markdown: bool,
}

/// Of `salono token`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("product").required(true).args(["room", "new_key", "public"]))]
pub(crate) struct TokenArgs {
    /// Key to sign with: a JSON Web Key (Set), PEM, or a secret
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: PathBuf,
    /// Name of the key, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) kid: Option<String>,
    /// Room that the token is for; * for every room
    #[arg(long, value_name = "NAME")]
    pub(crate) room: Option<String>,
    /// User name that its bearer must have [default: any]
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: Option<String>,
    /// What the bearer is there: moderator, publisher or subscriber
    #[arg(long, value_name = "ROLE", default_value_t)]
    pub(crate) role: Role,
    /// What it may do beside what its role says (repeatable)
    #[arg(long, value_name = "GRANT", value_delimiter = ',')]
    pub(crate) grant: Vec<Grant>,
    /// What it may not do, whatever its role says (repeatable)
    #[arg(long, value_name = "GRANT", value_delimiter = ',')]
    pub(crate) deny: Vec<Grant>,
    /// How long the token lets in, as 90s, 30m, 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = crate::commands::token::duration)]
    pub(crate) ttl: Duration,
    /// Make a key instead, and write it to the file, which must not exist
    #[arg(long, value_name = "ALGORITHM", conflicts_with_all = ["room", "public"])]
    pub(crate) new_key: Option<KeyAlgorithm>,
    /// Print the public halves of the file's keys instead
    #[arg(long, conflicts_with = "room")]
    pub(crate) public: bool,
}

/// What `--grant` and `--deny` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Grant {
    /// Send media
    Publish,
    /// Receive media
    Subscribe,
    /// Mute and evict others, lock and close the room
    Moderate,
    /// Have the room recorded
    Record,
}

/// What `--new-key` can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum KeyAlgorithm {
    /// A secret that servers and applications share
    Hs256,
    /// ECDSA on P-256
    Es256,
    /// Ed25519
    Eddsa,
}

impl From<KeyAlgorithm> for Algorithm {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Hs256 => Self::Hs256,
            KeyAlgorithm::Es256 => Self::Es256,
            KeyAlgorithm::Eddsa => Self::EdDsa,
        }
    }
}

/// Of `salono bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub(crate) what: crate::commands::bench::Benchmark,
}

/// What flags say, in terms of configuration keys.
pub(crate) trait Flags {
    /// Adds a setting for each flag that was given.
    fn add_to(&self, settings: &mut Vec<Setting>);

    /// All settings of these flags.
    fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        self.add_to(&mut settings);
        settings
    }
}

/// Adds the value of one flag if it was given.
fn add<T: ToString>(
    settings: &mut Vec<Setting>,
    key: &'static str,
    flag: &'static str,
    value: Option<&T>,
) {
    if let Some(value) = value {
        settings.push(Setting::new(key, value.to_string(), format!("flag {flag}")));
    }
}

/// Adds the values of one repeatable flag if it was given.
fn add_list<T: ToString>(
    settings: &mut Vec<Setting>,
    key: &'static str,
    flag: &'static str,
    values: &[T],
) {
    if !values.is_empty() {
        let values: Vec<Value> = values.iter().map(|v| v.to_string().into()).collect();
        settings.push(Setting::new(key, values, format!("flag {flag}")));
    }
}

impl Flags for CommonArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        let data_dir = self.data_dir.as_ref().map(|path| path.display());
        add(settings, "data_dir", "--data-dir", data_dir.as_ref());
        add(settings, "log.filter", "--log", self.log.as_ref());
        let format = self.log_format.map(|format| match format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        });
        add(settings, "log.format", "--log-format", format.as_ref());
    }
}

impl Flags for WebArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        add(settings, "web.https", "--https", self.https.as_ref());
        add(settings, "web.http", "--http", self.http.as_ref());
        let cert = self.tls_cert.as_ref().map(|path| path.display());
        add(settings, "web.tls_cert", "--tls-cert", cert.as_ref());
        let key = self.tls_key.as_ref().map(|path| path.display());
        add(settings, "web.tls_key", "--tls-key", key.as_ref());
    }
}

impl Flags for MediaArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        add(
            settings,
            "kurento.listen",
            "--kurento",
            self.kurento.as_ref(),
        );
        add(
            settings,
            "kurento.tls_listen",
            "--kurento-tls",
            self.kurento_tls.as_ref(),
        );
        add_list(settings, "media.ips", "--media-ip", &self.media_ip);
        if let Some(port) = self.media_port {
            settings.push(Setting::new("media.port", port, "flag --media-port"));
        }
        if let Some(shards) = self.shards {
            settings.push(Setting::new("media.shards", shards, "flag --shards"));
        }
        let modules: Vec<_> = self.modules.iter().map(|path| path.display()).collect();
        add_list(settings, "modules.path", "--modules", &modules);
        for ip in &self.announce_ip {
            let key = match ip {
                IpAddr::V4(_) => "media.announce_v4",
                IpAddr::V6(_) => "media.announce_v6",
            };
            add(settings, key, "--announce-ip", Some(ip));
        }
    }
}

impl Flags for KmsArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        add_list(settings, "room.kms", "--kms", &self.kms);
    }
}

impl Flags for ServeArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        self.common.add_to(settings);
        self.web.add_to(settings);
        self.media.add_to(settings);
    }
}

impl Flags for MediaOnlyArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        self.common.add_to(settings);
        let modules = self.kurento.modules();
        let modules: Vec<_> = modules.iter().map(|path| path.display()).collect();
        add_list(settings, "modules.path", "--modules-path", &modules);
        self.media.add_to(settings);
        add(settings, "web.http", "--http", self.http.as_ref());
    }
}

impl Flags for RoomArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        self.common.add_to(settings);
        self.web.add_to(settings);
        self.kms.add_to(settings);
    }
}

impl Flags for AllArgs {
    fn add_to(&self, settings: &mut Vec<Setting>) {
        self.common.add_to(settings);
        self.web.add_to(settings);
        self.media.add_to(settings);
        self.kms.add_to(settings);
    }
}

impl CommonArgs {
    /// The whole configuration, `flags` included.
    pub(crate) fn load(&self, flags: Vec<Setting>) -> Result<config::Loaded, config::Error> {
        self.load_with(Vec::new(), Vec::new(), flags)
    }

    /// The same with further files, and with defaults that are not ours.
    pub(crate) fn load_with(
        &self,
        defaults: Vec<Setting>,
        more: Vec<Source>,
        flags: Vec<Setting>,
    ) -> Result<config::Loaded, config::Error> {
        let environment = std::env::vars_os();
        let file = self.config.clone().or_else(config::default_file);
        let imports: Vec<Source> = self
            .import
            .iter()
            .map(|path| path.as_path().into())
            .collect();
        let imports = more.into_iter().chain(imports).collect::<Vec<_>>();
        config::load_over(defaults, file.as_deref(), &imports, environment, flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_subcommand_has_examples() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands_mut() {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}", subcommand.get_name());
        }
    }

    #[test]
    fn flags_become_settings_of_their_keys() {
        let line = "salono serve --https off --http [::1]:80 --media-ip 127.0.0.1 --media-ip ::1 \
                    --shards 2 --media-port 40000 --announce-ip 203.0.113.7 --announce-ip 2001:db8::1";
        let Command::Serve(args) = Cli::parse_from(line.split_whitespace()).command else {
            panic!("not serve");
        };
        let loaded = config::load(None, &[], [], args.settings()).unwrap();
        let (web, media) = (loaded.config.web, loaded.config.media);
        assert_eq!(web.https, Listen::Off);
        assert_eq!(web.http, "[::1]:80".parse().unwrap());
        assert_eq!(media.ips.len(), 2);
        assert_eq!((media.port, media.shards), (40_000, 2));
        assert!(media.announce_v4.is_some() && media.announce_v6.is_some());
        assert_eq!(loaded.sources["web.https"], "flag --https");
    }
}
