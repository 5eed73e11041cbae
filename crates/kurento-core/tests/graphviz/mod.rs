//! A checker of the part of the DOT language (Graphviz) that graphs of pipelines use.

/// A token: an identifier, a quoted text, or one of `{ } [ ] ; = ->`.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    Id(String),
    Quoted(String),
    Mark(&'static str),
}

/// What a graph says: its nodes with their labels, and its arrows with theirs.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<(String, String)>,
    pub(crate) edges: Vec<(String, String, String)>,
}

/// Reads a whole `digraph`; panics where Graphviz would complain.
pub(crate) fn check(text: &str) -> Graph {
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
        graph: Graph::default(),
    };
    reader.expect(&Token::Id("digraph".to_owned()));
    reader.id();
    reader.block();
    assert_eq!(reader.at, reader.tokens.len(), "text behind the graph");
    reader.graph
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let mark = ["->", "{", "}", "[", "]", ";", "="]
            .into_iter()
            .find(|mark| rest.starts_with(mark));
        let length = if let Some(mark) = mark {
            tokens.push(Token::Mark(mark));
            mark.len()
        } else if first == '"' {
            let mut content = String::new();
            let mut characters = rest.char_indices().skip(1);
            let end = loop {
                match characters.next().expect("a closed text") {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next().expect("an escaped character").1 {
                        'n' => content.push('\n'),
                        other => content.push(other),
                    },
                    (_, other) => content.push(other),
                }
            };
            tokens.push(Token::Quoted(content));
            end + 1
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            assert!(end > 0, "not DOT: {rest}");
            assert!(!first.is_ascii_digit(), "not an identifier: {rest}");
            tokens.push(Token::Id(rest[..end].to_owned()));
            end
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    graph: Graph,
}

impl Reader {
    fn next(&mut self) -> Token {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn takes(&mut self, mark: &'static str) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) {
        assert_eq!(&self.next(), token);
    }

    fn id(&mut self) -> String {
        match self.next() {
            Token::Id(id) => id,
            other @ (Token::Quoted(_) | Token::Mark(_)) => panic!("{other:?} is no identifier"),
        }
    }

    fn value(&mut self) -> String {
        match self.next() {
            Token::Id(text) | Token::Quoted(text) => text,
            Token::Mark(mark) => panic!("{mark} is no value"),
        }
    }

    fn block(&mut self) {
        self.expect(&Token::Mark("{"));
        while !self.takes("}") {
            let id = self.id();
            if id == "subgraph" {
                self.id();
                self.block();
                continue;
            }
            if self.takes("=") {
                self.value();
            } else if self.takes("->") {
                let to = self.id();
                let label = self.attributes();
                self.graph.edges.push((id, to, label));
            } else {
                let label = self.attributes();
                // `node` sets what holds for all nodes.
                if id != "node" {
                    self.graph.nodes.push((id, label));
                }
            }
            self.expect(&Token::Mark(";"));
        }
    }

    /// The `label` of an attribute list; empty without one.
    fn attributes(&mut self) -> String {
        let mut label = String::new();
        if self.takes("[") {
            while !self.takes("]") {
                let name = self.id();
                self.expect(&Token::Mark("="));
                let value = self.value();
                if name == "label" {
                    label = value;
                }
            }
        }
        label
    }
}
