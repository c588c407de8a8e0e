//! The packages whose scripts were read, and what becomes of each: [`made`] in their place, [`HARMLESS`], or [`REFUSED`].

use crate::debian::alternatives::{Follower, Install};

/// What a package needs that its script would make.
#[derive(Default)]
pub(super) struct Made {
    /// Name and home of a user with a group of its own.
    pub user: Option<(&'static str, &'static str)>,
    /// A group without user.
    pub group: Option<&'static str>,
    /// In the order in which they are made.
    pub folders: &'static [Folder],
    /// Links: where, where to; only where that is there.
    pub links: &'static [(&'static str, &'static str)],
    /// Files copied: from, to.
    pub copies: &'static [(&'static str, &'static str)],
    /// Files: where, what is in them.
    pub files: &'static [(&'static str, &'static str)],
}

/// A folder, or other rights of one that a package has: where, mode, user, group.
pub(super) type Folder = (&'static str, u32, &'static str, &'static str);

/// Preferences of all of Java's users: empty files that it locks and dates.
const JAVA: [(&str, &str); 2] =
    [("etc/.java/.systemPrefs/.system.lock", ""), ("etc/.java/.systemPrefs/.systemRootModFile", "")];

/// As `git lfs install --system` writes it.
const GIT_LFS: &str = "\
[filter \"lfs\"]
\tclean = git-lfs clean -- %f
\tsmudge = git-lfs smudge -- %f
\tprocess = git-lfs filter-process
\trequired = true
";

/// Packages whose scripts make something that matters.
pub(super) fn made(package: &str) -> Option<Made> {
    let made = Made::default();
    Some(match package {
        "redis-tools" => Made {
            user: Some(("redis", "/var/lib/redis")),
            folders: &[
                ("var/log/redis", 0o750, "redis", "adm"),
                ("var/lib/redis", 0o750, "redis", "redis"),
                ("etc/redis", 0o770, "redis", "redis"),
            ],
            ..made
        },
        "openssh-client" => Made { group: Some("_ssh"), ..made },
        "dbus-system-bus-common" => Made { user: Some(("messagebus", "/nonexistent")), ..made },
        "fontconfig" => Made { folders: &[("var/cache/fontconfig", 0o755, "root", "root")], ..made },
        "fontconfig-config" => Made {
            links: &[
                ("etc/fonts/conf.d/10-hinting-slight.conf", "/usr/share/fontconfig/conf.avail/10-hinting-slight.conf"),
                ("etc/fonts/conf.d/70-no-bitmaps.conf", "/usr/share/fontconfig/conf.avail/70-no-bitmaps.conf"),
            ],
            ..made
        },
        "libibverbs1" | "rdma-core" => Made { group: Some("rdma"), ..made },
        "libpaper1" => Made { files: &[("etc/papersize", "a4\n")], ..made },
        "cron-daemon-common" | "cron" => {
            Made { group: Some("crontab"), folders: &[("var/spool/cron/crontabs", 0o1730, "root", "crontab")], ..made }
        }
        "nginx-common" => Made {
            folders: &[("var/log/nginx", 0o755, "root", "adm")],
            links: &[("etc/nginx/sites-enabled/default", "/etc/nginx/sites-available/default")],
            copies: &[("usr/share/nginx/html/index.html", "var/www/html/index.nginx-debian.html")],
            ..made
        },
        "java-common" => Made { files: &JAVA, ..made },
        "unixodbc-common" => Made { files: &[("etc/odbcinst.ini", "")], ..made },
        "git-lfs" => Made { files: &[("etc/gitconfig", GIT_LFS)], ..made },
        "xfonts-utils" => Made {
            files: &[(
                "var/lib/xfonts/excluded-aliases",
                "!! Excluded alias files to be ignored by update-fonts-alias(8)\n",
            )],
            ..made
        },
        _ if is_java(package) => Made { files: &JAVA, ..made },
        _ => return None,
    })
}

/// Packages whose scripts make nothing that an image misses: caches that are looked for and not needed, questions,
/// services, set-id bits, and what an older version has left.
const HARMLESS: [&str; 79] = [
    "adduser",
    "apparmor",
    "bash",
    "binutils",
    "ca-certificates",
    "chromium",
    "coreutils",
    "cpp",
    "dash",
    "dbus",
    "dbus-daemon",
    "debconf",
    "debianutils",
    "dmsetup",
    "dpkg",
    "fonts-urw-base35",
    "gcc",
    "ghostscript",
    "git",
    "gnupg-agent",
    "gtk-update-icon-cache",
    "hicolor-icon-theme",
    "icu-devtools",
    "init-system-helpers",
    "install-info",
    "iproute2",
    "iputils-ping",
    "libaudit1",
    "libc-bin",
    "libc6",
    "libc6-dev",
    "libgcrypt20",
    "libgdk-pixbuf-2.0-0",
    "libglib2.0-0",
    "libglib2.0-0t64",
    "libgs-common",
    "libgssapi-krb5-2",
    "libgstreamer1.0-0",
    "libgtk-3-0",
    "libgtk-3-0t64",
    "libpam-modules",
    "libpam-modules-bin",
    "libpam-runtime",
    "libpam-systemd",
    "libpam0g",
    "libreadline8t64",
    "libreoffice-common",
    "libselinux1",
    "libsensors5",
    "libtirpc3t64",
    "libxml2",
    "login",
    "login.defs",
    "mime-support",
    "mysql-common",
    "netbase",
    "nginx",
    "openssl",
    "passwd",
    "pciutils",
    "perl",
    "perl-base",
    "poppler-data",
    "procps",
    "python3",
    "python3-distutils",
    "python3-lib2to3",
    "python3-minimal",
    "sgml-base",
    "shared-mime-info",
    "systemd",
    "systemd-sysv",
    "tar",
    "tzdata",
    "ucf",
    "usrmerge",
    "util-linux",
    "x11-common",
    "xml-core",
];

/// What a package's scripts would make for speed or for programs with windows, and Corten does not.
const UNDONE: [(&str, &str); 5] = [
    ("fontconfig", "cache of fonts: the first use of fonts takes 0.3 s longer"),
    ("libgdk-pixbuf-2.0-0", "list of image loaders: gdk-pixbuf reads the formats that are built in"),
    ("libgtk-3-common", "settings schemas: programs with windows may end"),
    ("shared-mime-info", "MIME database: for desktops"),
    ("systemd", "machine id, services"),
];

/// What of a package's scripts stays undone, and what comes of that.
pub fn undone(package: &str) -> Option<&'static str> {
    UNDONE.iter().find(|(name, _)| *name == package).map(|(_, what)| *what)
}

/// What must be made by running a program, with what to do instead.
pub(super) const REFUSED: [(&str, &str); 2] = [
    ("sudo", "it is of use with set-user-id alone, which no image has"),
    ("locales", "localedef would have to run: C.UTF-8 is in every base, and locales-all has every other"),
];

/// Interpreted packages come as modules: python3.11, libpython3.11-minimal, perl-modules-5.36, gcc-12.
const HARMLESS_STARTS: [&str; 4] = ["python3.", "libpython3.", "perl-modules-", "postgresql-client-"];

/// Is every line of the package's scripts accounted for?
pub(super) fn is_known(package: &str) -> bool {
    HARMLESS.contains(&package)
        || HARMLESS_STARTS.iter().any(|start| package.starts_with(start))
        || made(package).is_some()
        || alternatives(package).is_some()
        || super::java::PACKAGE == package
        || super::graphviz::PACKAGES.contains(&package)
}

fn is_java(package: &str) -> bool {
    package.starts_with("openjdk-") && package.ends_with("-jre-headless")
}

/// The alternatives of packages whose scripts make them in loops.
pub(in crate::debian::base) fn alternatives(package: &str) -> Option<Vec<Install>> {
    const IMAGEMAGICK: [&str; 11] = [
        "compare",
        "animate",
        "convert",
        "composite",
        "conjure",
        "import",
        "identify",
        "stream",
        "display",
        "montage",
        "mogrify",
    ];
    match package {
        // Theirs are made only where another package has moved a program away.
        "procps" => Some(Vec::new()),
        "xz-utils" => Some(vec![lzma()]),
        "mariadb-common" => Some(vec![install("/etc/mysql/my.cnf", "my.cnf", "/etc/mysql/mariadb.cnf", 200)]),
        "imagemagick-6.q16" => Some(IMAGEMAGICK.iter().flat_map(|program| imagemagick(program, "im6")).collect()),
        "imagemagick-7.q16" => Some(IMAGEMAGICK.iter().flat_map(|program| imagemagick(program, "im7")).collect()),
        _ if is_java(package) => {
            let version = package.strip_prefix("openjdk-")?.strip_suffix("-jre-headless")?;
            let tools = ["java", "jpackage", "keytool", "rmiregistry"].map(Some).into_iter().chain([None]);
            let tools = ["amd64", "arm64"].into_iter().flat_map(|name| tools.clone().map(move |tool| (tool, name)));
            Some(tools.map(|(tool, architecture)| java(tool, version, architecture)).collect())
        }
        _ => None,
    }
}

fn imagemagick(program: &str, version: &str) -> [Install; 2] {
    let path = format!("/usr/bin/{program}-{version}.q16");
    let manual = |name: &str| Follower {
        link: format!("/usr/share/man/man1/{name}.1.gz"),
        name: format!("{name}.1.gz"),
        path: format!("/usr/share/man/man1/{program}-{version}.q16.1.gz"),
    };
    let install = |name: String| Install {
        link: format!("/usr/bin/{name}"),
        followers: vec![manual(&name)],
        path: path.clone(),
        priority: 10_000,
        name,
    };
    [install(program.to_owned()), install(format!("{program}-{version}"))]
}

/// xz under the names of lzma's tools.
fn lzma() -> Install {
    let mut lzma = install("/usr/bin/lzma", "lzma", "/usr/bin/xz", 20);
    let tools = ["cat", "cmp", "diff", "egrep", "fgrep", "grep", "less", "more"];
    let tools = tools.map(|tool| (format!("lz{tool}"), format!("xz{tool}")));
    for (name, of) in tools.into_iter().chain([("unlzma".into(), "unxz".into()), ("lzma".into(), "xz".into())]) {
        let follower = |folder: &str, ending: &str| Follower {
            link: format!("{folder}/{name}{ending}"),
            name: format!("{name}{ending}"),
            path: format!("{folder}/{of}{ending}"),
        };
        if name != "lzma" {
            lzma.followers.push(follower("/usr/bin", ""));
        }
        lzma.followers.push(follower("/usr/share/man/man1", ".1.gz"));
    }
    lzma
}

fn install(link: &str, name: &str, path: &str, priority: i32) -> Install {
    Install { link: link.into(), name: name.into(), path: path.into(), priority, followers: Vec::new() }
}

/// A tool, or what starts archives. The folder's name ends with the architecture: a choice that is not there is left out.
fn java(tool: Option<&str>, version: &str, architecture: &str) -> Install {
    let folder = format!("/usr/lib/jvm/java-{version}-openjdk-{architecture}");
    // 17 has 1711, 21 has 2111.
    let priority = version.parse::<i32>().unwrap_or(10).clamp(0, 999) * 100 + 11;
    let follower = |link: &str, name: &str, path: String| Follower { link: link.into(), name: name.into(), path };
    let Some(tool) = tool else {
        let mut jexec = install("/usr/bin/jexec", "jexec", &format!("{folder}/lib/jexec"), priority);
        jexec.followers.push(follower("/usr/share/binfmts/jar", "jexec-binfmt", format!("{folder}/lib/jar.binfmt")));
        return jexec;
    };
    let mut java = install(&format!("/usr/bin/{tool}"), tool, &format!("{folder}/bin/{tool}"), priority);
    let manual = format!("{tool}.1.gz");
    let link = format!("/usr/share/man/man1/{manual}");
    java.followers.push(follower(&link, &manual, format!("{folder}/man/man1/{manual}")));
    java
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(HARMLESS.is_sorted());
    }
}
