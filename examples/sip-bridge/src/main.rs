//! Answers SIP calls, by way of a media server, in browsers.

use std::net::SocketAddr;

use clap::Parser;
use salono_examples::{Example, Failure, Flags, say};
use sip_bridge::Bridge;

/// Connects SIP calls with browsers; without a browser callers hear themselves
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    flags: Flags,
    /// Where telephones call, over UDP; port 0 chooses a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5060")]
    sip: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let example = Example::start(args.flags).await?;
    let bridge = match Bridge::bind(args.sip, example.client().clone()).await {
        Ok(bridge) => bridge,
        Err(error) => {
            let address = args.sip;
            return Err(example.give_up(Failure::Listen { address, error }).await);
        }
    };
    say(&format!("call sip:desk@{}", bridge.address()));
    let desk = bridge.desk();
    // Ends with the program.
    tokio::spawn(bridge.run());
    let page = include_str!("../page.html");
    example
        .serve(page, move |browser| desk.clone().session(browser))
        .await
}
