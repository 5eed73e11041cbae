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
        let options = call.params.get("options");
        let again = options
            .and_then(|options| options.get("iceRestart"))
            .and_then(Value::as_bool);
        let before = self.move_on(call.object, Negotiation::Offered, |now| match now {
            Negotiation::New => Ok(()),
            Negotiation::Completed | Negotiation::Answered if again.is_some() => Ok(()),
            Negotiation::Offered
            | Negotiation::Completing
            | Negotiation::Completed
            | Negotiation::Answering
            | Negotiation::Answered => Err(already_negotiated()),
        })?;
        // There is nothing yet to restart.
        let again = again.filter(|_| before != Negotiation::New);
        let wanted = |name: &str| {
            call.params
                .get("options")
                .and_then(|options| options.get(name))
                .and_then(Value::as_bool)
                .unwrap_or(true)
        };
        let kinds = OfferKinds {
            audio: wanted("offerToReceiveAudio"),
            video: wanted("offerToReceiveVideo"),
            again,
        };
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

pub(crate) fn already_negotiated() -> Error {
    Error::new(
        ErrorCode::SdpAlreadyNegotiated,
        "Endpoint already negotiated",
    )
}
