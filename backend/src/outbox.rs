//! Readers of the segments' outboxes, the streams to which the stock scripts append
//! one event per change. Each reads with a consumer group of its own. They may use the
//! queue, the database, Redis, and what the edges are notified by.

/// Archives every event of every segment in the database.
pub mod archive;
/// Events as the outbox holds them.
pub(crate) mod event;
/// Which outboxes there are, and what is new in them.
pub mod reader;
/// The relay: publishes events from the outboxes to the queue.
pub mod relay;
