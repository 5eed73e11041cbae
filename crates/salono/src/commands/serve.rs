//! `salono serve`: media server, room server and demo page.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use salono_room_server::{RoomServer, StaticFiles};

use crate::banner::{self, Product};
use crate::cli::{Flags as _, ServeArgs};
use crate::config::{Config, Web};
use crate::failure::Failure;
use crate::hats::Hats;
use crate::listeners::{self, BACKLOG, Bound, bind};
use crate::media::MediaServer;
use crate::metrics::{self, Sources};
use crate::ports::Ports;
use crate::runtime::{self, EndSignals};
use crate::signalling::Signalling;
use crate::web::Serving;
use crate::{pages, rooms, tls};

/// Runs until a signal ends it.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let loaded = args.common.load(args.settings())?;
    runtime::start_logging(&loaded.config.log)?;
    runtime::log_configuration(&loaded);
    runtime::block_on(serve(&loaded.config, args))
}

async fn serve(config: &Config, args: &ServeArgs) -> Result<ExitCode, Failure> {
    let signals = EndSignals::new()?;
    let settings = rooms::server_config(&config.room, &config.web)?;
    let web = WebListeners::bind(&config.web)?;
    let signalling = Signalling::open(config)?;
    let (kurento, kurento_tls) = (signalling.plain(), signalling.secure());
    let media = MediaServer::start(config, signalling)?;
    let addresses = media.addresses();
    let media_servers = rooms::media_servers(&config.room, Some(&media.client().await?))?;
    let server = RoomServer::start_with(
        settings,
        media_servers.provider(),
        Arc::new(Hats::new(&config.room)),
    );
    let sources = Sources {
        rooms: Some(server.clone()),
        media: Some(media.engine().clone()),
    };
    let app = app(&server, &config.web, sources);
    let serving = web.serve(config, app, addresses.iter().map(SocketAddr::ip))?;

    let ports = Ports {
        pid: std::process::id(),
        https: serving.https,
        http: serving.http,
        kurento,
        kurento_tls,
        kurento_path: config.kurento.path.clone(),
        media: addresses,
    };
    if let Some(path) = &args.ports.ports_file {
        ports.write(path)?;
    }
    runtime::serving()?;
    banner::print(serving.product(&config.web), &ports);

    let mut signals = signals;
    tokio::select! {
        () = signals.next() => {}
        () = media.exhausted() => {}
    }
    eprintln!("salono: ending, once more to end at once");
    Ok(signals
        .end(async move {
            server.shutdown().await;
            drop(serving);
            media.shutdown().await;
        })
        .await)
}

/// All routes.
pub(super) fn app(server: &RoomServer, web: &Web, sources: Sources) -> Router {
    let pages = if web.demo {
        pages::demo()
    } else {
        StaticFiles::default()
    };
    let app = salono_room_server::router(server, pages);
    if web.metrics {
        app.merge(metrics::router(sources))
    } else {
        app
    }
}

/// The listeners of room clients, open but not served yet.
pub(super) struct WebListeners {
    https: Option<Bound>,
    http: Option<Bound>,
}

/// The same, served.
pub(super) struct WebServing {
    /// Where HTTPS is.
    pub(super) https: Option<SocketAddr>,
    /// Where plain HTTP is.
    pub(super) http: Option<SocketAddr>,
    self_signed: bool,
    _serving: Vec<Serving>,
}

impl WebListeners {
    /// Opens what is configured, which must be one at least.
    pub(super) fn bind(web: &Web) -> Result<Self, Failure> {
        let https = bind(web.https, listeners::HTTPS, BACKLOG)?;
        let http = bind(web.http, listeners::HTTP, BACKLOG)?;
        if https.is_none() && http.is_none() {
            return Err(Failure::NothingToDo(
                "web.https and web.http are both off, so no client could come: set --https or --http",
            ));
        }
        Ok(Self { https, http })
    }

    /// Serves `app`; the certificate is for `ips` as well.
    pub(super) fn serve(
        self,
        config: &Config,
        app: Router,
        ips: impl IntoIterator<Item = IpAddr>,
    ) -> Result<WebServing, Failure> {
        let most = config.web.max_connections;
        let mut serving = WebServing {
            https: self.https.as_ref().map(|bound| bound.address),
            http: self.http.as_ref().map(|bound| bound.address),
            self_signed: false,
            _serving: Vec::new(),
        };
        if let Some(bound) = self.https {
            let ips = ips.into_iter().chain([bound.address.ip()]);
            let announced = [
                config.media.announce_v4.map(IpAddr::from),
                config.media.announce_v6.map(IpAddr::from),
            ];
            let ips = ips.chain(announced.into_iter().flatten());
            let certificate = tls::certificate(&config.web, &config.data_dir, ips)?;
            serving.self_signed = certificate.self_signed;
            let tls = Some(certificate.server);
            let served = Serving::start(bound, app.clone(), tls, most);
            serving._serving.push(served);
        }
        if let Some(bound) = self.http {
            serving
                ._serving
                .push(Serving::start(bound, app, None, most));
        }
        Ok(serving)
    }
}

impl WebServing {
    /// For the banner.
    pub(super) fn product(&self, web: &Web) -> Product {
        Product::Rooms {
            self_signed: self.self_signed,
            demo: web.demo,
        }
    }
}
