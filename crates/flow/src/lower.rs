//! Answers, pinned, to a plan: which layers there are, in which order, and what stands above them.
//!
//! | layer, lowest first | changes when |
//! |---|---|
//! | base | the archive's state in corten.lock does |
//! | Debian packages beside the base | they do, or the base |
//! | each wheel of a megabyte or more, by size | that wheel does |
//! | small wheels, in eight buckets | one of the bucket does |
//! | each package that is built from source | its source, what its build needs |
//! | generated: user, venv's links | user, Python |
//! | bytecode of wheels of 8 MB or more each, of the others in eight buckets | one of the layer's wheels, or Python does |
//! | weights, uncompressed | the weights do |
//! | the project's own packages | any source of theirs does |
//! | app | any other file does |
//! | bytecode of the two | their Python files do |

use corten_frontend::settings::{BytecodeSetting, LayerSettings};
use corten_install::python::{Group, Groups, InstallTarget, VenvKind, generated_files, group, group_with_bytecode};
use corten_oci::{Architecture, ContainerConfig};
use corten_plan::{
    AppFiles, Bytecode, Compiler, Compression, Debs, FetchedFile, GeneratedFile, GeneratedKind, GivenLayer, ImageSpec,
    LockedBase, LockedPackages, LockedWheel, Op, OwnWheel, OwnWheels, Packages, Plan, PythonTarget, Sdist, SourceFile,
    Sources, Step, StepId, Target, Wheels,
};

use crate::images::BaseImage;
use crate::start::{UID, VENV};

/// Everything that a plan needs to know.
pub struct Answers {
    /// What it stands on.
    pub base: LockedBase,
    /// The interpreter in place of Debian's Python.
    pub standalone: Option<GivenLayer>,
    /// The base, where it is an image.
    pub image: Option<BaseImage>,
    /// Of what is added to it: what may stay as it is unpacked.
    pub unconfigured: Vec<String>,
    /// Whose Python compiles its standard library, where its own does not run.
    pub compiler: Option<Compiler>,
    /// The same base for this machine, where its own Python does not run here.
    pub host: Option<LockedBase>,
    /// What the wheels run on.
    pub python: PythonTarget,
    /// Sorted by name.
    pub wheels: Vec<LockedWheel>,
    /// Packages that are built from source, and what they are built in.
    pub builds: Option<(LockedBase, Vec<Sdist>)>,
    /// The project's own packages, sorted by name.
    pub own: Vec<OwnWheel>,
    /// Weights, at their places in the image.
    pub weights: Vec<SourceFile>,
    /// Those of them that are fetched.
    pub fetched: Vec<FetchedFile>,
    /// Everything else of the project.
    pub app: Vec<SourceFile>,
    /// How layers are compressed, and whether there is bytecode.
    pub layers: LayerSettings,
    /// The service's user.
    pub user: String,
    /// The image's config, with labels.
    pub config: ContainerConfig,
    /// RFC 3339.
    pub created: Option<String>,
}

/// The plan, and its step that makes the image.
pub fn lower(mut answers: Answers) -> (Plan, StepId) {
    let architecture: Architecture = answers.base.architecture;
    let compression = answers.layers.compression.value;
    let compiled = Compiled::of(&answers);
    let mut steps = base_steps(&answers);
    let added = answers.base.packages.as_ref();
    steps.extend(added.map(|added| packages_step(&answers.base, added, &answers.unconfigured)));
    let system: Vec<StepId> = (0..steps.len()).map(StepId).collect();
    let system_layers = system.len();
    let builds = answers.builds.take();
    let history = answers.image.as_ref().map(|image| image.history(&answers.base.reference)).unwrap_or_default();
    let program = interpreter(&answers).trim_start_matches('/').to_owned();
    let groups = groups(&answers.wheels, answers.layers.bytecode.value, system_layers);
    steps.extend(wheel_steps(&answers.wheels, &groups.wheels, &answers.python));
    steps.push(generated_step(&answers, system));
    if !answers.weights.is_empty() {
        steps.push(files_step("weights", answers.weights, answers.layers.weights.value, answers.fetched));
    }
    if !answers.own.is_empty() {
        steps.push(own_step(answers.own, answers.python.clone()));
    }
    if !answers.app.is_empty() {
        steps.push(files_step("app", answers.app, compression, Vec::new()));
    }
    // Layers in their order; steps come after what they compile and what it is compiled with.
    let (lower, end) = (system_layers + groups.wheels.len(), steps.len());
    let mut below: Vec<StepId> = (0..end).map(StepId).collect();
    if let Some(host) = answers.host.filter(|_| answers.layers.bytecode.value != BytecodeSetting::None) {
        below[0] = StepId(end);
        steps.push(base_step(&host, None));
    }
    let first = steps.len();
    let (of_wheels, of_project) =
        compiled.steps(&answers.wheels, &groups.bytecode, (&answers.python, &program), &below);
    let (wheels, own) = (of_wheels.len(), of_project.len());
    steps.extend(of_wheels);
    steps.extend(of_project);
    let mut built = 0..0;
    if let Some((base, sdists)) = builds {
        built = build_steps(&base, sdists, &mut steps);
    }
    let layers = (0..lower)
        .chain(built)
        .chain(first..first + wheels)
        .chain(lower..end)
        .chain(first + wheels..first + wheels + own);
    let inputs = layers.map(StepId).collect();
    let spec = ImageSpec { architecture, config: answers.config, created: answers.created, history };
    let image = StepId(steps.len());
    steps.push(Step { op: Op::Image(Box::new(spec)), inputs, name: "image".into() });
    (Plan { steps, targets: vec![Target { name: "image".into(), step: image }], compression }, image)
}

/// The base's layers: one of Debian packages, or those of an image.
fn base_steps(answers: &Answers) -> Vec<Step> {
    let Some(image) = &answers.image else {
        let own = answers.standalone.iter().map(|layer| Step {
            op: Op::Given(Box::new(layer.clone())),
            inputs: Vec::new(),
            name: format!("interpreter: Python {}", answers.python.full_version),
        });
        return std::iter::once(base_step(&answers.base, answers.compiler.clone())).chain(own).collect();
    };
    let count = image.layers.len();
    let step = |(number, layer): (usize, &GivenLayer)| Step {
        op: Op::Given(Box::new(layer.clone())),
        inputs: Vec::new(),
        name: format!("base {}, {} of {count}", answers.base.reference, number + 1),
    };
    image.layers.iter().enumerate().map(step).collect()
}

/// The base's Python, absolute.
fn interpreter(answers: &Answers) -> String {
    let image = answers.base.image.as_ref().map(|image| &image.interpreter);
    let given = image.or(answers.base.interpreter.as_ref().map(|own| &own.path));
    given.map_or_else(|| format!("/usr/bin/python{}", answers.python.minor()), Clone::clone)
}

fn base_step(base: &LockedBase, compiler: Option<Compiler>) -> Step {
    let name = format!("base {}", base.name());
    Step { op: Op::Debs(debs(base, compiler)), inputs: Vec::new(), name }
}

/// Its inputs are in it: that the base's layer is remembered is not enough to add to it.
fn packages_step(base: &LockedBase, added: &LockedPackages, unconfigured: &[String]) -> Step {
    let op = Op::Packages(Packages {
        base: debs(base, None),
        asked: added.asked.clone(),
        epoch: added.epoch,
        packages: added.debs.clone(),
        unconfigured: unconfigured.to_vec(),
    });
    Step { op, inputs: Vec::new(), name: format!("packages: {}", added.asked.join(" ")) }
}

fn debs(base: &LockedBase, compiler: Option<Compiler>) -> Debs {
    Debs {
        suite: base.archive.suite.clone(),
        variant: base.variant,
        architecture: base.architecture,
        archive: base.archive.clone(),
        seeds: base.seeds.clone(),
        packages: base.debs.clone(),
        dockerfiles: None,
        compiler,
    }
}

/// Base, generated, weights, own packages, app, bytecode of the last two; some more for what is yet to come.
const BESIDE_WHEELS: usize = 12;

fn groups(wheels: &[LockedWheel], bytecode: BytecodeSetting, below: usize) -> Groups {
    let sizes: Vec<(&str, u64)> = wheels.iter().map(|wheel| (wheel.name.as_str(), wheel.size)).collect();
    let with_bytecode =
        (bytecode == BytecodeSetting::All).then(|| group_with_bytecode(&sizes, BESIDE_WHEELS + below)).flatten();
    with_bytecode.unwrap_or_else(|| Groups { wheels: group(&sizes), bytecode: Vec::new() })
}

fn of_group(group: &Group, wheels: &[LockedWheel]) -> (String, Vec<LockedWheel>) {
    let wheels: Vec<LockedWheel> = group.wheels.iter().filter_map(|at| wheels.get(*at)).cloned().collect();
    let name = match wheels.as_slice() {
        [one] => format!("{} {}", one.name, one.version),
        many => format!("{} small wheels: {}", many.len(), names(many)),
    };
    (name, wheels)
}

fn wheel_steps(wheels: &[LockedWheel], groups: &[Group], python: &PythonTarget) -> Vec<Step> {
    let step = |group: &Group| {
        let (name, wheels) = of_group(group, wheels);
        let op = Op::Wheels(Wheels { wheels, prefix: VENV.into(), python: python.clone() });
        Step { op, inputs: Vec::new(), name }
    };
    groups.iter().map(step).collect()
}

/// The layers of packages that stand above an image which has none of them, and the steps that make them.
pub fn lower_packages(
    wheels: &[LockedWheel],
    builds: Option<(LockedBase, Vec<Sdist>)>,
    layers: &LayerSettings,
    python: &PythonTarget,
) -> (Plan, Vec<StepId>) {
    let sizes: Vec<(&str, u64)> = wheels.iter().map(|wheel| (wheel.name.as_str(), wheel.size)).collect();
    let mut steps = wheel_steps(wheels, &group(&sizes), python);
    let mut wanted: Vec<StepId> = (0..steps.len()).map(StepId).collect();
    if let Some((base, sdists)) = builds {
        wanted.extend(build_steps(&base, sdists, &mut steps).map(StepId));
    }
    (Plan { steps, targets: Vec::new(), compression: layers.compression.value }, wanted)
}

/// Adds what sdists are built in, and their steps: the places of the latter.
fn build_steps(base: &LockedBase, sdists: Vec<Sdist>, steps: &mut Vec<Step>) -> std::ops::Range<usize> {
    let mut below = base_step(base, None);
    below.name = format!("for builds, not in the image: {}", below.name);
    let unconfigured = |added: &LockedPackages| added.debs.iter().map(|deb| deb.name.clone()).collect::<Vec<_>>();
    let added = base.packages.as_ref().map(|added| packages_step(base, added, &unconfigured(added)));
    let added = added.map(|step| Step { name: format!("for builds, not in the image: {}", step.name), ..step });
    let from = steps.len();
    steps.extend(std::iter::once(below).chain(added));
    let inputs: Vec<StepId> = (from..steps.len()).map(StepId).collect();
    let first = steps.len();
    steps.extend(sdists.into_iter().map(|sdist| sdist_step(sdist, inputs.clone())));
    first..steps.len()
}

/// What is compiled of the project.
struct Compiled {
    own: Vec<OwnWheel>,
    app: Vec<SourceFile>,
}

impl Compiled {
    fn of(answers: &Answers) -> Self {
        if answers.layers.bytecode.value == BytecodeSetting::None {
            return Self { own: Vec::new(), app: Vec::new() };
        }
        let is_source = |file: &&SourceFile| file.link.is_none() && file.path.ends_with(".py") && file.size <= LARGEST;
        Self { own: answers.own.clone(), app: answers.app.iter().filter(is_source).cloned().collect() }
    }

    /// Steps of the wheels' bytecode, and of the project's.
    fn steps(
        self,
        wheels: &[LockedWheel],
        groups: &[Group],
        (python, program): (&PythonTarget, &str),
        below: &[StepId],
    ) -> (Vec<Step>, Vec<Step>) {
        let step = |name: String, of| {
            let op =
                Op::Bytecode(Bytecode { of, prefix: VENV.into(), python: python.clone(), program: program.to_owned() });
            Step { op, inputs: below.to_vec(), name: format!("bytecode of {name}") }
        };
        let of_wheels = groups.iter().map(|group| {
            let (name, wheels) = of_group(group, wheels);
            step(name, Sources::Wheels(wheels))
        });
        let of_wheels = of_wheels.collect();
        let mut of_project = Vec::new();
        if !self.own.is_empty() {
            of_project.push(step("the project".to_owned(), Sources::Own(self.own)));
        }
        if !self.app.is_empty() {
            of_project.push(step("app".to_owned(), Sources::App(self.app)));
        }
        (of_wheels, of_project)
    }
}

/// A larger file (bytes) is data, whatever its name says.
const LARGEST: u64 = 8 << 20;

fn names(wheels: &[LockedWheel]) -> String {
    wheels.iter().map(|wheel| wheel.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// User and group, home folder, and what makes the wheels' folder a virtual environment.
fn generated_step(answers: &Answers, system: Vec<StepId>) -> Step {
    let user = &answers.user;
    let file = |path: String, kind| GeneratedFile { path, kind, mode: 0o644, uid: 0, gid: 0 };
    // The base's own file is known where it is an image, and may be a link there.
    let appended = |line: String, known: fn(&BaseImage) -> &str| match &answers.image {
        None => GeneratedKind::Append(line),
        Some(image) => GeneratedKind::File(with_line(known(image), &line)),
    };
    let passwd = format!("{user}:x:{UID}:{UID}:{user}:/home/{user}:/usr/sbin/nologin\n");
    let home = file(format!("home/{user}"), GeneratedKind::Directory);
    let mut files = vec![
        file("etc/passwd".into(), appended(passwd, |image| &image.accounts.0)),
        file("etc/group".into(), appended(format!("{user}:x:{UID}:\n"), |image| &image.accounts.1)),
        GeneratedFile { mode: 0o755, uid: UID, gid: UID, ..home },
    ];
    files.extend(virtual_environment(&answers.python, &interpreter(answers)));
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Step { op: Op::Files { files }, inputs: system, name: "generated: user, virtual environment".into() }
}

/// A text with a line at its end, unless it has it.
fn with_line(text: &str, line: &str) -> String {
    let mut all = text.to_owned();
    if !all.is_empty() && !all.ends_with('\n') {
        all.push('\n');
    }
    if !all.lines().any(|other| other == line.trim_end()) {
        all.push_str(line);
    }
    all
}

fn virtual_environment(python: &PythonTarget, interpreter: &str) -> impl Iterator<Item = GeneratedFile> {
    let target = InstallTarget { prefix: VENV.into(), python: python.version };
    generated_files(&target, interpreter, &python.full_version).into_iter().map(|file| {
        let (kind, mode) = match file.kind {
            VenvKind::File(text) => (GeneratedKind::File(text), 0o644),
            VenvKind::Symlink(target) => (GeneratedKind::Symlink(target), 0o777),
        };
        GeneratedFile { path: file.path, kind, mode, uid: 0, gid: 0 }
    })
}

fn sdist_step(sdist: Sdist, inputs: Vec<StepId>) -> Step {
    let what = format!("{} {}", sdist.sdist.name, sdist.sdist.version);
    let name = format!("{}, built from source", what.trim_end());
    Step { op: Op::Sdist(Box::new(sdist)), inputs, name }
}

fn own_step(wheels: Vec<OwnWheel>, python: PythonTarget) -> Step {
    let names: Vec<String> = wheels.iter().map(|wheel| format!("{} {}", wheel.name, wheel.version)).collect();
    let name = format!("the project: {}", names.join(", "));
    Step { op: Op::Own(OwnWheels { wheels, prefix: VENV.into(), python }), inputs: Vec::new(), name }
}

fn files_step(name: &str, files: Vec<SourceFile>, compression: Compression, fetched: Vec<FetchedFile>) -> Step {
    Step { op: Op::App(AppFiles { files, compression, fetched }), inputs: Vec::new(), name: name.into() }
}
