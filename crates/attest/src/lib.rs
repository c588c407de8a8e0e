//! What is said about an image: its bill of materials, the record of its release, and how such artifacts hang on it.
//!
//! | what | artifact type |
//! |---|---|
//! | [`bom::spdx`], SPDX 2.3 as JSON | [`bom::SPDX_TYPE`] |
//! | [`Release`], what was shipped from what | [`RELEASE_TYPE`] |
//!
//! Of what is built from a Dockerfile the same bill and [`provenance()`] stand in the image's index, as BuildKit has them
//! ([`attest`]).
//!
//! Values in, bytes out: no disk, no network, no clock, no chance. The same image gives the same bytes.

mod attestation;
pub mod bom;
mod provenance;
mod referrer;
mod release;

pub use attestation::{
    ATTESTATION_MANIFEST, Attested, PREDICATE, PROVENANCE_PREDICATE, REFERENCE_DIGEST, REFERENCE_TYPE, SPDX_PREDICATE,
    Statement, Subject, about_files, attest,
};
pub use provenance::{Material, Provenance, Whole, brief, provenance};
pub use referrer::{Referrer, referrer};
pub use release::{RELEASE_TYPE, Release, ReleaseBase, ReleaseLayer, ReleaseWeights, Sizes, Times};
