//! Answers, pinned, to a plan: which layers there are, in which order, and what stands above them.
//!
//! | layer, lowest first | changes when |
//! |---|---|
//! | base | the archive's state in corten.lock does |
//! | each wheel of a megabyte or more, by size | that wheel does |
//! | small wheels, in eight buckets | one of the bucket does |
//! | generated: user, venv's links | user, Python |
//! | weights, uncompressed | the weights do |
//! | the project's own packages | any source of theirs does |
//! | app | any other file does |

use corten_install::python::{InstallTarget, VenvKind, generated_files, group};
use corten_oci::{Architecture, ContainerConfig};
use corten_plan::{
    AppFiles, Compiler, Debs, GeneratedFile, GeneratedKind, ImageSpec, LockedBase, LockedWheel, Op, OwnWheel,
    OwnWheels, Plan, PythonTarget, SourceFile, Step, StepId, Target, Wheels,
};

use crate::start::{UID, VENV};

/// Everything that a plan needs to know.
pub struct Answers {
    /// What it stands on.
    pub base: LockedBase,
    /// Whose Python compiles its standard library, where its own does not run.
    pub compiler: Option<Compiler>,
    /// What the wheels run on.
    pub python: PythonTarget,
    /// Sorted by name.
    pub wheels: Vec<LockedWheel>,
    /// The project's own packages, sorted by name.
    pub own: Vec<OwnWheel>,
    /// Weights, at their places in the image.
    pub weights: Vec<SourceFile>,
    /// Everything else of the project.
    pub app: Vec<SourceFile>,
    /// The service's user.
    pub user: String,
    /// The image's config, with labels.
    pub config: ContainerConfig,
    /// RFC 3339.
    pub created: Option<String>,
}

/// The plan, and its step that makes the image.
pub fn lower(answers: Answers) -> (Plan, StepId) {
    let architecture: Architecture = answers.base.architecture;
    let mut steps = vec![base_step(&answers.base, answers.compiler.clone())];
    steps.extend(wheel_steps(&answers.wheels, &answers.python));
    steps.push(generated_step(&answers));
    if !answers.weights.is_empty() {
        steps.push(files_step("weights", answers.weights, false));
    }
    if !answers.own.is_empty() {
        steps.push(own_step(answers.own, answers.python));
    }
    if !answers.app.is_empty() {
        steps.push(files_step("app", answers.app, true));
    }
    let inputs = (0..steps.len()).map(StepId).collect();
    let spec = ImageSpec { architecture, config: answers.config, created: answers.created };
    let image = StepId(steps.len());
    steps.push(Step { op: Op::Image(Box::new(spec)), inputs, name: "image".into() });
    (Plan { steps, targets: vec![Target { name: "image".into(), step: image }] }, image)
}

fn base_step(base: &LockedBase, compiler: Option<Compiler>) -> Step {
    let name = format!("base {} {}", base.reference, base.variant.name());
    let debs = Debs {
        suite: base.archive.suite.clone(),
        variant: base.variant,
        architecture: base.architecture,
        archive: base.archive.clone(),
        seeds: base.seeds.clone(),
        packages: base.debs.clone(),
        compiler,
    };
    Step { op: Op::Debs(debs), inputs: Vec::new(), name }
}

fn wheel_steps(wheels: &[LockedWheel], python: &PythonTarget) -> Vec<Step> {
    let sizes: Vec<(&str, u64)> = wheels.iter().map(|wheel| (wheel.name.as_str(), wheel.size)).collect();
    let step = |places: Vec<usize>| {
        let wheels: Vec<LockedWheel> = places.into_iter().filter_map(|at| wheels.get(at)).cloned().collect();
        let name = match wheels.as_slice() {
            [one] => format!("{} {}", one.name, one.version),
            many => format!("{} small wheels: {}", many.len(), names(many)),
        };
        let op = Op::Wheels(Wheels { wheels, prefix: VENV.into(), python: python.clone() });
        Step { op, inputs: Vec::new(), name }
    };
    group(&sizes).into_iter().map(|group| step(group.wheels)).collect()
}

fn names(wheels: &[LockedWheel]) -> String {
    wheels.iter().map(|wheel| wheel.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// User and group, home folder, and what makes the wheels' folder a virtual environment.
fn generated_step(answers: &Answers) -> Step {
    let user = &answers.user;
    let file = |path: String, kind| GeneratedFile { path, kind, mode: 0o644, uid: 0, gid: 0 };
    let passwd = format!("{user}:x:{UID}:{UID}:{user}:/home/{user}:/usr/sbin/nologin\n");
    let home = file(format!("home/{user}"), GeneratedKind::Directory);
    let mut files = vec![
        file("etc/passwd".into(), GeneratedKind::Append(passwd)),
        file("etc/group".into(), GeneratedKind::Append(format!("{user}:x:{UID}:\n"))),
        GeneratedFile { mode: 0o755, uid: UID, gid: UID, ..home },
    ];
    files.extend(virtual_environment(&answers.python));
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Step { op: Op::Files { files }, inputs: vec![StepId(0)], name: "generated: user, virtual environment".into() }
}

fn virtual_environment(python: &PythonTarget) -> impl Iterator<Item = GeneratedFile> {
    let target = InstallTarget { prefix: VENV.into(), python: python.version };
    let interpreter = format!("/usr/bin/python{}", python.minor());
    generated_files(&target, &interpreter, &python.full_version).into_iter().map(|file| {
        let (kind, mode) = match file.kind {
            VenvKind::File(text) => (GeneratedKind::File(text), 0o644),
            VenvKind::Symlink(target) => (GeneratedKind::Symlink(target), 0o777),
        };
        GeneratedFile { path: file.path, kind, mode, uid: 0, gid: 0 }
    })
}

fn own_step(wheels: Vec<OwnWheel>, python: PythonTarget) -> Step {
    let names: Vec<String> = wheels.iter().map(|wheel| format!("{} {}", wheel.name, wheel.version)).collect();
    let name = format!("the project: {}", names.join(", "));
    Step { op: Op::Own(OwnWheels { wheels, prefix: VENV.into(), python }), inputs: Vec::new(), name }
}

fn files_step(name: &str, files: Vec<SourceFile>, compressed: bool) -> Step {
    Step { op: Op::App(AppFiles { files, compressed }), inputs: Vec::new(), name: name.into() }
}
