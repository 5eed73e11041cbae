//! Talks in a room from a terminal: what is typed is said, what happens is printed.
//!
//! ```text
//! cargo run -p salono-room-client --example chat -- wss://localhost:8443/room lobby ann
//! ```
//!
//! The certificate of the server is not checked, since one that a server made by itself proves
//! nothing; a program for others would leave `trust` as it is.

#![expect(
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a program for a terminal, which shows whatever comes"
)]

use salono_room_client::{Config, Event, Notification, RoomClient, Trust};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, room, user] = arguments.as_slice() else {
        return Err("usage: chat URL ROOM USER".into());
    };
    let mut config = Config::default();
    config.trust = Trust::anybody()?;
    let (client, mut events, driver) = RoomClient::connect_with(url, config).await?;
    tokio::spawn(driver.run());
    for peer in client.join_room(room, user).await?.peers {
        println!("{} is here", peer.id);
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(text) => client.send_message(user, room, &text).await?,
                None => break,
            },
            event = events.recv() => match event {
                Some(event) => {
                    if event == (Event::Reconnected { resumed: false }) {
                        client.join_room(room, user).await?;
                    }
                    print(event);
                }
                None => break,
            },
        }
    }
    client.close().await;
    Ok(())
}

fn print(event: Event) {
    match event {
        Event::Notification(Notification::ParticipantJoined { user }) => {
            println!("{user} comes in")
        }
        Event::Notification(Notification::ParticipantLeft { user }) => println!("{user} leaves"),
        Event::Notification(Notification::SendMessage { user, message, .. }) => {
            println!("{user}: {message}");
        }
        Event::Disconnected => println!("(the connection is lost)"),
        Event::Reconnected { .. } => println!("(it is there again)"),
        other => println!("({other:?})"),
    }
}
