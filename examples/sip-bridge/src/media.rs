//! What the media server does for a call.

use salono_examples::{ToBrowser, negotiate};
use salono_kurento_client::{Client, Error, MediaPipeline, RtpEndpoint, WebRtcEndpoint};

/// A caller on the media server, and who hears them.
#[derive(Debug, Clone)]
pub struct Media {
    pipeline: MediaPipeline,
    phone: RtpEndpoint,
    /// The browser that takes the call; without one callers hear themselves.
    page: Option<WebRtcEndpoint>,
}

impl Media {
    /// Answers a caller's offer. With `page`, the call waits for a browser.
    ///
    /// Everything is created in a pipeline of its own, so that releasing it ends everything.
    ///
    /// # Errors
    /// When the media server refuses something, the offer for one.
    pub async fn answer(client: &Client, offer: &str, page: bool) -> Result<(Self, String), Error> {
        let pipeline = MediaPipeline::create(client).await?;
        match Self::answer_in(&pipeline, offer, page).await {
            Ok(answered) => Ok(answered),
            Err(error) => {
                // What was asked for matters more than whether this works.
                let _ = pipeline.release().await;
                Err(error)
            }
        }
    }

    async fn answer_in(
        pipeline: &MediaPipeline,
        offer: &str,
        page: bool,
    ) -> Result<(Self, String), Error> {
        let phone = RtpEndpoint::create(pipeline).await?;
        let page = if page {
            Some(WebRtcEndpoint::create(pipeline).await?)
        } else {
            None
        };
        let media = Self {
            pipeline: pipeline.clone(),
            phone,
            page,
        };
        let answer = media.phone.process_offer(offer).await?;
        if media.page.is_none() {
            media.join().await?;
        }
        Ok((media, answer))
    }

    /// Connects the browser that takes the call, by its offer.
    ///
    /// # Errors
    /// When the media server refuses something.
    pub async fn take(&self, offer: &str, browser: &ToBrowser) -> Result<(), Error> {
        if let Some(page) = &self.page {
            negotiate(page, offer, browser, None).await?;
        }
        self.join().await
    }

    /// Answers a further offer of the caller: an `RtpEndpoint` is negotiated once, so another one
    /// takes its place.
    ///
    /// An answer that takes nothing of the offer changes nothing.
    ///
    /// # Errors
    /// When the media server refuses something; the call goes on as before.
    pub async fn change(&self, offer: &str) -> Result<(Self, String), Error> {
        let phone = RtpEndpoint::create(&self.pipeline).await?;
        let answer = phone.process_offer(offer).await;
        if !answer.as_ref().is_ok_and(|answer| has_media(answer)) {
            // It is of no use whether this works or not.
            let _ = phone.release().await;
            return answer.map(|answer| (self.clone(), answer));
        }
        let answer = answer?;
        let changed = Self {
            phone,
            ..self.clone()
        };
        changed.join().await?;
        // One that is gone already is as good.
        let _ = self.phone.release().await;
        Ok((changed, answer))
    }

    async fn join(&self) -> Result<(), Error> {
        match &self.page {
            Some(page) => {
                self.phone.connect(page).await?;
                page.connect(&self.phone).await
            }
            None => self.phone.connect(&self.phone).await,
        }
    }

    /// The browser's endpoint.
    #[must_use]
    pub fn page(&self) -> Option<&WebRtcEndpoint> {
        self.page.as_ref()
    }

    /// Ends what the call was connected to.
    pub fn hang_up(self) {
        tokio::spawn(async move {
            // One that is gone already is as good.
            let _ = self.pipeline.release().await;
        });
    }
}

/// Names of the audio codecs of a description, best first, as browsers call them.
#[must_use]
pub fn codecs(sdp: &str) -> Vec<String> {
    let mut lines = sdp
        .lines()
        .skip_while(|line| !line.starts_with("m=audio "))
        .take_while(|line| line.starts_with("m=audio ") || !line.starts_with("m="));
    let formats: Vec<&str> = lines
        .next()
        .map(|line| line.split_whitespace().skip(3).collect())
        .unwrap_or_default();
    let names: Vec<(&str, &str)> = lines
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '))
        .collect();
    let name = |format: &&str| match *format {
        // Their names may be left out (RFC 3551 §6).
        "0" => Some("PCMU".to_owned()),
        "8" => Some("PCMA".to_owned()),
        format => {
            let (_, name) = names.iter().find(|(of, _)| *of == format)?;
            Some(name.split('/').next()?.to_owned())
        }
    };
    formats.iter().filter_map(name).collect()
}

/// Whether an answer takes anything of its offer.
#[must_use]
pub fn has_media(sdp: &str) -> bool {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("m="))
        .any(|line| line.split(' ').nth(1).is_some_and(|port| port != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_named_in_the_order_of_the_description() {
        let sdp = "v=0\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n\
                   m=audio 5000 RTP/AVP 8 0 96 101\r\na=rtpmap:96 opus/48000/2\r\n\
                   a=rtpmap:101 telephone-event/8000\r\nm=video 1 RTP/AVP 0\r\n";
        assert_eq!(codecs(sdp), ["PCMA", "PCMU", "opus", "telephone-event"]);
        assert!(codecs("v=0\r\n").is_empty());
        assert!(has_media(sdp) && !has_media("v=0\r\nm=audio 0 RTP/AVP 8\r\n"));
    }
}
