//! `ServerManager`: facts about the server, its modules and its objects.

use crate::{
    ObjectModel,
    call::{Call, Outcome, Then},
    create::is_available,
    tree::Body,
};
use salono_kurento_model::{Error, ErrorCode, KURENTO, Map, Value, tagged};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Counters of the host, read by the shell on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostFacts {
    /// Processors that the process may use.
    pub processors: u32,
    /// Resident memory of the process, KiB.
    pub resident_kib: u64,
    /// Processor time of the process so far, user and system.
    pub processor_time: Duration,
}

impl ObjectModel {
    pub(crate) fn call_manager(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let answer = match call.operation {
            "getInfo" => Ok(Outcome::Value(self.server_info())),
            "getPipelines" => Outcome::value(self.pipeline_ids(call.session)),
            "getSessions" => {
                // A session id is all that it takes to be that session.
                let ids: Vec<&str> = self
                    .sessions
                    .ids()
                    .filter(|id| !self.config.isolate_sessions || *id == call.session)
                    .map(AsRef::as_ref)
                    .collect();
                Outcome::value(ids)
            }
            "getMetadata" => Outcome::value(self.config.metadata.as_str()),
            "getKmd" => {
                let module = call.text("moduleName").unwrap_or_default();
                match self.registry.kmd(module) {
                    Some(text) => Outcome::value(text),
                    None => Err(Error::new(
                        ErrorCode::KmdNotFound,
                        "Requested kmd module doesn't exist",
                    )),
                }
            }
            "getCpuCount" => Ok(self.ask_host(Then::Processors)),
            "getUsedMemory" => Ok(self.ask_host(Then::Memory)),
            "getUsedCpu" => {
                let milliseconds = call.int("interval").unwrap_or_default();
                let interval = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
                let longest = self.config.limits.load_interval;
                let interval = interval.max(Duration::from_millis(1)).min(longest);
                Ok(self.ask_host(Then::LoadBegin { interval }))
            }
            _ => return None,
        };
        Some(answer)
    }

    fn pipeline_ids(&self, session: &Arc<str>) -> Vec<&str> {
        self.tree
            .iter()
            .filter(|object| matches!(object.body, Body::Pipeline { .. }))
            .filter(|object| self.is_visible(session, object))
            .map(|object| object.id.as_ref())
            .collect()
    }

    fn server_info(&self) -> Value {
        let modules: Value = self
            .registry
            .modules()
            .iter()
            .filter_map(|module| {
                let factories: Vec<&str> = module
                    .factories
                    .iter()
                    .map(String::as_str)
                    .filter(|class| {
                        module.file.is_some()
                            || is_available(&format!("{}.{class}", module.namespace))
                    })
                    .collect();
                // Clients refuse a server without the built-in modules; others are listed when
                // they are of use.
                if factories.is_empty() && module.namespace != KURENTO {
                    return None;
                }
                let members = Map::from_iter([
                    ("version".to_owned(), module.version.as_str().into()),
                    ("name".to_owned(), module.name.as_str().into()),
                    ("generationTime".to_owned(), "".into()),
                    ("factories".to_owned(), factories.into()),
                ]);
                Some(tagged(KURENTO, "ModuleInfo", members))
            })
            .collect();
        let members = Map::from_iter([
            ("version".to_owned(), self.config.version.as_str().into()),
            ("modules".to_owned(), modules),
            ("type".to_owned(), "KMS".into()),
            (
                "capabilities".to_owned(),
                Value::Array(vec!["transactions".into()]),
            ),
        ]);
        tagged(KURENTO, "ServerInfo", members)
    }
}

/// The answer to what waited for the host's counters.
pub(crate) fn host_value(then: &Then, facts: HostFacts, at: Instant) -> Result<Value, Error> {
    match then {
        Then::Memory => Ok(facts.resident_kib.into()),
        Then::Processors => Ok(facts.processors.into()),
        Then::LoadEnd { begin, since } => {
            let used = facts.processor_time.saturating_sub(begin.processor_time);
            let passed = at.saturating_duration_since(*since);
            if passed.is_zero() {
                return Ok(0.0.into());
            }
            Ok((100.0 * used.as_secs_f64() / passed.as_secs_f64()).into())
        }
        Then::LoadBegin { .. }
        | Then::Create { .. }
        | Then::Offer { .. }
        | Then::Answer { .. }
        | Then::Complete { .. }
        | Then::Description { .. }
        | Then::Confirm
        | Then::Processed(_)
        | Then::Invoked { .. }
        | Then::StopAndWait
        | Then::Release { .. }
        | Then::Listen { .. }
        | Then::CloseChannel
        | Then::Stats { .. } => Err(Error::new(
            ErrorCode::InternalError,
            "Unexpected error while processing method: counters of the host came unasked",
        )),
    }
}
