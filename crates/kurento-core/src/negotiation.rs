//! `SdpEndpoint`: one offer and one answer per endpoint, and beyond Kurento further ones of the same
//! session.
//!
//! The engine parses and makes the descriptions; here is the order in which clients may ask for
//! them. Flags move when a request begins, so that a second one cannot slip in while the engine
//! works, and move back when the engine refuses.

use crate::{
    ObjectModel,
    call::{Call, Outcome, Then},
};
use salono_kurento_model::{Error, ErrorCode, Value};
use salono_media_api::{ElementKey, OfferKinds, Op};

/// Most m-lines of a kind that an offer may be asked for.
const MAX_LINES: u64 = 32;

/// Where the only offer and answer of an endpoint's life stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negotiation {
    /// Nothing yet.
    New,
    /// Our offer is being made or waits for its answer.
    Offered,
    /// The answer to our offer is being applied.
    Completing,
    /// The answer to our offer is applied.
    Completed,
    /// A remote offer is being answered.
    Answering,
    /// A remote offer is answered.
    Answered,
}

impl ObjectModel {
    pub(crate) fn generate_offer(
        &mut self,
        pipeline: u64,
        call: &Call<'_>,
    ) -> Result<Outcome, Error> {
        let wish = OfferWish::read(call.params.get("options"))?;
        let before = self.move_on(call.object, Negotiation::Offered, |now| match now {
            Negotiation::New => Ok(()),
            Negotiation::Completed | Negotiation::Answered if wish.is_further() => Ok(()),
            Negotiation::Offered
            | Negotiation::Completing
            | Negotiation::Completed
            | Negotiation::Answering
            | Negotiation::Answered => Err(already_negotiated()),
        })?;
        let kinds = wish.kinds(before == Negotiation::New);
        let object = call.object;
        let element = ElementKey(object);
        let token = self.ask(pipeline, |token| Op::GenerateOffer {
            token,
            element,
            kinds,
        });
        Ok(Outcome::Later(token, Then::Offer { object, before }))
    }

    pub(crate) fn process_offer(
        &mut self,
        pipeline: u64,
        call: &Call<'_>,
    ) -> Result<Outcome, Error> {
        let sdp = self.description_param(call, "offer", "Empty offer not valid")?;
        // Whether it is a further offer of the same session, the engine sees.
        let before = self.move_on(call.object, Negotiation::Answering, |now| match now {
            Negotiation::New | Negotiation::Completed | Negotiation::Answered => Ok(()),
            Negotiation::Offered | Negotiation::Completing | Negotiation::Answering => {
                Err(already_negotiated())
            }
        })?;
        let object = call.object;
        let element = ElementKey(object);
        let token = self.ask(pipeline, |token| Op::ProcessOffer {
            token,
            element,
            sdp,
        });
        Ok(Outcome::Later(token, Then::Answer { object, before }))
    }

    pub(crate) fn process_answer(
        &mut self,
        pipeline: u64,
        call: &Call<'_>,
    ) -> Result<Outcome, Error> {
        let sdp = self.description_param(call, "answer", "Empty answer not valid")?;
        self.move_on(call.object, Negotiation::Completing, |now| match now {
            Negotiation::Offered => Ok(()),
            Negotiation::New | Negotiation::Answering | Negotiation::Answered => Err(Error::new(
                ErrorCode::SdpNotOfferGenerated,
                "Offer not generated. It is not possible to process an answer.",
            )),
            Negotiation::Completing | Negotiation::Completed => Err(Error::new(
                ErrorCode::SdpAnswerAlreadyProcessed,
                "Sdp Answer already processed",
            )),
        })?;
        let object = call.object;
        let element = ElementKey(object);
        let token = self.ask(pipeline, |token| Op::ProcessAnswer {
            token,
            element,
            sdp,
        });
        Ok(Outcome::Later(token, Then::Complete { object }))
    }

    /// Returns the state before.
    fn move_on(
        &mut self,
        key: u64,
        next: Negotiation,
        check: impl Fn(Negotiation) -> Result<(), Error>,
    ) -> Result<Negotiation, Error> {
        let Some(endpoint) = self.endpoint_mut(key) else {
            return Ok(Negotiation::New);
        };
        check(endpoint.negotiation)?;
        Ok(std::mem::replace(&mut endpoint.negotiation, next))
    }

    fn description_param(&self, call: &Call<'_>, name: &str, empty: &str) -> Result<String, Error> {
        let sdp = call.text(name).unwrap_or_default();
        let limit = self.config.limits.sdp_bytes;
        if sdp.is_empty() {
            return Err(Error::new(ErrorCode::SdpParseError, empty));
        }
        if sdp.len() > limit {
            return Err(Error::new(
                ErrorCode::SdpParseError,
                format!("Error parsing SDP: longer than {limit} bytes"),
            ));
        }
        Ok(sdp.to_owned())
    }

    pub(crate) fn description(
        &mut self,
        pipeline: u64,
        object: u64,
        remote: bool,
    ) -> Result<Outcome, Error> {
        let element = ElementKey(object);
        let token = self.ask(pipeline, |token| Op::Description {
            token,
            element,
            remote,
        });
        Ok(Outcome::Later(token, Then::Description { remote }))
    }
}

/// What an offer is asked to contain: members of Kurento's `OfferOptions`, and ours.
struct OfferWish {
    ice_restart: Option<bool>,
    /// Whether at all, of audio and of video.
    wanted: [bool; 2],
    /// How many, of audio and of video.
    counts: [Option<u16>; 2],
}

impl OfferWish {
    fn read(options: Option<&Value>) -> Result<Self, Error> {
        let member = |name: &str| options.and_then(|options| options.get(name));
        let flag = |name| member(name).and_then(Value::as_bool);
        let count = |name: &str| {
            let Some(value) = member(name).filter(|value| !value.is_null()) else {
                return Ok(None);
            };
            let count = value.as_u64().filter(|count| *count <= MAX_LINES);
            match count.and_then(|count| u16::try_from(count).ok()) {
                Some(count) => Ok(Some(count)),
                None => Err(Error::new(
                    ErrorCode::MediaObjectIllegalParam,
                    format!("'{name}' must be a number from 0 to {MAX_LINES}"),
                )),
            }
        };
        Ok(Self {
            ice_restart: flag("iceRestart"),
            wanted: ["offerToReceiveAudio", "offerToReceiveVideo"]
                .map(|name| flag(name).unwrap_or(true)),
            counts: [count("numAudioMedias")?, count("numVideoMedias")?],
        })
    }

    /// Whether it makes sense on an endpoint that is negotiated already.
    fn is_further(&self) -> bool {
        self.ice_restart.is_some() || self.counts.iter().any(Option::is_some)
    }

    fn kinds(&self, is_first: bool) -> OfferKinds {
        let [audio, video] = [0, 1].map(|kind| match self.counts[kind] {
            Some(count) if self.wanted[kind] => count,
            // There is what there is.
            None if is_first && self.wanted[kind] => 1,
            Some(_) | None => 0,
        });
        // At first there is nothing yet to restart.
        let again = (!is_first).then(|| self.ice_restart.unwrap_or(false));
        OfferKinds {
            audio,
            video,
            again,
        }
    }
}

pub(crate) fn already_negotiated() -> Error {
    Error::new(
        ErrorCode::SdpAlreadyNegotiated,
        "Endpoint already negotiated",
    )
}
