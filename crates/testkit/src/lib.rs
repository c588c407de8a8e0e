//! Strict fakes: package index, Debian archive, command harness.
