//! What safe fixes change in an image. A rule that is not here changes nothing by its safe fixes, and that is checked before
//! they are made.

/// By rule; a sentence for its page.
const CHANGES: [(&str, &str); 30] = [
    ("DL3004", "The word sudo goes: the command runs as root with and without it"),
    ("DL3009", "The RUN deletes the lists of packages at its end, so they are not in its layer"),
    ("DL3014", "apt-get is given -y"),
    ("DL3019", "apk is given --no-cache, so its index is not in the layer"),
    ("DL3020", "ADD becomes COPY, where both copy the same files"),
    ("DL3021", "The destination ends with a slash: it is a folder"),
    (
        "DL3025",
        "The program is started by itself and not by a shell, so signals reach it; an ENTRYPOINT of the base image gets its words instead of /bin/sh -c and one text",
    ),
    ("DL3027", "apt becomes apt-get, with the same words behind it"),
    ("DL3030", "yum is given -y"),
    ("DL3032", "The RUN ends with yum clean all, so its cache is not in the layer"),
    ("DL3034", "zypper is given -y"),
    ("DL3036", "The RUN ends with zypper clean, so its cache is not in the layer"),
    ("DL3038", "dnf is given -y"),
    ("DL3040", "The RUN ends with dnf clean all, so its cache is not in the layer"),
    ("DL3042", "pip is given --no-cache-dir, so its cache is not in the layer"),
    ("DL3046", "useradd is given -l, so the layer has no huge sparse file"),
    ("DL3047", "wget says less: it is given --progress=dot:giga"),
    ("DL3060", "The RUN ends with yarn cache clean, so its cache is not in the layer"),
    ("DL4000", "The author of the image's config becomes the label org.opencontainers.image.authors"),
    ("DL4003", "The earlier CMD, which had no effect, goes from the history, too"),
    ("DL4004", "The earlier ENTRYPOINT, which had no effect, goes from the history, too"),
    ("DL4006", "A SHELL with pipefail stands before the RUN, and what is one text runs in it from there on"),
    ("ExposeInvalidFormat", "EXPOSE has the container's ports alone; the history names them in that order"),
    ("ML111", "The RUN ends with conda clean -afy, so its downloads are not in the layer"),
    ("ML130", "Wheels are mounted for the RUN that installs them, so no layer holds them"),
    ("ML173", "The line goes, which compose ignores"),
    ("ML199", "pip is not given --no-cache-dir: it uses the cache mount, which is in no layer"),
    ("SC2006", "`…` becomes $(…), which means the same here"),
    ("SC2102", "The word is quoted: it is no pattern of file names"),
    ("SC3014", "== becomes =, which every sh knows"),
];

/// What a rule's safe fix changes; none: nothing.
pub fn changes(rule: &str) -> Option<&'static str> {
    CHANGES.iter().find(|(known, _)| *known == rule).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_rule() {
        for (id, _) in CHANGES {
            assert!(crate::rules().any(|rule| rule.id.0 == id), "{id}");
        }
    }
}
