//! Readers of the segments' outboxes, the streams to which the stock scripts append
//! one event per change. Each reader has a consumer group of its own.

/// Archives every event of every segment in the database.
pub mod archive;
/// Events as the outbox holds them.
mod event;
/// Which outboxes there are, and what is new in them.
mod reader;
/// The relay: moves events from the outbox to the queue.
pub mod relay;
