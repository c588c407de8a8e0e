//! BuildKit's own checks say what `corten build --check` has to say: the same warnings, with the same lines of the file.

use std::fs;
use std::path::Path;

use super::Daemon;
use crate::image::corten;
use crate::place::{ended, new_folder, said};

/// Name, Dockerfile, ignore file.
const CASES: [(&str, &str, &str); 10] = [
    ("clean", "FROM scratch\nCOPY Dockerfile /\n", ""),
    (
        "names",
        "FROM scratch AS Base\nfrom scratch as context\nFROM scratch as base\nFROM --platform=$TARGETPLATFORM scratch\nFROM --platform=linux/arm64 scratch AS x\n",
        "",
    ),
    ("casing", "from scratch\nCOPY a /\ncopy b /\nCopy c /\nENV a b\nLABEL c d\nMAINTAINER me\n", ""),
    (
        "secrets",
        "FROM scratch\nARG API_KEY\nENV token=x \\\n  public_key=y auth=z\n# check=skip=SecretsUsedInArgOrEnv // why\nENV password=1\nARG TOKEN_FILE\n",
        "",
    ),
    ("ports", "FROM scratch\nEXPOSE 80/TcP 127.0.0.1:80:80 [::1]:8080:8080 5000:5000 8000-8001/udp\n", ""),
    (
        "variables",
        "ARG VERSION\nARG NAME=scratch\nFROM $NAME AS base\nARG DIR_ASSETS=a\nCOPY $DIR_ASSET $NOBODY /x/\nENV PATH=$PAHT:/x B=${C:-d}\nFROM base\nCOPY $DIR_ASSETS /y/\nWORKDIR $NOWHERE/z\n",
        "",
    ),
    (
        "ends",
        "FROM scratch\nWORKDIR app\nWORKDIR more\nCMD a\nCMD [\"b\"]\nENTRYPOINT one two\nHEALTHCHECK CMD x\nHEALTHCHECK NONE\n",
        "",
    ),
    ("continued", "FROM scratch\nCOPY Dockerfile \\\n\n# why\n\n  /\nCOPY <<EOF /x\n$UNSET\nEOF\n", ""),
    (
        "ignored",
        "FROM scratch AS a\nCOPY Dockerfile app/x /\nADD app /app/\nFROM a\nCOPY --from=a app /\nCOPY . /\n",
        "app\n",
    ),
    (
        "experimental",
        "# check=experimental=InvalidDefinitionDescription;skip=JSONArgsRecommended\n# what\nARG A=1\n# A why\nARG B=2\n#\nARG C\nFROM scratch AS x\nCMD a\n",
        "",
    ),
];

#[test]
fn checks_warn_as_buildkit_does() {
    let Some(daemon) = Daemon::shared() else { return };
    for (name, dockerfile, ignore) in CASES {
        let folder = new_folder(&format!("check-{name}"));
        fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        if !ignore.is_empty() {
            fs::write(folder.join(".dockerignore"), ignore).unwrap();
        }
        let ours = ended(corten(["build", "--check"]).arg(&folder));
        let ours = String::from_utf8(ours.stdout).unwrap();
        let told = ours.split_once('\n').map_or("", |(_, rest)| rest);
        assert_eq!(told.trim(), daemon.check(&folder).trim(), "{name}: ours, theirs\n{dockerfile}");
        assert_eq!(ours == "Check complete, no warnings found.\n", name == "clean", "{ours}");
    }
}

impl Daemon {
    /// What `frontend.lint` answers, as text.
    fn check(&self, folder: &Path) -> String {
        let mut command = self.ctl();
        command.args(["build", "--progress", "plain", "--frontend", "dockerfile.v0"]);
        command.args(["--opt", "requestid=frontend.lint", "--opt", "platform=linux/amd64"]);
        for name in ["context", "dockerfile"] {
            command.args(["--local", &format!("{name}={}", folder.display())]);
        }
        let output = ended(&mut command);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}
