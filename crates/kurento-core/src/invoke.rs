//! From an operation to the class that carries it out.

use crate::{
    ObjectModel,
    call::{Asked, Call, Outcome},
    processing::Answer,
    tree::Body,
};
use salono_kurento_model::{Error, ErrorCode};
use salono_media_api::processing::ProcessorCall;

impl ObjectModel {
    /// Carries out an operation that the object's class declares.
    pub(crate) fn call(&mut self, call: Call<'_>) -> Result<Outcome, Error> {
        if let Some(result) = self.call_object(&call) {
            return result;
        }
        if call.operation == "getGstreamerDot" && self.processed_mut(call.object).is_some() {
            // What there is of GStreamer is in the processor.
            return self.carry_on(&call, Answer::Ask(ProcessorCall::Dot, Asked::Text));
        }
        let Some(object) = self.tree.get(call.object) else {
            return Ok(Outcome::VOID);
        };
        match call.operation {
            "getGstreamerDot" => {
                return Outcome::value(self.dot(call.object, call.text("details")));
            }
            "dumpGstreamerDot" => {
                let id = object.id.clone();
                let text = self.dot(call.object, call.text("details"));
                self.write_graph(&id, text);
                return Ok(Outcome::VOID);
            }
            _ => {}
        }
        let result = match &object.body {
            Body::Manager => self.call_manager(&call),
            Body::Pipeline { .. } => self.call_pipeline(&call),
            Body::Element(_) => self.call_element(&call),
            Body::Hub(_) => self.call_hub(&call),
            Body::Speakers(_) => self.call_speakers(&call),
            Body::Adaptation(_) => self.call_adaptation(&call),
        };
        result.unwrap_or_else(|| {
            Err(Error::new(
                ErrorCode::NotImplemented,
                format!("'{}' is not available on this server", call.operation),
            ))
        })
    }
}
