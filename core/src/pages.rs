//! Names of published files: each contains a hash of the content.
//!
//! Here belongs what turns files into other files and names, from bytes that the
//! caller has read. It uses no other module. Reading, rendering and publishing are the
//! back end's (`backend/src/pages`).

/// Content-hashed names for the shop's assets.
pub mod assets;
/// Pictures of products.
pub mod picture;
