//! Names of published files: each contains a hash of the content.

/// Content-hashed names for the shop's assets.
pub mod assets;
/// Pictures of products.
pub mod picture;
