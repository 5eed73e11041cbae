//! Transactions: several operations in order, later ones using results of earlier ones.
//!
//! Nothing is rolled back: the first operation that fails ends the transaction, and its error is
//! the last element of the answer. Operations may be transactions themselves.

use crate::{
    ConnectionKey, Now, ObjectModel, ReadRequest, answer::spend, call::Origin, request::Executed,
};
use salono_kurento_model::{Error, ErrorCode, Map, Value, wire::Request};
use std::{collections::VecDeque, sync::Arc};

/// Marks a text as the result of an earlier operation.
const NEW_REF: &str = "newref:";

/// Bytes that the references of one operation may turn into, all together. Each is some ten bytes
/// long and may stand for a whole module descriptor, so without a cap a frame could ask for gigabytes.
const MAX_RESOLVED_BYTES: usize = 1 << 20;

/// A transaction that is running.
#[derive(Debug)]
pub(crate) struct Transaction {
    origin: Origin,
    session: Arc<str>,
    operations: VecDeque<Value>,
    responses: Vec<Value>,
    /// Set by the first operation that fails.
    stopped: bool,
}

impl Transaction {
    /// Who gets the answer.
    pub(crate) fn into_origin(self) -> Origin {
        self.origin
    }
}

impl ObjectModel {
    /// Begins a transaction; the connection carries it out.
    pub(crate) fn begin_transaction(
        &mut self,
        origin: &Origin,
        session: Arc<str>,
        operations: Vec<Value>,
    ) -> Result<(), Error> {
        let limits = self.config.limits;
        if operations.len() > limits.transaction_operations {
            return Err(Error::new(
                ErrorCode::NotEnoughResources,
                format!(
                    "More than {} operations in a transaction",
                    limits.transaction_operations
                ),
            ));
        }
        for (index, operation) in operations.iter().enumerate() {
            let given = match operation {
                // Nothing counts as an operation without members, and no identifier as null.
                Value::Object(_) | Value::Null => {
                    operation_index(operation.get("id").unwrap_or(&Value::Null))
                }
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
            };
            if given != Some(index) {
                return Err(malformed(format!(
                    "Id of request '{index}' should be '{index}'"
                )));
            }
        }
        let Some(state) = self.connections.get_mut(&origin.connection) else {
            return Ok(());
        };
        if state.transactions.len() >= limits.transaction_depth {
            return Err(Error::new(
                ErrorCode::NotEnoughResources,
                format!(
                    "More than {} transactions inside of each other",
                    limits.transaction_depth
                ),
            ));
        }
        state.transactions.push(Transaction {
            origin: origin.clone(),
            session,
            operations: operations.into(),
            responses: Vec::new(),
            stopped: false,
        });
        Ok(())
    }

    /// Carries out the next operation of the innermost transaction, or ends it.
    pub(crate) fn run_transaction(&mut self, connection: ConnectionKey, now: Now) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        let Some(transaction) = state.transactions.last_mut() else {
            return;
        };
        let next = if transaction.stopped {
            None
        } else {
            transaction.operations.pop_front()
        };
        let Some(operation) = next else {
            if let Some(Transaction {
                origin, responses, ..
            }) = state.transactions.pop()
            {
                let result = crate::answer::with_session(&origin, Some(responses.into()));
                self.finish(&origin, Ok(result), now);
            }
            return;
        };
        let mut origin = Origin {
            connection,
            session: Some(transaction.session.clone()),
            id: Some(transaction.responses.len().into()),
            step: true,
        };
        let request = match read_operation(self.read_request, operation, &transaction.responses) {
            Ok(request) => request,
            Err(Failure::Operation(error)) => {
                self.finish(&origin, Err(error), now);
                return;
            }
            Err(Failure::Transaction(error)) => {
                if let Some(Transaction { origin, .. }) = state.transactions.pop() {
                    self.finish(&origin, Err(error), now);
                }
                return;
            }
        };
        match self.execute(&mut origin, request, now) {
            Executed::Done(result) => self.finish(&origin, result, now),
            Executed::Waiting => {
                if let Some(state) = self.connections.get_mut(&connection) {
                    state.step_waits = true;
                }
            }
            Executed::Begun => {}
        }
    }

    /// The innermost transaction's operation has its answer.
    pub(crate) fn step_done(&mut self, connection: ConnectionKey, result: Result<Value, Error>) {
        let transaction = self
            .connections
            .get_mut(&connection)
            .and_then(|state| state.transactions.last_mut());
        let Some(transaction) = transaction else {
            return;
        };
        transaction.stopped |= result.is_err();
        let response = response(transaction.responses.len(), result);
        transaction.responses.push(Value::Object(response));
    }
}

/// The answer to one operation, as JSON-RPC writes it.
fn response(id: usize, result: Result<Value, Error>) -> Map<String, Value> {
    let (name, value) = match result {
        Ok(value) => ("result", value),
        Err(error) => {
            let mut members = Map::from_iter([
                ("code".to_owned(), error.code.code().into()),
                ("message".to_owned(), error.message.as_str().into()),
            ]);
            if let Some(data) = error.data() {
                members.insert("data".to_owned(), data);
            }
            ("error", Value::Object(members))
        }
    };
    Map::from_iter([
        ("id".to_owned(), id.into()),
        ("jsonrpc".to_owned(), "2.0".into()),
        (name.to_owned(), value),
    ])
}

/// What a malformed operation ends.
enum Failure {
    /// Itself; earlier results are answered.
    Operation(Error),
    /// The whole transaction.
    Transaction(Error),
}

fn read_operation(
    read_request: ReadRequest,
    operation: Value,
    responses: &[Value],
) -> Result<Request, Failure> {
    let Value::Object(mut operation) = operation else {
        return Err(Failure::Operation(invalid_request()));
    };
    let Some(Value::String(method)) = operation.remove("method") else {
        return Err(Failure::Operation(invalid_request()));
    };
    let mut params = operation.remove("params");
    if let Some(params) = &mut params {
        resolve(params, responses, &mut { MAX_RESOLVED_BYTES }).map_err(Failure::Transaction)?;
    }
    read_request(&method, params).map_err(Failure::Operation)
}

/// Replaces every reference to an earlier result, however deep, while `left` bytes last.
fn resolve(value: &mut Value, responses: &[Value], left: &mut usize) -> Result<(), Error> {
    match value {
        Value::String(text) => {
            let Some(index) = text.strip_prefix(NEW_REF).filter(|index| !index.is_empty()) else {
                return Ok(());
            };
            let index: usize = index
                .parse()
                .map_err(|_| malformed(format!("Invalid index of newref '{text}'")))?;
            let result = responses
                .get(index)
                .and_then(|response| response.get("result")?.get("value"))
                .ok_or_else(|| malformed(format!("Result not found on request {index}")))?;
            if !spend(result, left) {
                return Err(Error::new(
                    ErrorCode::NotEnoughResources,
                    format!("More than {MAX_RESOLVED_BYTES} bytes of results in one operation"),
                ));
            }
            *value = result.clone();
            Ok(())
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| resolve(item, responses, left)),
        Value::Object(members) => members
            .values_mut()
            .try_for_each(|item| resolve(item, responses, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// An identifier as Kurento converts it to an index.
fn operation_index(id: &Value) -> Option<usize> {
    match id {
        Value::Null => Some(0),
        Value::Bool(flag) => Some(usize::from(*flag)),
        Value::Number(number) => match number.as_u64() {
            Some(index) => usize::try_from(index).ok(),
            None => whole_part(number.as_f64()?),
        },
        Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The index in a real number, which counts without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction is to go, and the range is checked"
)]
fn whole_part(real: f64) -> Option<usize> {
    (0.0..f64::from(u32::MAX))
        .contains(&real)
        .then_some(real as usize)
}

fn malformed(message: String) -> Error {
    Error::new(ErrorCode::MalformedTransaction, message)
}

fn invalid_request() -> Error {
    Error::new(ErrorCode::InvalidRequest, "Invalid JSON-RPC request.")
}
