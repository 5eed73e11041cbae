//! A browser's connection to an endpoint.

use salono_kurento_client::{Error, WebRtcEndpoint};
use serde_json::json;

use crate::ToBrowser;

/// Answers a browser's offer and sends it the endpoint's candidates as they are found.
///
/// The page gets `{"type":"answer","sdp":…}` and then `{"type":"candidate","candidate":…}`, both
/// with `mark` in the member `of`, by which a page with several connections tells them apart.
///
/// # Errors
/// What the media server says against the offer.
pub async fn negotiate(
    endpoint: &WebRtcEndpoint,
    offer: &str,
    browser: &ToBrowser,
    mark: Option<&str>,
) -> Result<(), Error> {
    // Subscribed before candidates can be found.
    let mut found = endpoint.on_ice_candidate_found().await?;
    let sdp = endpoint.process_offer(offer).await?;
    browser.send(&json!({"type": "answer", "sdp": sdp, "of": mark}));
    let (browser, mark) = (browser.clone(), mark.map(str::to_owned));
    // Ends with the endpoint.
    tokio::spawn(async move {
        while let Some(event) = found.recv().await {
            if let Ok(event) = event {
                let candidate = event.candidate;
                browser.send(&json!({"type": "candidate", "candidate": candidate, "of": mark}));
            }
        }
    });
    endpoint.gather_candidates().await
}
