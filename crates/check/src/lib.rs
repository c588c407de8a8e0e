//! Rules over a plan and an image; policy and verdict.
