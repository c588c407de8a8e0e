//! The operations of a recipe beside those that BuildKit's frontend makes of the same file.
//!
//! Both become one nested value: each operation with the operations that it stands on within it. Left out: what BuildKit
//! tells its own solver (followed paths, names, timestamps) and what all operations of a kind have alike.

use corten_plan::recipe::{
    Action, Base, BaseName, CopyAction, CopySource, Files, Mount, MountKind, Recipe, RunAction, Sharing, Stage,
};
use serde_json::{Map, Value, json};

use super::{data, lowered, rows};

#[test]
fn operations_are_the_oracles() {
    let Some(data) = data() else { return };
    let mut wrong = Vec::new();
    let mut compared = 0;
    for row in rows(&data.join("oracle/oracle.jsonl")) {
        let text = row["dockerfile"].as_str().unwrap();
        for (target, expected) in row["targets"].as_object().unwrap() {
            let Some(graph) = expected.get("llb").and_then(Value::as_array) else { continue };
            let id = format!("{} {target}", row["id"]);
            let recipe = lowered(text, (target != "(default)").then_some(target)).unwrap();
            let found = last(&recipe);
            let expected = Graph { operations: graph }.end();
            if found != expected {
                wrong.push(format!("{id}\n  {found}\n  {expected}"));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 250, "{compared}");
}

/// BuildKit's operations, each named by its place.
struct Graph<'g> {
    operations: &'g [Value],
}

impl Graph<'_> {
    /// The last one only names what is the result.
    fn end(&self) -> Value {
        self.operations.last().map_or(Value::Null, |last| self.input(last, 0))
    }

    fn input(&self, operation: &Value, at: usize) -> Value {
        let name = operation["inputs"][at]["digest"].as_str().unwrap();
        self.operation(&self.operations[name.strip_prefix("op").unwrap().parse::<usize>().unwrap()])
    }

    /// `-1` is nothing; where it is absent, the first one is meant.
    fn indexed(&self, operation: &Value, index: &Value, done: &[Value]) -> Value {
        let index: i64 = index.as_str().map_or(0, |text| text.parse().unwrap());
        let inputs = operation["inputs"].as_array().map_or(0, Vec::len);
        match usize::try_from(index) {
            Err(_) => Value::Null,
            Ok(at) if at < inputs => self.input(operation, at),
            Ok(at) => done[at - inputs].clone(),
        }
    }

    fn operation(&self, operation: &Value) -> Value {
        if let Some(source) = operation.get("source") {
            let name = source["identifier"].as_str().unwrap();
            return match name.split_once("://").unwrap() {
                ("docker-image", image) => json!({"image": image.split('@').next().unwrap()}),
                ("local", _) => json!("context"),
                _ => json!({"http": name, "name": source["attrs"]["http.filename"]}),
            };
        }
        if let Some(merge) = operation.get("merge") {
            let inputs = merge["inputs"].as_array().unwrap().iter();
            return json!({"merge": inputs.map(|one| self.indexed(operation, &one["input"], &[])).collect::<Vec<_>>()});
        }
        if operation.get("exec").is_some() {
            return self.exec(operation);
        }
        let mut done = Vec::new();
        for action in operation["file"]["actions"].as_array().unwrap() {
            let below = self.indexed(operation, &action["input"], &done);
            let result = if let Some(copy) = action.get("copy") {
                let source = self.indexed(operation, &action["secondaryInput"], &done);
                copied(copy, below, source)
            } else if let Some(folder) = action.get("mkdir") {
                json!({"folder": folder["path"], "owner": folder["owner"], "below": below, "mode": folder["mode"]})
            } else {
                let file = &action["mkfile"];
                json!({"file": file["path"], "mode": file["mode"], "data": file["data"]})
            };
            done.push(result);
        }
        done.pop().unwrap()
    }

    fn exec(&self, operation: &Value) -> Value {
        let exec = &operation["exec"];
        let mut mounts = Vec::new();
        for mount in exec["mounts"].as_array().unwrap() {
            let mut shown = mount.as_object().unwrap().clone();
            let input = self.indexed(operation, &mount["input"], &[]);
            for key in ["output", "resultID", "input"] {
                shown.remove(key);
            }
            shown.insert("files".to_owned(), input);
            mounts.push(Value::Object(shown));
        }
        sort(&mut mounts);
        json!({
            "run": exec["meta"]["args"], "env": exec["meta"]["env"], "cwd": exec["meta"]["cwd"],
            "user": exec["meta"]["user"], "security": exec["security"], "network": exec["network"],
            "devices": exec["cdiDevices"].as_array().map(|all| all.len()), "secrets": exec["secretenv"], "mounts": mounts,
        })
    }
}

/// By target: BuildKit puts secrets before agents, whatever their paths.
fn sort(mounts: &mut [Value]) {
    mounts.sort_by_key(|mount| mount["dest"].as_str().map(str::to_owned));
}

fn copied(copy: &Value, below: Value, source: Value) -> Value {
    json!({
        "copy": copy["src"], "to": copy["dest"], "mode": copy["mode"], "owner": copy["owner"],
        "words": copy["modeStr"], "unpack": copy["attemptUnpackDockerCompatibility"], "include": copy["includePatterns"],
        "exclude": copy["excludePatterns"], "from": source, "below": below,
    })
}

fn last(recipe: &Recipe) -> Value {
    let mut done: Vec<Value> = Vec::new();
    for stage in &recipe.stages {
        let value = stage_value(stage, &done);
        done.push(value);
    }
    done.pop().unwrap()
}

fn image(name: &BaseName) -> Value {
    let mut reference: corten_oci::Reference = name.image.parse().unwrap();
    reference.repository = reference.repository.normalised();
    reference.digest = None;
    let text = reference.to_string();
    let named = text.rsplit('/').next().unwrap().contains(':');
    json!({"image": if named { text } else { format!("{text}:latest") }})
}

fn files(files: &Files, done: &[Value]) -> Value {
    match files {
        Files::None => Value::Null,
        Files::Context => json!("context"),
        Files::Stage(stage) => done[*stage].clone(),
        Files::Image(name) => image(name),
        Files::Folder(name) => panic!("{name}: no context is given"),
    }
}

fn stage_value(stage: &Stage, done: &[Value]) -> Value {
    let mut state = match &stage.base {
        Base::Scratch => Value::Null,
        Base::Image(name) => image(name),
        Base::Stage(stage) => done[*stage].clone(),
    };
    for step in &stage.steps {
        state = match &step.action {
            Action::Folder { path, user } => {
                json!({"folder": path, "owner": owner(Some(user).filter(|user| !user.is_empty()).map(String::as_str)), "below": state, "mode": 0o755})
            }
            Action::Copy(copy) => copy_value(copy, state, done),
            Action::Run(run) => run_value(run, state, done),
        };
    }
    state
}

fn owner(text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let one = |part: &str| match part.parse::<u32>() {
        Ok(number) => json!({"byID": number}),
        Err(_) => json!({"byName": {"name": part}}),
    };
    let mut owner = Map::new();
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    owner.insert("user".to_owned(), one(user));
    if let Some(group) = group {
        owner.insert("group".to_owned(), one(if group.is_empty() { "0" } else { group }));
    }
    Value::Object(owner)
}

fn copy_value(copy: &CopyAction, below: Value, done: &[Value]) -> Value {
    let mode = copy.mode.as_deref();
    let number = mode.map_or(Some(-1), |mode| i64::from_str_radix(mode, 8).ok());
    let words = mode.filter(|_| number.is_none());
    let is_apart = copy.link && copy.mode.is_none();
    let mut state = if is_apart { Value::Null } else { below.clone() };
    for source in &copy.sources {
        let mut shape = json!({
            "dest": copy.destination, "mode": number.unwrap_or(-1), "modeStr": words, "owner": owner(copy.owner.as_deref()),
        });
        if !copy.exclude.is_empty() {
            shape["excludePatterns"] = json!(copy.exclude);
        }
        let from = match source {
            CopySource::Path { path, parents, unpack } => {
                shape["src"] = json!(path);
                if *unpack {
                    shape["attemptUnpackDockerCompatibility"] = json!(true);
                }
                if let Some(below) = parents {
                    shape["includePatterns"] = json!([below]);
                }
                files(&copy.from, done)
            }
            CopySource::Inline { name, content } => {
                use base64::Engine as _;
                let data = base64::engine::general_purpose::STANDARD.encode(content);
                shape["src"] = json!(format!("/{name}"));
                json!({"file": format!("/{name}"), "mode": 0o644, "data": data})
            }
            CopySource::Http { url, name, unpack, .. } => {
                shape["src"] = json!(format!("/{name}"));
                if *unpack {
                    shape["attemptUnpackDockerCompatibility"] = json!(true);
                }
                json!({"http": url, "name": name})
            }
            CopySource::Git { url, .. } => json!({"git": url}),
        };
        state = copied(&shape, state, from);
    }
    if is_apart { json!({"merge": [below, state]}) } else { state }
}

fn run_value(run: &RunAction, below: Value, done: &[Value]) -> Value {
    let env: Vec<String> = run.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut mounts = vec![json!({"dest": "/", "files": below})];
    if let Some((name, text)) = &run.script {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        let files = json!({"file": format!("/{name}"), "mode": 0o755, "data": data});
        mounts.push(json!({"dest": "/dev/pipes/", "readonly": true, "selector": "/", "files": files}));
    }
    let mut secrets = Vec::new();
    for (mount, from) in &run.mounts {
        if mount.kind == MountKind::Secret && mount.env.is_some() && mount.target.is_none() {
            let mut secret = json!({"ID": mount.id, "name": mount.env});
            if !mount.required {
                secret["optional"] = json!(true);
            }
            secrets.push(secret);
        } else {
            mounts.push(mount_value(mount, files(from, done)));
        }
    }
    sort(&mut mounts);
    json!({
        "run": run.arguments, "env": env, "cwd": run.folder,
        "user": (!run.user.is_empty()).then_some(&run.user),
        "security": (run.security == "insecure").then_some("INSECURE"),
        "network": match run.network.as_str() { "none" => json!("NONE"), "host" => json!("HOST"), _ => Value::Null },
        "devices": (!run.devices.is_empty()).then_some(run.devices.len()),
        "secrets": (!secrets.is_empty()).then_some(secrets),
        "mounts": mounts,
    })
}

fn mount_value(mount: &Mount, files: Value) -> Value {
    let mut shape = json!({"dest": mount.target, "files": files});
    let owned = |shape: &mut Value, mode: u32| {
        shape["mode"] = json!(mount.mode.unwrap_or(mode));
        for (key, value) in [("uid", mount.uid), ("gid", mount.gid)] {
            if let Some(value) = value.filter(|value| *value > 0) {
                shape[key] = json!(value);
            }
        }
    };
    match mount.kind {
        MountKind::Bind | MountKind::Cache => {
            let source = super::super::lower::join("/", mount.source.as_deref().unwrap_or_default());
            if source != "/" {
                shape["selector"] = json!(source);
            }
        }
        MountKind::Tmpfs => {
            shape["mountType"] = json!("TMPFS");
            shape["TmpfsOpt"] = mount.size.map_or(json!({}), |size| json!({"size": size.to_string()}));
        }
        MountKind::Secret => {
            let mut option = json!({"ID": mount.id});
            owned(&mut option, 0o400);
            if !mount.required {
                option["optional"] = json!(true);
            }
            shape["mountType"] = json!("SECRET");
            shape["secretOpt"] = option;
        }
        MountKind::Ssh => {
            let mut option = json!({});
            if let Some(id) = mount.id.as_ref().filter(|id| *id != "default") {
                option["ID"] = json!(id);
            }
            owned(&mut option, 0o600);
            if !mount.required {
                option["optional"] = json!(true);
            }
            shape["mountType"] = json!("SSH");
            shape["SSHOpt"] = option;
        }
    }
    if mount.kind == MountKind::Cache {
        let target = shape["dest"].as_str().unwrap().to_owned();
        let mut option = json!({"ID": mount.id.clone().map_or(format!("/{target}"), |id| format!("/{id}"))});
        match mount.sharing {
            Sharing::Shared => {}
            Sharing::Private => option["sharing"] = json!("PRIVATE"),
            Sharing::Locked => option["sharing"] = json!("LOCKED"),
        }
        shape["mountType"] = json!("CACHE");
        shape["cacheOpt"] = option;
        if mount.mode.is_some() || mount.uid.is_some() || mount.gid.is_some() {
            // A folder of that owner within the cache.
            let owner = json!({"user": {"byID": mount.uid.unwrap_or_default()}, "group": {"byID": mount.gid.unwrap_or_default()}});
            shape["files"] = json!({"folder": "/cache", "owner": owner, "below": shape["files"], "mode": mount.mode.unwrap_or(0o755)});
            shape["selector"] = json!("/cache");
        }
    }
    if mount.readonly.unwrap_or(mount.kind == MountKind::Bind) && mount.kind != MountKind::Secret {
        shape["readonly"] = json!(true);
    }
    shape
}
