//! The HTTP side of a WebSocket connection (RFC 6455 §4), by hand.
//!
//! Kurento's answers to requests that are no proper upgrade are part of what its users rely on: a
//! container's health check sends an upgrade without a key and takes the 500 for a sign of life.

use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Longest head of a request in bytes; a longer one is refused.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// How long a client may take to send its head.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// A connection that may speak WebSocket now.
pub(crate) struct Upgraded<S> {
    /// The connection, with the answer sent.
    pub(crate) stream: S,
    /// What the client sent behind its head already.
    pub(crate) rest: Vec<u8>,
    /// Path of the request, without the query.
    pub(crate) path: String,
}

/// Reads the request and answers it. `None` when the answer was no.
///
/// # Errors
/// Those of the connection; a head that is too slow or too long is an error too.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    origins: &[String],
) -> io::Result<Option<Upgraded<S>>> {
    let mut head = Vec::with_capacity(1_024);
    let end = timeout(HEAD_TIME, read_head(&mut stream, &mut head))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let rest = head.split_off(end);
    let verdict = judge(&String::from_utf8_lossy(&head), origins);
    let (answer, path) = match verdict {
        Verdict::Upgrade { path, accept } => (
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            ),
            Some(path),
        ),
        Verdict::Refuse(status) => (refusal(status), None),
    };
    timeout(HEAD_TIME, write(&mut stream, &answer, path.is_none()))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let Some(path) = path else {
        return Ok(None);
    };
    Ok(Some(Upgraded { stream, rest, path }))
}

/// Answers a connection that there is no room for.
pub(crate) async fn refuse_overload(mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
    let answer = refusal("503 Service Unavailable");
    timeout(HEAD_TIME, write(&mut stream, &answer, false))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), text: &str, last: bool) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    // TLS keeps back what is not flushed.
    stream.flush().await?;
    if last {
        stream.shutdown().await?;
    }
    Ok(())
}

fn refusal(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

/// Reads up to the empty line; returns where it ends.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        if stream.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = end {
            return Ok(end + 4);
        }
        if head.len() > MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// What a request gets.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Upgrade { path: String, accept: String },
    Refuse(&'static str),
}

fn judge(head: &str, origins: &[String]) -> Verdict {
    let mut lines = head.split("\r\n");
    let mut request = lines.next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(target), Some("HTTP/1.1")) =
        (request.next(), request.next(), request.next())
    else {
        return Verdict::Refuse("400 Bad Request");
    };
    let headers: Vec<(&str, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let header = |wanted: &str| {
        headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| *value)
    };
    if !header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Verdict::Refuse("426 Upgrade Required");
    }
    let (Some(key), Some("13")) = (header("Sec-WebSocket-Key"), header("Sec-WebSocket-Version"))
    else {
        return Verdict::Refuse("500 Internal Server Error");
    };
    if let Some(origin) = header("Origin").filter(|_| !origins.is_empty())
        && !origins.iter().any(|allowed| allowed == origin)
    {
        return Verdict::Refuse("403 Forbidden");
    }
    Verdict::Upgrade {
        path: target.split('?').next().unwrap_or_default().to_owned(),
        accept: derive_accept_key(key.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_byte_by_byte_is_given_up() {
        let (mut client, server) = tokio::io::duplex(64);
        let began = tokio::time::Instant::now();
        let trickle = async {
            for byte in b"GET /kurento HTTP/1.1\r\nHost: ".iter().cycle() {
                if client.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
        };
        let (accepted, ()) = tokio::join!(accept(server, &[]), trickle);
        let error = accepted.err().expect("it is given up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < HEAD_TIME * 2);
    }

    const UPGRADE: &str = "GET /kurento?x=1 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: 127.0.0.1:8888\r\n\r\n";

    #[test]
    fn an_upgrade_is_accepted_with_any_origin_and_without_its_query() {
        // The key and its answer are the example of RFC 6455 §1.3.
        let expected = Verdict::Upgrade {
            path: "/kurento".to_owned(),
            accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
        };
        assert_eq!(judge(UPGRADE, &[]), expected);
        assert_eq!(judge(UPGRADE, &["127.0.0.1:8888".to_owned()]), expected);
        let others = ["https://example.org".to_owned()];
        assert_eq!(judge(UPGRADE, &others), Verdict::Refuse("403 Forbidden"));
    }

    #[test]
    fn what_is_no_upgrade_gets_the_status_that_its_senders_expect() {
        for (head, status) in [
            ("GET /kurento HTTP/1.1\r\n\r\n", "426 Upgrade Required"),
            (
                "GET /kurento HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                "500 Internal Server Error",
            ),
            ("POST /kurento HTTP/1.1\r\n\r\n", "400 Bad Request"),
            ("\0\0", "400 Bad Request"),
        ] {
            assert_eq!(judge(head, &[]), Verdict::Refuse(status), "{head}");
        }
    }
}
