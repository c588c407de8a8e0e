//! Wheels to layers.
