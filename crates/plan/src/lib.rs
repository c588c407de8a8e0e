//! The contracts: what to build, everything pinned ([`Plan`]); what Corten itself has locked ([`CortenLock`]); who builds
//! it ([`Engine`]).
//!
//! A plan never holds a floating name: bases by digest or archive state, packages by hash, files by digest. So an
//! engine cannot be given a tag, and a plan's steps are the keys of what has been built before.

mod engine;
mod lock;
mod plan;
pub mod recipe;

pub use engine::{Built, BuiltLayer, Engine, Installed};
pub use lock::{
    ArchiveState, CortenLock, LockedBase, LockedBuild, LockedBuilds, LockedDeb, LockedImage, LockedInterpreter,
    LockedLock, LockedPackages, LockedPlace, LockedWeight, Mirror,
};
pub use plan::{
    AppFiles, Bytecode, Compiler, Compression, Debs, FetchedFile, GeneratedFile, GeneratedKind, GivenLayer, ImageSpec,
    LockedWheel, Op, OwnWheel, OwnWheels, Packages, Plan, PythonTarget, Sdist, SourceFile, Sources, Step, StepId,
    Target, Variant, WheelMember, Wheels,
};
