//! The analysis role on a real Redis and a real database: what is written into an
//! access log, and who is banned for it.

/// What people decide.
mod console;
/// One log file.
mod following;
/// Who is found and banned.
mod judging;
/// A shop whose log is written by hand.
mod shop;
