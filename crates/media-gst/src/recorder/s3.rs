//! Uploads to S3 and what is compatible with it: `s3://bucket/key`.
//!
//! Credentials come from the URL (`s3://key:secret@bucket/...`) or the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`), the region from `AWS_REGION` or `AWS_DEFAULT_REGION`, and a server that is not Amazon's from
//! `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`.

use super::upload::{Environment, SendError, accepted, decoded};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, PutObject, UploadPart,
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use ureq::Agent;
use url::Url;

/// Larger files are sent in parts of this size; a part is held in memory.
const PART: u64 = 16 * 1024 * 1024;

/// A signature is valid so long.
const VALID: Duration = Duration::from_secs(3_600);

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64 * 1024;

/// Where a file goes, and who says so.
struct Place {
    bucket: Bucket,
    credentials: Credentials,
    key: String,
}

/// Sends a file.
pub(super) fn send(
    agent: &Agent,
    url: &Url,
    file: &Path,
    content_type: &str,
    environment: Environment,
) -> Result<(), SendError> {
    let place = Place::of(url, environment)?;
    let file = File::open(file)?;
    if file.metadata()?.len() > PART {
        return place.send_parts(agent, file, content_type);
    }
    let mut action = PutObject::new(&place.bucket, Some(&place.credentials), &place.key);
    action.headers_mut().insert("content-type", content_type);
    let answer = agent
        .put(action.sign(VALID).as_str())
        .header("content-type", content_type)
        .send(file);
    accepted(answer).map(drop)
}

impl Place {
    fn of(url: &Url, variable: Environment) -> Result<Self, SendError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let error = |text: String| SendError::S3(text);
        let name = url.host_str().unwrap_or_default().to_owned();
        let credentials = if url.username().is_empty() {
            let (key, secret) = set("AWS_ACCESS_KEY_ID")
                .zip(set("AWS_SECRET_ACCESS_KEY"))
                .ok_or_else(|| {
                    error("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned())
                })?;
            match set("AWS_SESSION_TOKEN") {
                Some(token) => Credentials::new_with_token(key, secret, token),
                None => Credentials::new(key, secret),
            }
        } else {
            Credentials::new(
                decoded(url.username()),
                decoded(url.password().unwrap_or_default()),
            )
        };
        let region = set("AWS_REGION")
            .or_else(|| set("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".to_owned());
        let own = set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL"));
        let style = if own.is_some() || name.contains('.') {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let endpoint = own.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint =
            Url::parse(&endpoint).map_err(|fault| error(format!("{endpoint}: {fault}")))?;
        let bucket =
            Bucket::new(endpoint, style, name, region).map_err(|fault| error(fault.to_string()))?;
        let key = decoded(url.path().trim_start_matches('/'));
        Ok(Self {
            bucket,
            credentials,
            key,
        })
    }

    fn send_parts(&self, agent: &Agent, file: File, content_type: &str) -> Result<(), SendError> {
        let (bucket, credentials) = (&self.bucket, Some(&self.credentials));
        let mut action = CreateMultipartUpload::new(bucket, credentials, &self.key);
        action.headers_mut().insert("content-type", content_type);
        let answer = agent
            .post(action.sign(VALID).as_str())
            .header("content-type", content_type)
            .send_empty();
        let mut answer = accepted(answer)?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()?;
        let begun = CreateMultipartUpload::parse_response(&text)
            .map_err(|error| SendError::S3(error.to_string()))?;
        let id = begun.upload_id();
        let result = self.send_each(agent, file, id);
        if result.is_err() {
            // Parts that nobody puts together cost money.
            let abort = AbortMultipartUpload::new(bucket, credentials, &self.key, id);
            let _ = agent.delete(abort.sign(VALID).as_str()).call();
        }
        result
    }

    fn send_each(&self, agent: &Agent, mut file: File, id: &str) -> Result<(), SendError> {
        let (bucket, credentials) = (&self.bucket, Some(&self.credentials));
        let mut tags = Vec::new();
        let mut part = Vec::new();
        loop {
            part.clear();
            (&mut file).take(PART).read_to_end(&mut part)?;
            if part.is_empty() {
                break;
            }
            let number = u16::try_from(tags.len() + 1)
                .map_err(|_| SendError::S3("the recording has too many parts".to_owned()))?;
            let action = UploadPart::new(bucket, credentials, &self.key, number, id);
            let answer = accepted(agent.put(action.sign(VALID).as_str()).send(&part))?;
            let tag = answer
                .headers()
                .get("etag")
                .and_then(|tag| tag.to_str().ok());
            let tag = tag.ok_or_else(|| SendError::S3("a part has no ETag".to_owned()))?;
            tags.push(tag.to_owned());
        }
        let tags = tags.iter().map(String::as_str);
        let action = CompleteMultipartUpload::new(bucket, credentials, &self.key, id, tags);
        let url = action.sign(VALID);
        let mut answer = accepted(agent.post(url.as_str()).send(action.body()))?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()?;
        // It may say 200 before it knows.
        rusty_s3::actions::CompleteMultipartUploadResponse::parse(&text)
            .map(drop)
            .map_err(|_| SendError::S3(format!("the parts were not put together: {text}")))
    }
}
