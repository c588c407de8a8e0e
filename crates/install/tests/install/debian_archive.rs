//! Locking a base: against Debian's real archive, and against a fake one that lies.

use std::time::{SystemTime, UNIX_EPOCH};

use corten_diagnostic::Nobody;
use corten_install::debian::{Archive, BaseRequest, Keyring, LockedBase, Mirrors, Variant, lock_base};
use corten_net::{Client, Settings};
use corten_oci::Architecture;
use corten_store::Store;

const DISTROLESS: &str = "base-files base-passwd ca-certificates gcc-12-base libbz2-1.0 libc-bin libc6 libcom-err2
    libcrypt1 libdb5.3 libexpat1 libffi8 libgcc-s1 libgomp1 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3
    libkrb5support0 liblzma5 libncursesw6 libnsl2 libpython3.11-minimal libpython3.11-stdlib libreadline8 libsqlite3-0
    libssl3 libstdc++6 libtinfo6 libtirpc-common libtirpc3 libuuid1 media-types netbase openssl python3.11-minimal
    readline-common tzdata zlib1g";
const DISTROLESS_TRIXIE: &str = "base-files base-passwd ca-certificates gcc-14-base libbz2-1.0 libc-bin libc6
    libdb5.3t64 libexpat1 libffi8 libgcc-s1 libgomp1 liblzma5 libncursesw6 libpython3.13-minimal
    libpython3.13-stdlib libreadline8t64 libsqlite3-0 libssl3t64 libstdc++6 libtinfo6 libuuid1 libzstd1 media-types
    netbase openssl openssl-provider-legacy python3.13-minimal readline-common tzdata zlib1g";
const SLIM_BESIDES: &str = "adduser apt bash bsdutils coreutils dash debconf debian-archive-keyring debianutils
    diffutils dpkg findutils gpgv grep gzip hostname init-system-helpers libacl1 libapt-pkg6.0 libattr1 libaudit-common
    libaudit1 libblkid1 libcap-ng0 libcap2 libdebconfclient0 libgcrypt20 libgmp10 libgnutls30 libgpg-error0 libhogweed6
    libidn2-0 liblz4-1 libmd0 libmount1 libnettle8 libp11-kit0 libpam-modules libpam-modules-bin libpam-runtime
    libpam0g libpcre2-8-0 libpython3-stdlib libseccomp2 libselinux1 libsemanage-common libsemanage2 libsepol2
    libsmartcols1 libsystemd0 libtasn1-6 libudev1 libunistring2 libxxhash0 libzstd1 login mawk ncurses-base ncurses-bin
    passwd perl-base python3 python3-minimal python3.11 sed sysvinit-utils tar usr-is-merged util-linux
    util-linux-extra";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn names(base: &LockedBase) -> Vec<&str> {
    base.debs.iter().map(|deb| deb.name.as_str()).collect()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.split_whitespace().collect();
    names.sort_unstable();
    names
}

#[test]
fn bases_of_the_real_archive_have_the_packages_that_were_measured() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let client = Client::new(Settings::default());
    let (mirrors, keyring) = (Mirrors::default(), Keyring::debian());
    let archive = Archive { client: &client, store: &store, mirrors: &mirrors, keyring: &keyring, events: &Nobody };
    let lock = |suite, variant| {
        let request =
            BaseRequest { suite, variant, architecture: Architecture::Amd64, extra: &[], now: now(), seen: None };
        lock_base(&archive, &request).unwrap()
    };
    let distroless = lock("bookworm", Variant::Distroless);
    assert_eq!(names(&distroless), sorted(DISTROLESS));
    assert_eq!((distroless.python.as_str(), distroless.glibc.as_str()), ("3.11.2", "2.36"));
    let slim = lock("bookworm", Variant::Slim);
    assert_eq!(names(&slim), sorted(&format!("{DISTROLESS} {SLIM_BESIDES}")));
    let trixie = lock("trixie", Variant::Distroless);
    assert_eq!(names(&trixie), sorted(DISTROLESS_TRIXIE));
    assert_eq!((trixie.python.as_str(), trixie.glibc.as_str()), ("3.13.5", "2.41"));
}
