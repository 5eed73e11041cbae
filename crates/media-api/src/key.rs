//! Keys: handed out by the control side, counted up, never reused.

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        pub struct $name(pub u64);
    };
}

key! {
    /// A media pipeline. A big one has elements on several shards.
    PipelineKey
}
key! {
    /// An element of a pipeline; unique over all pipelines of a process.
    ElementKey
}
key! {
    /// A viewer: whoever receives by several endpoints of a pipeline.
    ViewerKey
}
key! {
    /// Ties an answer to the command that asked for it.
    Token
}
