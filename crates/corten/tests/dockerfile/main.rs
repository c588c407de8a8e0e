//! Dockerfiles as the engine builds them, beside what BuildKit made of the same (shared data).

mod build;
mod cache_key;
mod conformance;
mod steps;
