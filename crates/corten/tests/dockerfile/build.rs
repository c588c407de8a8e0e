//! A store, a base that stands for busybox and alpine, and builds with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use corten_diagnostic::{Failure, Report};
use corten_engine::stages::{
    self, Allowed, Context, Fetched, Finished, Means, Patterns, Progress, Remote, Runner, Secrets, StepId,
};
use corten_frontend::dockerfile::{Dockerfile, Lowered, Options};
use corten_frontend::ignore::{Matcher, read_ignore_file};
use corten_oci::{Architecture, Descriptor, Digest, ImageConfig, Manifest, Platform};
use corten_plan::GivenLayer;
use corten_plan::recipe::{Pinned, PinnedImage};
use corten_sandbox::{Exit, Helper, Sandbox, Streams};
use corten_store::Store;

pub fn data() -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/dockerfile");
    if found.is_dir() {
        return Some(found);
    }
    println!("skipped: there is no {}", found.display());
    None
}

/// A store with the base in it.
pub struct World {
    pub folder: tempfile::TempDir,
    pub store: Store,
    pub base: PinnedImage,
}

impl World {
    pub fn new(data: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let layout = folder.path().join("base");
        let made =
            Command::new("python3").arg(data.join("mkbase.py")).arg("/bin/busybox").arg(&layout).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let digest: Digest = String::from_utf8(made.stdout).unwrap().trim().parse().unwrap();
        let base = import(&store, &layout, &digest);
        Self { folder, store, base }
    }

    pub fn project(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

fn import(store: &Store, layout: &Path, digest: &Digest) -> PinnedImage {
    let blob = |digest: &Digest| fs::read(layout.join("blobs/sha256").join(digest.hex())).unwrap();
    let manifest = Manifest::parse(&blob(digest)).unwrap();
    let config = ImageConfig::parse(&blob(&manifest.config.digest)).unwrap();
    let batch = store.batch();
    let layers = manifest.layers.iter().map(|layer: &Descriptor| {
        let bytes = blob(&layer.digest);
        batch.put(&bytes).unwrap();
        let tar = corten_layer::gzip::reader(&layer.media_type, bytes.as_slice()).unwrap();
        let found = corten_layer::tar::index(tar).unwrap();
        batch.layer_index(&found.diff_id, &found.index).unwrap();
        GivenLayer {
            blob: layer.clone(),
            diff_id: found.diff_id,
            tar_size: found.tar_size,
            installed: Vec::new(),
            set_id: Vec::new(),
        }
    });
    let layers = layers.collect();
    batch.finish().unwrap();
    PinnedImage { digest: *digest, config, layers }
}

pub struct Ignoring(pub Matcher);

impl Patterns for Ignoring {
    fn matches(&self, path: &str) -> bool {
        self.0.matches(path)
    }

    fn excepts_below(&self, folder: &str) -> bool {
        self.0.excepts_below(folder)
    }

    fn reaches_into(&self, folder: &str) -> bool {
        self.0.reaches_into(folder)
    }
}

pub fn understand(patterns: &[String]) -> Result<Box<dyn Patterns>, String> {
    let matcher = Matcher::new(patterns.iter().map(String::as_str)).map_err(|error| error.to_string())?;
    Ok(Box::new(Ignoring(matcher)))
}

/// What one build asks for.
pub struct Build<'a> {
    pub folder: &'a Path,
    /// Below the folder.
    pub dockerfile: &'a str,
    pub build_args: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, String>,
    pub shm: Option<u64>,
    pub no_cache: bool,
    pub epoch: Option<u64>,
}

impl<'a> Build<'a> {
    pub fn new(folder: &'a Path, dockerfile: &'a str) -> Self {
        Self {
            folder,
            dockerfile,
            build_args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            shm: None,
            no_cache: false,
            epoch: None,
        }
    }

    pub fn run(&self, world: &World) -> Result<Finished, String> {
        let shown = |report: &Report| {
            let error = report.error();
            let causes: String = report.causes().iter().map(|cause| format!(": {cause}")).collect();
            format!("{error}{causes} {:?}", error.hints())
        };
        self.solve(world, &Heard::default()).map_err(|report| shown(&report))
    }

    pub fn solve(&self, world: &World, progress: &dyn Progress) -> Result<Finished, Report> {
        let path = self.folder.join(self.dockerfile);
        let text = fs::read_to_string(&path).unwrap();
        let pinned = self.pinned(world, &path, &text)?;
        let own = PathBuf::from(format!("{}.dockerignore", path.display()));
        let ignore =
            [own, self.folder.join(".dockerignore")].into_iter().find_map(|path| fs::read_to_string(path).ok());
        let ignore = ignore.map(|text| {
            let lines: Vec<String> = read_ignore_file(&text).into_iter().map(|(_, line)| line).collect();
            understand(&lines).unwrap()
        });
        let context = Context::open(self.folder, ignore).unwrap();
        let given = Given(&self.secrets);
        let means = Means {
            store: &world.store,
            jobs: 2,
            context: Some(context.into()),
            folders: BTreeMap::new(),
            patterns: &understand,
            secrets: &given,
            remote: &Nowhere,
            bring: &|_, _| Ok(()),
            progress,
            runner: &Sandboxed,
            no_cache: &|_| self.no_cache,
            allowed: Allowed::default(),
            shm: self.shm,
            each: Vec::new(),
            passage: corten_sandbox::Passage::none(),
            hosts: Vec::new(),
            network: "default".into(),
            dockerfile: (path, text.as_str().into()),
            now: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO),
            project: self.folder.display().to_string(),
        };
        stages::solve(&pinned, &means)
    }

    fn pinned(&self, world: &World, path: &Path, text: &str) -> Result<Pinned, Failure> {
        let first = |failures: Vec<Failure>| failures.into_iter().next().unwrap();
        let file = Dockerfile::read(path, text).map_err(first)?;
        let platform = Platform::linux(Architecture::Amd64);
        let mut options = Options::new(platform.clone(), platform);
        options.build_args.clone_from(&self.build_args);
        let answers = |_: &_| Some(world.base.config.clone());
        let mut recipe = match file.lower(&options, &answers).map_err(first)? {
            Lowered::Done(recipe) => recipe,
            Lowered::Asks(names) => panic!("{names:?}"),
        };
        recipe.epoch = recipe.epoch.or(self.epoch);
        let mut images = BTreeMap::new();
        for name in names(&recipe) {
            images.insert(name, world.base.clone());
        }
        Ok(Pinned { recipe, images })
    }
}

fn names(recipe: &corten_plan::recipe::Recipe) -> Vec<corten_plan::recipe::BaseName> {
    use corten_plan::recipe::{Action, Base, Files};
    let mut all = Vec::new();
    for stage in &recipe.stages {
        if let Base::Image(name) = &stage.base {
            all.push(name.clone());
        }
        for step in &stage.steps {
            let files: Vec<&Files> = match &step.action {
                Action::Copy(copy) => vec![&copy.from],
                Action::Run(run) => run.mounts.iter().map(|(_, files)| files).collect(),
                Action::Folder { .. } => Vec::new(),
            };
            all.extend(files.into_iter().filter_map(|files| match files {
                Files::Image(name) => Some(name.clone()),
                _ => None,
            }));
        }
    }
    all
}

/// Output of all steps.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<u8>>);

impl Progress for Heard {
    fn output(&self, _step: StepId, lines: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(lines);
    }
}

struct Given<'a>(&'a BTreeMap<String, String>);

impl Secrets for Given<'_> {
    fn secret(&self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.0.get(id).map(|value| value.clone().into_bytes()))
    }

    fn agent(&self, _id: &str) -> Result<Option<PathBuf>, Failure> {
        Ok(None)
    }
}

struct Nowhere;

impl Remote for Nowhere {
    fn http(&self, url: &str, _checksum: Option<&str>) -> Result<Fetched, Report> {
        Err(Failure::world(format!("{url} is out of reach")).into())
    }

    fn git(&self, url: &str, _keep: bool, _checksum: Option<&str>) -> Result<Fetched, Report> {
        Err(Failure::world(format!("{url} is out of reach")).into())
    }
}

/// The sandbox, with the program as its helper.
struct Sandboxed;

impl Runner for Sandboxed {
    fn run(&self, sandbox: &Sandbox, streams: Streams<'_>) -> Result<Exit, Failure> {
        sandbox.run(streams)
    }

    fn helper(&self) -> Helper {
        Helper { program: env!("CARGO_BIN_EXE_corten").into(), arguments: vec![corten_sandbox::ARGUMENT.into()] }
    }
}
