//! `salono media`: the media server alone.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;

use crate::banner::{self, Product};
use crate::cli::{Flags as _, MediaOnlyArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::listeners::{self, BACKLOG, bind};
use crate::media::MediaServer;
use crate::metrics::{self, Sources};
use crate::ports::Ports;
use crate::runtime::{self, EndSignals};
use crate::signalling::Signalling;
use crate::web::Serving;

/// Runs until a signal ends it.
pub(crate) fn run(args: &MediaOnlyArgs) -> Result<ExitCode, Failure> {
    let loaded = args.common.load(args.settings())?;
    runtime::start_logging(&loaded.config.log)?;
    runtime::log_configuration(&loaded);
    runtime::block_on(serve(&loaded.config, args))
}

async fn serve(config: &Config, args: &MediaOnlyArgs) -> Result<ExitCode, Failure> {
    let mut signals = EndSignals::new()?;
    let signalling = Signalling::open(config)?;
    let (kurento, kurento_tls) = (signalling.plain(), signalling.secure());
    if kurento.is_none() && kurento_tls.is_none() {
        return Err(Failure::NothingToDo(
            "kurento.listen and kurento.tls_listen are off, so no client could come: set \
             --kurento or --kurento-tls",
        ));
    }
    let http = bind(config.web.http, listeners::HTTP, BACKLOG)?;
    let media = MediaServer::start(config, signalling)?;
    let ports = Ports {
        pid: std::process::id(),
        https: None,
        http: http.as_ref().map(|bound| bound.address),
        kurento,
        kurento_tls,
        kurento_path: config.kurento.path.clone(),
        media: media.addresses(),
    };
    let serving = http.map(|bound| {
        let sources = Sources {
            rooms: None,
            media: Some(media.engine().clone()),
        };
        let mut app = Router::new().route("/healthz", get(async || "ok\n"));
        if config.web.metrics {
            app = app.merge(metrics::router(sources));
        }
        Serving::start(bound, app, None, config.web.max_connections)
    });
    if let Some(path) = &args.ports.ports_file {
        ports.write(path)?;
    }
    banner::print(Product::Media, &ports);

    tokio::select! {
        () = signals.next() => {}
        () = media.exhausted() => {}
    }
    Ok(signals
        .end(async move {
            drop(serving);
            media.shutdown().await;
        })
        .await)
}
