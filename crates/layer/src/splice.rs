//! Joins raw deflate streams and our own blocks to one gzip member (layout m0).
