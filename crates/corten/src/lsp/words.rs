//! What instructions are, for those who point at one.

use corten_frontend::dockerfile::Keyword;

/// In Markdown: how it is written, what it does, where to read on.
pub fn about(keyword: Keyword) -> String {
    let (written, does) = words(keyword);
    let name = keyword.name();
    let anchor = name.to_ascii_lowercase();
    format!(
        "```dockerfile\n{written}\n```\n\n{does}\n\n\
         [{name} in Docker's reference](https://docs.docker.com/reference/dockerfile/#{anchor})"
    )
}

fn words(keyword: Keyword) -> (&'static str, &'static str) {
    match keyword {
        Keyword::Add => (
            "ADD [--chown=USER] [--checksum=DIGEST] SOURCE… DESTINATION",
            "Copies files into the image, unpacks archives, and downloads addresses and git repositories. \
             For plain files, COPY says what is meant.",
        ),
        Keyword::Arg => (
            "ARG NAME[=DEFAULT]",
            "A value that the build is given by `--build-arg`. It is in the image's history: no place for secrets.",
        ),
        Keyword::Cmd => (
            "CMD [\"program\", \"argument\"]",
            "What a container runs unless it is told otherwise, or the arguments of ENTRYPOINT. The last one counts.",
        ),
        Keyword::Copy => (
            "COPY [--from=STAGE] [--chown=USER] [--chmod=MODE] [--link] SOURCE… DESTINATION",
            "Copies files of the context, of a stage or of another image into the image.",
        ),
        Keyword::Entrypoint => (
            "ENTRYPOINT [\"program\", \"argument\"]",
            "What a container always runs; CMD or the arguments of `docker run` follow it. The last one counts.",
        ),
        Keyword::Env => (
            "ENV NAME=VALUE…",
            "Variables of all that follows, and of each container. They are in the image: no place for secrets.",
        ),
        Keyword::Expose => (
            "EXPOSE PORT[/PROTOCOL]…",
            "Says on which ports the container listens. It opens none: `docker run -p` does.",
        ),
        Keyword::From => (
            "FROM [--platform=PLATFORM] IMAGE[:TAG][@DIGEST] [AS NAME]",
            "Begins a stage, on an image, an earlier stage, or `scratch`, which is nothing.",
        ),
        Keyword::Healthcheck => (
            "HEALTHCHECK [--interval=TIME] [--timeout=TIME] [--start-period=TIME] [--retries=N] CMD COMMAND",
            "How to see whether the container is well. Kubernetes and images in OCI's format do without it.",
        ),
        Keyword::Label => {
            ("LABEL NAME=VALUE…", "Words about the image: where its source is, its version, its licence.")
        }
        Keyword::Maintainer => ("MAINTAINER NAME", "Deprecated: the label `org.opencontainers.image.authors` says it."),
        Keyword::Onbuild => (
            "ONBUILD INSTRUCTION",
            "An instruction that runs at the beginning of each build that stands on this image.",
        ),
        Keyword::Run => (
            "RUN [--mount=…] [--network=…] COMMAND",
            "Runs a command while the image is built, and keeps what it changed as a layer. What a later command removes \
             stays in the layer below.",
        ),
        Keyword::Shell => (
            "SHELL [\"program\", \"argument\"]",
            "The shell for commands that are one text, from here on: \
             `SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]`.",
        ),
        Keyword::Stopsignal => {
            ("STOPSIGNAL SIGNAL", "The signal that asks the container to end; SIGTERM if nothing is said.")
        }
        Keyword::User => (
            "USER USER[:GROUP]",
            "Who runs what follows, and the container. A number lets Kubernetes see that it is not root.",
        ),
        Keyword::Volume => (
            "VOLUME PATH…",
            "Folders whose data outlives the container. What a later instruction changes in them is lost.",
        ),
        Keyword::Workdir => {
            ("WORKDIR PATH", "The folder of what follows, made where it is not there, and of the container.")
        }
    }
}
