//! What the user sees: errors, progress, tables. The only place that prints.

pub mod error;
pub mod progress;
pub mod text;

pub use progress::Progress;
