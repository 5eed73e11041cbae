//! `salono media`: the media server alone.

use std::io::{self, Write as _};
use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use salono_kurento_model::{KURENTO, Registry};
use salono_kurento_server::{ModelConfig, is_available};

use crate::banner::{self, Product};
use crate::cli::{Flags as _, MediaOnlyArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::listeners::{self, BACKLOG, bind};
use crate::logfile::{self, LogFiles};
use crate::media::MediaServer;
use crate::metrics::{self, Sources};
use crate::modules;
use crate::ports::Ports;
use crate::runtime::{self, EndSignals};
use crate::signalling::Signalling;
use crate::web::Serving;

/// Runs until a signal ends it.
pub(crate) fn run(args: &MediaOnlyArgs) -> Result<ExitCode, Failure> {
    let kurento = &args.kurento;
    if kurento.version || kurento.list {
        let registry = modules::load(&kurento.modules()).registry;
        let text = if kurento.version {
            version(&registry)
        } else {
            list(&registry)
        };
        return io::stdout()
            .write_all(text.as_bytes())
            .map(|()| ExitCode::SUCCESS)
            .map_err(Failure::system("cannot print"));
    }
    let flags = args.settings();
    let loaded = args
        .common
        .load_with(kurento.defaults(), kurento.sources(), flags)?;
    match &kurento.logs_path {
        None => runtime::start_logging(&loaded.config.log)?,
        Some(folder) => {
            let limits = logfile::Limits {
                bytes: kurento.log_file_size * 1_000_000,
                files: kurento.number_log_files,
            };
            let files = LogFiles::open(folder, limits)
                .map_err(Failure::system("cannot write to the folder of --logs-path"))?;
            runtime::start_logging_to(&loaded.config.log, files)?;
        }
    }
    runtime::log_configuration(&loaded);
    runtime::block_on(serve(&loaded.config, args))
}

/// What `kurento-media-server --version` prints, and who we are.
fn version(registry: &Registry) -> String {
    let mut text = format!(
        "Kurento Media Server version: {}\nFound modules:\n",
        ModelConfig::default().version
    );
    for module in registry.modules() {
        if module.namespace == KURENTO || module.file.is_some() {
            text.push_str(&format!("\t'{}' version {}\n", module.name, module.version));
        }
    }
    text.push_str(concat!("Salono ", env!("CARGO_PKG_VERSION"), "\n"));
    text
}

/// What `kurento-media-server --list` prints: each class by its short and its whole name.
fn list(registry: &Registry) -> String {
    let mut text = "Available factories:\n".to_owned();
    for module in registry.modules() {
        for class in &module.factories {
            let qualified = format!("{}.{class}", module.namespace);
            if module.file.is_some() || is_available(&qualified) {
                text.push_str(&format!("\t{class}\n\t{qualified}\n"));
            }
        }
    }
    text
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
    runtime::serving()?;
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
