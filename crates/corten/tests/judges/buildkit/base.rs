//! The image that the cases stand on: busybox, accounts, and `setcap` with its libraries.

use std::fs;
use std::path::{Path, PathBuf};

use corten_oci::Digest;
use serde_json::json;

use crate::place::{command, debian, done, new_folder};

const MAKE: &str = r#"
set -e
umask 022
mkdir -p bin dev etc home root tmp usr/bin usr/sbin sbin usr/lib var/www var/spool/mail proc sys
cp -L "$1" bin/busybox
for applet in $("$1" --list); do case $applet in busybox|*/*) ;; *) ln bin/busybox "bin/$applet" ;; esac; done
for file in "$2" $(ldd "$2" | grep -o '/[^ ]*'); do mkdir -p ".$(dirname "$file")"; cp -L "$file" ".$file"; done
chmod 1777 tmp; chmod 700 root; chmod 555 proc sys; chown 33:33 var/www
printf '%s\n' root:x:0:0:root:/root:/bin/sh www-data:x:33:33::/var/www:/bin/false me:x:1000:1001::/home/me:/bin/sh >etc/passwd
printf '%s\n' root:x:0: www-data:x:33: me:x:1001: team:x:2000:other,me video:x:44:me >etc/group
ln -s usr/lib link-to-folder; ln -s ../etc/passwd home/link-to-file; ln -s nowhere home/dangling
mkdir -p old/sub; echo old >old/file; echo older >old/sub/file; ln old/file old/twin
"#;

/// Its layout, made at the first request.
pub fn base() -> Option<&'static Path> {
    static BASE: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    BASE.get_or_init(make).as_deref()
}

fn make() -> Option<PathBuf> {
    let (busybox, setcap) = (debian("busybox")?, debian("setcap")?);
    let folder = new_folder("buildkit-base");
    let (root, tar) = (folder.join("root"), folder.join("layer.tar"));
    fs::create_dir(&root).unwrap();
    let shell = Path::new("/bin/sh");
    done(command(shell, ["-c", MAKE, "make"]).args([busybox, setcap]).current_dir(&root));
    let plain = ["--format=pax", "--sort=name", "--numeric-owner", "--mtime=@1600000000", "-cf"];
    done(
        command(Path::new("tar"), plain)
            .arg(&tar)
            .arg("--pax-option=delete=atime,delete=ctime")
            .args(["-C"])
            .arg(&root)
            .arg("."),
    );
    let layout = folder.join("layout");
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let put = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes.len()})
    };
    let layer = put("layer.v1.tar", &fs::read(&tar).unwrap());
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "BASE=1"], "Cmd": ["sh"],
            "Labels": {"of": "base"}, "Volumes": {"/kept": {}}, "ExposedPorts": {"9/udp": {}}},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created_by": "busybox", "created": "2020-09-13T12:26:40Z"}],
    });
    let config = put("config.v1+json", config.to_string().as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
    let mut manifest = put("manifest.v1+json", manifest.to_string().as_bytes());
    manifest["platform"] = json!({"os": "linux", "architecture": "amd64"});
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    Some(layout)
}
