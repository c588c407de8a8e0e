//! Between the plan's words and those of install, which does not know plans.

use corten_install::debian;
use corten_plan::{LockedDeb, Mirror, Variant};

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
