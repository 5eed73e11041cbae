//! One request to an endpoint that takes uploads.

use super::{Answers, Report, Route, Routes};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyStream, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};
use rand::{TryRng as _, rngs::SysRng};
use salono_kurento_core::{UploadKey, UploadReport};
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// What a client of an endpoint is known by, as with Kurento.
const COOKIE: &str = "HttpEPCookie";

/// How long nothing may come of a body.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// Longest piece of a body that is handed on, in bytes.
const PIECE: usize = 64 * 1024;

/// An error of a body.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Why an upload ended early.
enum Broken {
    /// The client sends no more, or nothing that can be read.
    Client(StatusCode, &'static str),
    /// The endpoint takes no more.
    Endpoint(String),
    /// The endpoint is gone.
    Gone,
}

/// Answers a request.
pub(super) async fn answer(
    request: Request<Incoming>,
    routes: Arc<Routes>,
    reports: mpsc::Sender<Report>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let Some(route) = routes.find(&path) else {
        return Ok(status(StatusCode::NOT_FOUND, ""));
    };
    let mut response = match *request.method() {
        Method::OPTIONS => {
            let mut response = status(StatusCode::OK, "");
            let headers = response.headers_mut();
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            let allowed = HeaderValue::from_static("Content-Type");
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
            response
        }
        Method::POST => post(request, &path, route, reports).await,
        _ => {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED, "");
            let allowed = HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, allowed);
            response
        }
    };
    let anybody = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, anybody);
    Ok(response)
}

async fn post(
    request: Request<Incoming>,
    path: &str,
    route: Arc<Route>,
    reports: mpsc::Sender<Report>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Some(content_type) = text(&head.headers, &header::CONTENT_TYPE) else {
        return status(StatusCode::NOT_ACCEPTABLE, "Content-Type is missing");
    };
    // The first one to come is given the cookie; everybody else needs it.
    let given = if let Some(cookie) = route.cookie.get() {
        if cookie_of(&head.headers) != Some(cookie) {
            return status(StatusCode::BAD_REQUEST, "this is somebody else's session");
        }
        None
    } else {
        let cookie = random_text();
        if route.cookie.set(cookie.clone()).is_err() {
            return status(StatusCode::BAD_REQUEST, "this is somebody else's session");
        }
        Some(cookie)
    };
    let content_type = content_type.to_owned();
    // A connection that breaks ends this request, but not what is to be done for the endpoint.
    let upload = tokio::spawn(async move {
        let mut answers = route.answers.lock().await;
        let upload = Upload {
            key: route.key,
            reports,
        };
        upload.run(&mut answers, body, content_type).await
    });
    let mut response = match upload.await {
        Ok(Ok(())) => status(StatusCode::OK, ""),
        Ok(Err(Broken::Client(code, reason))) => status(code, reason),
        Ok(Err(Broken::Endpoint(reason))) => status(StatusCode::SERVICE_UNAVAILABLE, &reason),
        Ok(Err(Broken::Gone)) => status(StatusCode::NOT_FOUND, "the session is over"),
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR, ""),
    };
    if let Some(cookie) = given
        && let Ok(value) = format!("{COOKIE}={cookie}; Path=/{path}; HttpOnly").parse()
    {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// A body on its way to its endpoint.
struct Upload {
    key: UploadKey,
    reports: mpsc::Sender<Report>,
}

impl Upload {
    async fn run(
        &self,
        answers: &mut Answers,
        body: Incoming,
        content_type: String,
    ) -> Result<(), Broken> {
        // Of a request that ended in the middle.
        while answers.try_recv().is_ok() {}
        self.report(UploadReport::Begun).await?;
        let data = BodyStream::new(body)
            .filter_map(|frame| async { frame.map(|frame| frame.into_data().ok()).transpose() });
        let handed_on = match multer::parse_boundary(&content_type) {
            Ok(boundary) => {
                let parts = multer::Multipart::new(data, boundary);
                self.hand_on_file(answers, parts).await
            }
            Err(_) => self.hand_on(answers, data, &content_type).await,
        };
        // What came counts, whatever became of the rest.
        let ended = self.deliver(answers, UploadReport::Ended).await;
        handed_on.and(ended)
    }

    /// Hands on the first part of a form that is a file.
    async fn hand_on_file(
        &self,
        answers: &mut Answers,
        mut parts: multer::Multipart<'_>,
    ) -> Result<(), Broken> {
        const MALFORMED: Broken =
            Broken::Client(StatusCode::BAD_REQUEST, "the form cannot be read");
        let mut found = false;
        loop {
            let next = timeout(BODY_PATIENCE, parts.next_field()).await;
            let Ok(Ok(part)) = next else {
                return Err(MALFORMED);
            };
            let Some(part) = part else {
                break;
            };
            if !found && part.file_name().is_some() {
                found = true;
                let kind = part.content_type().map(ToString::to_string);
                self.hand_on(answers, part, &kind.unwrap_or_default())
                    .await?;
            }
        }
        if found {
            Ok(())
        } else {
            Err(Broken::Client(
                StatusCode::BAD_REQUEST,
                "the form has no file",
            ))
        }
    }

    async fn hand_on<E: Into<BodyError>>(
        &self,
        answers: &mut Answers,
        data: impl Stream<Item = Result<Bytes, E>>,
        content_type: &str,
    ) -> Result<(), Broken> {
        let mut data = pin!(data);
        loop {
            let Ok(next) = timeout(BODY_PATIENCE, data.next()).await else {
                return Err(Broken::Client(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body does not go on",
                ));
            };
            let bytes = match next {
                None => return Ok(()),
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => {
                    tracing::debug!(error = %error.into(), "an upload broke off");
                    return Err(Broken::Client(
                        StatusCode::BAD_REQUEST,
                        "the body broke off",
                    ));
                }
            };
            for piece in bytes.chunks(PIECE) {
                let report = UploadReport::Piece {
                    bytes: piece.to_vec(),
                    content_type: content_type.to_owned(),
                };
                self.deliver(answers, report).await?;
            }
        }
    }

    /// Reports something and waits until it was taken, however long that takes.
    async fn deliver(&self, answers: &mut Answers, report: UploadReport) -> Result<(), Broken> {
        self.report(report).await?;
        match answers.recv().await {
            Some(result) => result.map_err(Broken::Endpoint),
            None => Err(Broken::Gone),
        }
    }

    async fn report(&self, report: UploadReport) -> Result<(), Broken> {
        let sent = self.reports.send((self.key, report)).await;
        sent.map_err(|_| Broken::Gone)
    }
}

fn status(code: StatusCode, reason: &str) -> Response<Full<Bytes>> {
    let text = if reason.is_empty() {
        Bytes::new()
    } else {
        Bytes::from(format!("{reason}\n"))
    };
    let mut response = Response::new(Full::new(text));
    *response.status_mut() = code;
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    Some(value).filter(|value| !value.is_empty())
}

/// The cookie that a client sends along.
fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let lists = headers.get_all(header::COOKIE).into_iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// 128 random bits in hexadecimal.
fn random_text() -> String {
    let mut bytes = [0; 16];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
