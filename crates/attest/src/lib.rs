//! What is said about an image: its bill of materials, the record of its release, and how such artifacts hang on it.
//!
//! | what | artifact type |
//! |---|---|
//! | [`bom::spdx`], SPDX 2.3 as JSON | [`bom::SPDX_TYPE`] |
//! | [`Release`], what was shipped from what | [`RELEASE_TYPE`] |
//!
//! Values in, bytes out: no disk, no network, no clock, no chance. The same image gives the same bytes.

pub mod bom;
mod referrer;
mod release;

pub use referrer::{Referrer, referrer};
pub use release::{RELEASE_TYPE, Release, ReleaseBase, ReleaseLayer, ReleaseWeights, Sizes, Times};
