//! Commands to elements that are not answered yet.

use salono_media_api::processing::ProcessorCall;
use salono_media_api::{ElementKey, Token};
use std::collections::{BTreeMap, VecDeque};

/// What an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// That the element was created.
    Create,
    /// A call.
    Call,
}

/// A call that waits for a processor.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) token: Token,
    pub(crate) element: ElementKey,
    pub(crate) call: Box<ProcessorCall>,
}

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    asked: BTreeMap<Token, (ElementKey, Asked)>,
    waiting: VecDeque<Waiting>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.asked.len() + self.waiting.len()
    }

    /// Lets a call wait until there is a processor.
    pub(crate) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// The next call to make, now that there is one.
    pub(crate) fn next_waiting(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// The processor was asked.
    pub(crate) fn ask(&mut self, token: Token, element: ElementKey, asked: Asked) {
        self.asked.insert(token, (element, asked));
    }

    /// What the processor answered; `None` when it was not asked.
    pub(crate) fn answer(&mut self, token: Token) -> Option<(ElementKey, Asked)> {
        self.asked.remove(&token)
    }

    /// Gives up what the processor was asked.
    pub(crate) fn take_asked(&mut self) -> Vec<(Token, ElementKey, Asked)> {
        let asked = std::mem::take(&mut self.asked).into_iter();
        asked
            .map(|(token, (element, asked))| (token, element, asked))
            .collect()
    }

    /// Gives up the calls that wait.
    pub(crate) fn take_waiting(&mut self) -> Vec<Token> {
        let waiting = self.waiting.drain(..);
        waiting.map(|waiting| waiting.token).collect()
    }

    /// Gives up what concerns an element that ends.
    pub(crate) fn forget(&mut self, element: ElementKey) -> Vec<Token> {
        let mut tokens = Vec::new();
        self.waiting.retain(|waiting| {
            let is_kept = waiting.element != element;
            if !is_kept {
                tokens.push(waiting.token);
            }
            is_kept
        });
        self.asked.retain(|token, (of, _)| {
            let is_kept = *of != element;
            if !is_kept {
                tokens.push(*token);
            }
            is_kept
        });
        tokens
    }
}
