//! Trees that uv builds itself.
