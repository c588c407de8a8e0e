//! Between the plan's words and those of install and layer, which do not know plans.

use std::io::Write;
use std::num::NonZeroUsize;

use corten_install::debian;
use corten_install::libraries::Watcher;
use corten_layer::write::{Compression, LayerWriter};
use corten_plan::{ArchiveState, LockedBase, LockedDeb, Mirror, Op, Plan, Variant};

/// How a layer becomes a blob.
#[derive(Clone)]
pub struct Encoding {
    /// Decides the bytes.
    pub compression: Compression,
    /// How many compress; decides nothing.
    pub threads: NonZeroUsize,
    /// Sees the programs of the layer.
    pub watcher: Watcher,
}

impl Encoding {
    /// A new layer; `mtime` in seconds since 1970.
    pub fn writer<W: Write>(&self, sink: W, mtime: u64) -> LayerWriter<W> {
        LayerWriter::with_threads(sink, self.compression, mtime, self.threads).watched(self.watcher.clone())
    }
}

/// How the layer of a step is compressed.
pub fn compression(plan: &Plan, op: &Op) -> Compression {
    let wanted = match op {
        Op::App(app) => app.compression,
        _ => plan.compression,
    };
    match wanted {
        corten_plan::Compression::Stored => Compression::Stored,
        corten_plan::Compression::Splice => Compression::Splice,
        corten_plan::Compression::Gzip => Compression::Gzip,
        corten_plan::Compression::Zstd => Compression::Zstd,
        corten_plan::Compression::Estargz => Compression::Estargz,
    }
}

/// A variant as install calls it.
pub fn variant(variant: Variant) -> debian::Variant {
    match variant {
        Variant::Distroless => debian::Variant::Distroless,
        Variant::Slim => debian::Variant::Slim,
    }
}

/// A package of a plan, for install.
pub fn to_install(deb: &LockedDeb) -> debian::LockedDeb {
    debian::LockedDeb {
        name: deb.name.clone(),
        version: deb.version.clone(),
        architecture: deb.architecture.clone(),
        mirror: match deb.mirror {
            Mirror::Main => debian::Mirror::Main,
            Mirror::Security => debian::Mirror::Security,
        },
        path: deb.path.clone(),
        size: deb.size,
        digest: deb.digest,
    }
}

/// A package of install, for corten.lock.
pub fn from_install(deb: debian::LockedDeb) -> LockedDeb {
    LockedDeb {
        name: deb.name,
        version: deb.version,
        architecture: deb.architecture,
        mirror: match deb.mirror {
            debian::Mirror::Main => Mirror::Main,
            debian::Mirror::Security => Mirror::Security,
        },
        path: deb.path,
        size: deb.size,
        digest: deb.digest,
    }
}

/// A base of install, for corten.lock: Debian's packages alone.
pub fn base_from_install(locked: debian::LockedBase, reference: String, variant: Variant) -> LockedBase {
    LockedBase {
        reference,
        variant,
        architecture: locked.architecture,
        python: locked.python,
        glibc: locked.glibc,
        seeds: locked.seeds,
        archive: ArchiveState { suite: locked.suite, epoch: locked.epoch },
        debs: locked.debs.into_iter().map(from_install).collect(),
        packages: None,
        image: None,
        interpreter: None,
    }
}
