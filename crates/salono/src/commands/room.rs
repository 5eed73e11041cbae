//! `salono room`: the room server alone, on media servers that run elsewhere.

use std::process::ExitCode;
use std::sync::Arc;

use salono_room_server::RoomServer;

use super::serve::{WebListeners, app};
use crate::banner;
use crate::cli::{Flags as _, RoomArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::hats::Hats;
use crate::metrics::Sources;
use crate::ports::Ports;
use crate::rooms;
use crate::runtime::{self, EndSignals};

/// Runs until a signal ends it.
pub(crate) fn run(args: &RoomArgs) -> Result<ExitCode, Failure> {
    let loaded = args.common.load(args.settings())?;
    runtime::start_logging(&loaded.config.log)?;
    runtime::log_configuration(&loaded);
    runtime::block_on(serve(&loaded.config, args))
}

async fn serve(config: &Config, args: &RoomArgs) -> Result<ExitCode, Failure> {
    let mut signals = EndSignals::new()?;
    let media_servers = rooms::media_servers(&config.room, None)?;
    let web = WebListeners::bind(&config.web)?;
    let provider = media_servers.provider();
    let hats = Arc::new(Hats::new(&config.room));
    let settings = rooms::server_config(&config.room, &config.web)?;
    let server = RoomServer::start_with(settings, provider, hats);
    let sources = Sources {
        rooms: Some(server.clone()),
        media: None,
    };
    let serving = web.serve(config, app(&server, &config.web, sources), [])?;
    let ports = Ports {
        pid: std::process::id(),
        https: serving.https,
        http: serving.http,
        kurento: None,
        kurento_tls: None,
        kurento_path: String::new(),
        media: Vec::new(),
    };
    if let Some(path) = &args.ports.ports_file {
        ports.write(path)?;
    }
    runtime::serving()?;
    banner::print(serving.product(&config.web), &ports);
    // Rooms connect by themselves; this only tells early what will not work.
    tokio::spawn(media_servers.warm_up());

    signals.next().await;
    eprintln!("salono: ending, once more to end at once");
    Ok(signals
        .end(async move {
            server.shutdown().await;
            drop(serving);
        })
        .await)
}
