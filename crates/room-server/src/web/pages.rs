//! Static pages, from memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// One file.
#[derive(Debug, Clone)]
pub struct StaticFile {
    /// What it holds.
    pub bytes: Bytes,
    /// Its media type, such as `text/html; charset=utf-8`.
    pub mime: Cow<'static, str>,
    /// What changes when it changes, without quotes: a version or a hash.
    pub etag: Cow<'static, str>,
}

/// Files by their path, each starting with `/`. `/` itself is a path like any other; so is a
/// directory: there are no implied index pages.
#[derive(Debug, Clone, Default)]
pub struct StaticFiles(BTreeMap<Cow<'static, str>, StaticFile>);

impl StaticFiles {
    /// Adds a file, or replaces the one at that path.
    #[must_use]
    pub fn with(mut self, path: impl Into<Cow<'static, str>>, file: StaticFile) -> Self {
        self.0.insert(path.into(), file);
        self
    }

    /// Answers `GET` and `HEAD`; 304 to a browser that has the file already (RFC 9110
    /// section 13.1.2).
    pub(super) fn respond(&self, request: &Request) -> Response {
        let Some(file) = self.0.get(request.uri().path()) else {
            return (StatusCode::NOT_FOUND, "not found\n").into_response();
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return (
                StatusCode::METHOD_NOT_ALLOWED,
                [(header::ALLOW, HeaderValue::from_static("GET, HEAD"))],
            )
                .into_response();
        }
        let etag = format!("\"{}\"", file.etag);
        let known = request
            .headers()
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*");
        let body = if known || *request.method() == Method::HEAD {
            Body::empty()
        } else {
            Body::from(file.bytes.clone())
        };
        let mut response = Response::new(body);
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        // Asked for again each time, answered with 304 while it is the same.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(header::ETAG, etag);
        }
        if !known {
            if let Ok(mime) = HeaderValue::from_str(&file.mime) {
                headers.insert(header::CONTENT_TYPE, mime);
            }
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes.len()));
        }
        response
    }
}
