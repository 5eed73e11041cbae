//! Answers SIP calls with an echo, by way of a media server.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use salono_kurento_client::Client;
use sip_bridge::Bridge;

/// Answers SIP calls with an echo, by way of a media server
#[derive(Debug, Parser)]
struct Args {
    /// The media server
    #[arg(
        long,
        value_name = "URL",
        default_value = "ws://127.0.0.1:8888/kurento"
    )]
    kurento: String,
    /// Where telephones call, over UDP; port 0 chooses a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5060")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let (client, driver) = match Client::connect(&args.kurento).await {
        Ok(connected) => connected,
        Err(error) => {
            eprintln!(
                "no media server at {}: {error}\n\
                 Start one with `salono media`, or name another one with --kurento URL.",
                args.kurento
            );
            return ExitCode::FAILURE;
        }
    };
    let driver = tokio::spawn(driver.run());
    let bridge = match Bridge::bind(args.listen, client).await {
        Ok(bridge) => bridge,
        Err(error) => {
            eprintln!("cannot listen at {}: {error}", args.listen);
            return ExitCode::FAILURE;
        }
    };
    eprintln!("call sip:echo@{}", bridge.address());
    tokio::select! {
        ended = bridge.run() => {
            if let Err(error) = ended {
                eprintln!("the socket failed: {error}");
            }
        }
        _ = driver => eprintln!("the media server is gone"),
        _ = tokio::signal::ctrl_c() => return ExitCode::SUCCESS,
    }
    ExitCode::FAILURE
}
