//! The local engine: solves a plan into an image.
