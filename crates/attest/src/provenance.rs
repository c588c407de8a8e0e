//! Provenance: what an image was built from, with what, as SLSA 1.0 has it and with the fields that BuildKit defines for its
//! build type (moby/buildkit, docs/attestations/slsa-definitions.md), so that its readers find them.
//!
//! | mode | says |
//! |---|---|
//! | min | where the Dockerfile lies, what was taken from elsewhere and its digests, the commit |
//! | max | besides, the arguments, labels and target of the build, the ids of its secrets, its steps, and the Dockerfile itself |
//!
//! No secret is in it. Arguments are, in mode max: those whose names sound like a secret are named, and what they say is not told.

use serde_json::{Map, Value, json};

/// The build type whose fields these are.
const BUILD_TYPE: &str = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
/// The same in SLSA 0.2.
const OLD_BUILD_TYPE: &str = "https://mobyproject.org/buildkit@v1";
/// In place of what is not told.
const UNTOLD: &str = "xxxxx";
/// Parts of names that sound like secrets, between underscores (BuildKit's rule SecretsUsedInArgOrEnv).
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// And those that do not, with them.
const PUBLIC: [&str; 3] = ["public", "file", "version"];

/// What is known of a build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provenance {
    /// The Dockerfile, from the context on.
    pub path: String,
    /// The context, where it came from an address: URI, and digest by algorithm.
    pub context: Option<Material>,
    /// What was taken from elsewhere.
    pub materials: Vec<Material>,
    /// Is all of that among the materials?
    pub is_complete: bool,
    /// The commit of a context on this machine, and where its repository is published.
    pub revision: Option<(String, Option<String>)>,
    /// `linux/amd64`.
    pub platform: String,
    /// Who built it: a URI, empty where nobody says so.
    pub builder: String,
    /// Version of Corten.
    pub version: String,
    /// RFC 3339: when it began and ended; absent where times must not decide the bytes.
    pub times: Option<(String, String)>,
    /// What mode max tells.
    pub whole: Option<Whole>,
}

/// Something that was taken from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// A package URL or address.
    pub uri: String,
    /// `sha256` or `sha1`, and hexadecimal digits.
    pub digest: (&'static str, String),
}

/// What mode max tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Whole {
    /// `--build-arg`.
    pub arguments: Vec<(String, String)>,
    /// `--label`.
    pub labels: Vec<(String, String)>,
    /// `--target`.
    pub target: Option<String>,
    /// Ids of secrets.
    pub secrets: Vec<String>,
    /// Ids of agents.
    pub agents: Vec<String>,
    /// Names of the steps, by stage.
    pub steps: Vec<String>,
    /// The Dockerfile in base64.
    pub dockerfile: String,
}

/// Writes the predicate as SLSA 0.2 has it, in the few fields that buildx writes to its metadata file by default.
pub fn brief(input: &Provenance) -> Value {
    let mut source = json!({"entryPoint": input.path});
    let mut parameters = json!({"frontend": "dockerfile.v0"});
    match &input.context {
        Some(context) => {
            source["uri"] = json!(without_user(&context.uri));
            source["digest"] = json!({context.digest.0: context.digest.1});
        }
        None => parameters["locals"] = json!([{"name": "context"}, {"name": "dockerfile"}]),
    }
    json!({
        "builder": {"id": input.builder},
        "buildType": OLD_BUILD_TYPE,
        "materials": materials(input),
        "invocation": {
            "configSource": source,
            "parameters": parameters,
            "environment": {"platform": input.platform},
        },
    })
}

fn materials(input: &Provenance) -> Vec<Value> {
    let all = input.context.iter().chain(&input.materials);
    all.map(|one| json!({"uri": without_user(&one.uri), "digest": {one.digest.0: one.digest.1}})).collect()
}

/// Writes the predicate.
pub fn provenance(input: &Provenance) -> Value {
    let mut source = json!({"path": input.path});
    if let Some(context) = &input.context {
        source["uri"] = json!(without_user(&context.uri));
        source["digest"] = json!({context.digest.0: context.digest.1});
    }
    let context = json!([{"name": "context"}, {"name": "dockerfile"}]);
    let mut request = json!({"frontend": "dockerfile.v0"});
    if input.context.is_none() {
        request["locals"] = context;
    }
    let mut internal = json!({"builderPlatform": input.platform});
    let mut metadata = json!({
        "buildkit_completeness": {"request": input.whole.is_some(), "resolvedDependencies": input.is_complete},
    });
    if let Some((began, ended)) = &input.times {
        metadata["startedOn"] = json!(began);
        metadata["finishedOn"] = json!(ended);
    }
    let mut more = Map::new();
    if let Some((revision, place)) = &input.revision {
        more.insert("vcs".into(), json!({"revision": revision, "source": place.as_deref().map(without_user)}));
    }
    if let Some(whole) = &input.whole {
        request["args"] = arguments(whole);
        let ids = |all: &[String]| all.iter().map(|id| json!({"id": id, "optional": true})).collect::<Vec<_>>();
        request["secrets"] = json!(ids(&whole.secrets));
        request["ssh"] = json!(ids(&whole.agents));
        internal["buildConfig"] = json!({"steps": whole.steps});
        let infos = json!([{"filename": input.path, "language": "Dockerfile", "data": whole.dockerfile}]);
        more.insert("source".into(), json!({"infos": infos}));
    }
    if !more.is_empty() {
        metadata["buildkit_metadata"] = Value::Object(more);
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"configSource": source, "request": request},
            "internalParameters": internal,
            "resolvedDependencies": materials(input),
        },
        "runDetails": {
            "builder": {"id": input.builder, "version": {"corten": input.version}},
            "metadata": metadata,
        },
    })
}

fn arguments(whole: &Whole) -> Value {
    let mut all = Map::new();
    for (name, value) in &whole.arguments {
        let told = if sounds_secret(name) { UNTOLD.to_owned() } else { without_user(value) };
        all.insert(format!("build-arg:{name}"), json!(told));
    }
    all.extend(whole.labels.iter().map(|(name, value)| (format!("label:{name}"), json!(value))));
    all.extend(whole.target.iter().map(|target| ("target".to_owned(), json!(target))));
    Value::Object(all)
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |all: &[&str]| name.split('_').any(|part| all.contains(&part));
    has(&SECRET) && !has(&PUBLIC)
}

/// An address without user and password, as proxies and repositories have them.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    match place.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://{UNTOLD}@{place}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d17_provenance_tells_no_secret() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let input = Provenance {
            context: Some(Material {
                uri: "https://me:canary@example.org/x.git#main".into(),
                digest: ("sha1", "a".repeat(40)),
            }),
            revision: Some(("b".repeat(40), Some("https://canary@example.org/x.git".into()))),
            whole: Some(Whole {
                arguments: vec![
                    pair("API_TOKEN", "canary"),
                    pair("HTTPS_PROXY", "http://me:canary@proxy:3128"),
                    pair("KEY_FILE", "path"),
                    pair("VERSION", "1"),
                ],
                ..Whole::default()
            }),
            ..Provenance::default()
        };
        let told = provenance(&input);
        assert!(!told.to_string().contains("canary"), "{told}");
        let args = &told["buildDefinition"]["externalParameters"]["request"]["args"];
        assert_eq!(args["build-arg:API_TOKEN"], "xxxxx");
        assert_eq!(args["build-arg:HTTPS_PROXY"], "http://xxxxx@proxy:3128");
        assert_eq!((&args["build-arg:KEY_FILE"], &args["build-arg:VERSION"]), (&json!("path"), &json!("1")));
        assert_eq!(told["buildDefinition"]["resolvedDependencies"][0]["digest"]["sha1"], "a".repeat(40));
        let told = brief(&input);
        assert!(!told.to_string().contains("canary"), "{told}");
        assert_eq!(told["invocation"]["configSource"]["digest"], told["materials"][0]["digest"]);
    }

    #[test]
    fn mode_min_has_no_arguments() {
        let told = provenance(&Provenance { path: "Dockerfile".into(), ..Provenance::default() });
        let request = &told["buildDefinition"]["externalParameters"]["request"];
        assert_eq!(request["args"], Value::Null);
        assert_eq!(
            told["runDetails"]["metadata"]["buildkit_completeness"],
            json!({"request": false, "resolvedDependencies": false})
        );
    }
}
