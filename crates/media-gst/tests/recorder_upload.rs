//! Recordings that servers take, refuse, take later, or never take.

#![allow(clippy::unwrap_used, reason = "test code")]

mod recording;

use aws_lc_rs::{digest, hmac};
use recording::{Recording, Said, directory, make, probe};
use salono_media_api::processing::RecordingProfile;
use salono_media_gst::recorder::upload::{Progress, Settings, Upload};
use salono_media_gst::recorder::worker::Report;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use url::Url;

const VIDEO: &str = "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=30";
const SOUND: &str = "audiotestsrc num-buffers=100 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! opusenc";

/// More than a part of a multipart upload.
const HEAVY: &str = "videotestsrc num-buffers=40 pattern=snow ! video/x-raw,width=1280,height=720,framerate=30/1 \
    ! jpegenc quality=95";

struct Asked {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Answer = (u16, Vec<(&'static str, String)>, String);

/// Serves until the test ends.
fn serve(mut answer: impl FnMut(Asked) -> Answer + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some(asked) = read_request(&mut stream) {
                let (status, headers, body) = answer(asked);
                let mut text =
                    format!("HTTP/1.1 {status} So\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                text.push_str("\r\n");
                text.push_str(&body);
                if stream.get_mut().write_all(text.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    address
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        target,
        headers,
        body,
    })
}

/// Credentials and, where the test has one, a server in the place of Amazon's.
fn environment(name: &str) -> Option<String> {
    let address = ENDPOINT.get()?;
    match name {
        "AWS_ENDPOINT_URL" => Some(format!("http://{address}")),
        "AWS_REGION" => Some("eu-test-1".to_owned()),
        "AWS_ACCESS_KEY_ID" => Some(KEY.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(SECRET.to_owned()),
        _ => None,
    }
}

static ENDPOINT: std::sync::OnceLock<SocketAddr> = std::sync::OnceLock::new();
const KEY: &str = "AKTEST";
const SECRET: &str = "not/so+secret";

/// A recording to this URL, and what becomes of its uploads.
fn record(url: &str, profile: RecordingProfile, lines: &[&str]) -> (Recording, Receiver<Progress>) {
    let url = Url::parse(url).unwrap();
    let home = directory();
    let spool = home.join("spool").join("x.webm");
    let (sender, progress) = channel();
    let recording = Recording::with(profile, home, move |_| {
        let settings = Settings {
            url,
            spool,
            content_type: "video/webm",
            report: Box::new(move |progress| {
                let _ = sender.send(progress);
            }),
            environment,
            waiting: Vec::new(),
        };
        Box::new(Upload::new(settings, ()).unwrap())
    });
    recording.record();
    let made: Vec<_> = lines.iter().map(|line| make(line)).collect();
    recording.deliver(&made);
    recording.worker.stop();
    loop {
        let said = recording.said.recv_timeout(PATIENCE).unwrap();
        if matches!(said, Said::Report(Report::Ended)) {
            return (recording, progress);
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

fn uploaded(progress: &Receiver<Progress>) -> (String, u64) {
    match progress.recv_timeout(PATIENCE).unwrap() {
        Progress::Uploaded { uri, bytes, .. } => (uri, bytes),
        other @ (Progress::Error(_)
        | Progress::Idle
        | Progress::Spooled(..)
        | Progress::Done(_)) => panic!("{other:?}"),
    }
}

fn spooled(recording: &Recording) -> Vec<PathBuf> {
    let there = std::fs::read_dir(recording.directory.join("spool")).unwrap();
    there.map(|entry| entry.unwrap().path()).collect()
}

fn check_file(recording: &Recording, body: &[u8]) {
    let file = recording.directory.join("got.webm");
    std::fs::write(&file, body).unwrap();
    let seen = probe(&file);
    assert_eq!(seen.codecs, ["vp8", "opus"]);
    assert_eq!(seen.complaints, "");
    assert!((seen.duration - 2.0).abs() < 0.1, "{seen:?}");
}

#[test]
fn a_server_gets_the_file_with_the_name_and_password_of_the_uri() {
    let (sender, asked) = channel();
    let address = serve(move |request| {
        sender.send(request).unwrap();
        (201, Vec::new(), String::new())
    });
    let url = format!("http://me:p%40ss@{address}/in/a.webm");
    let (recording, progress) = record(&url, RecordingProfile::Webm, &[VIDEO, SOUND]);
    let (uri, bytes) = uploaded(&progress);
    assert_eq!(uri, format!("http://{address}/in/a.webm"));
    let asked = asked.recv().unwrap();
    assert_eq!((&*asked.method, &*asked.target), ("PUT", "/in/a.webm"));
    assert_eq!(asked.headers["authorization"], "Basic bWU6cEBzcw==");
    assert_eq!(asked.headers["content-type"], "video/webm");
    assert_eq!(asked.body.len() as u64, bytes);
    check_file(&recording, &asked.body);
    assert!(spooled(&recording).is_empty());
}

#[test]
fn a_server_that_fails_gets_the_file_later() {
    let (sender, asked) = channel();
    let mut failures = 2;
    let address = serve(move |request| {
        if failures > 0 {
            failures -= 1;
            return (503, Vec::new(), String::new());
        }
        sender.send(request).unwrap();
        (200, Vec::new(), String::new())
    });
    let url = format!("http://{address}/a.webm");
    let (recording, progress) = record(&url, RecordingProfile::Webm, &[VIDEO, SOUND]);
    let Progress::Error(error) = progress.recv_timeout(PATIENCE).unwrap() else {
        panic!("the first failure is reported");
    };
    assert_eq!(error.kind, "RESOURCE_ERROR_WRITE");
    assert!(error.description.contains("503"), "{}", error.description);
    uploaded(&progress);
    check_file(&recording, &asked.recv().unwrap().body);
}

#[test]
fn what_nobody_takes_is_kept() {
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{address}/a.webm");
    let (recording, progress) = record(&url, RecordingProfile::Webm, &[VIDEO, SOUND]);
    let Progress::Error(error) = progress.recv_timeout(PATIENCE).unwrap() else {
        panic!("the failure is reported");
    };
    let [kept] = spooled(&recording).try_into().unwrap();
    assert!(error.description.contains(kept.to_str().unwrap()));
    check_file(&recording, &std::fs::read(kept).unwrap());
}

#[test]
fn redirects_are_not_followed() {
    let address = serve(|_| {
        let target = "http://169.254.169.254/".to_owned();
        (307, vec![("location", target)], String::new())
    });
    let url = format!("http://{address}/a.webm");
    let (_recording, progress) = record(&url, RecordingProfile::Webm, &[VIDEO, SOUND]);
    let first = progress.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(first, Progress::Error(_)), "{first:?}");
}

/// Checks the signature of a request (AWS Signature Version 4 in the query), made here anew.
fn is_signed(asked: &Asked) -> bool {
    let (path, query) = asked.target.split_once('?').unwrap();
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).unwrap().1;
    let signature = value("X-Amz-Signature").to_owned();
    let names = value("X-Amz-SignedHeaders").replace("%3B", ";");
    let date = value("X-Amz-Date").to_owned();
    let scope = value("X-Amz-Credential").replace("%2F", "/");
    let scope = scope.strip_prefix(&format!("{KEY}/")).unwrap().to_owned();
    let canonical_query: Vec<String> = pairs
        .iter()
        .filter(|(key, _)| *key != "X-Amz-Signature")
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let headers: String = names
        .split(';')
        .map(|name| format!("{name}:{}\n", asked.headers[name]))
        .collect();
    let request = format!(
        "{}\n{path}\n{}\n{headers}\n{names}\nUNSIGNED-PAYLOAD",
        asked.method,
        canonical_query.join("&"),
    );
    let hash = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = sign(&key, part);
    }
    hex(&sign(&key, &text)) == signature
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const XMLNS: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";

#[test]
fn s3_gets_small_files_at_once_and_large_ones_in_parts() {
    let (sender, asked) = channel();
    let address = serve(move |request| {
        let answer = match (&*request.method, request.target.contains("uploads")) {
            ("POST", true) => format!(
                "<InitiateMultipartUploadResult {XMLNS}><Bucket>b</Bucket><Key>k</Key>\
                 <UploadId>up1</UploadId></InitiateMultipartUploadResult>"
            ),
            ("POST", false) => format!(
                "<CompleteMultipartUploadResult {XMLNS}><ETag>all</ETag>\
                 </CompleteMultipartUploadResult>"
            ),
            _ => String::new(),
        };
        let status = if is_signed(&request) { 200 } else { 403 };
        sender.send(request).unwrap();
        (status, vec![("etag", "\"tag\"".to_owned())], answer)
    });
    ENDPOINT.set(address).unwrap();

    let (recording, progress) = record(
        "s3://bucket/some/key.webm",
        RecordingProfile::Webm,
        &[VIDEO, SOUND],
    );
    let (uri, _) = uploaded(&progress);
    assert_eq!(uri, "s3://bucket/some/key.webm");
    let request = asked.recv().unwrap();
    assert!(
        request.target.starts_with("/bucket/some/key.webm?"),
        "{}",
        request.target
    );
    check_file(&recording, &request.body);

    let (recording, progress) = record(
        "s3://bucket/large.mkv",
        RecordingProfile::MkvVideoOnly,
        &[HEAVY],
    );
    let (_, bytes) = uploaded(&progress);
    assert!(bytes > 16 * 1024 * 1024, "{bytes} bytes are one part");
    let requests: Vec<_> = asked.try_iter().collect();
    let parts: Vec<_> = requests
        .iter()
        .filter(|request| request.method == "PUT")
        .collect();
    assert_eq!(parts.len() as u64, bytes.div_ceil(16 * 1024 * 1024));
    assert!(
        parts
            .iter()
            .all(|part| part.target.contains("uploadId=up1"))
    );
    let whole: Vec<u8> = parts.iter().flat_map(|part| part.body.clone()).collect();
    assert_eq!(whole.len() as u64, bytes);
    let file = recording.directory.join("got.mkv");
    std::fs::write(&file, whole).unwrap();
    assert_eq!(probe(&file).codecs, ["mjpeg"]);
    let last = requests.last().unwrap();
    assert!(String::from_utf8_lossy(&last.body).contains("<PartNumber>2</PartNumber>"));
}
