//! Checking a built image: facts from plan, lock and layers, handed to the rules; then the settings' policy.

use corten_check::{
    BaseFacts, Budget, CheckInput, FileFacts, ForeignFile, LayerFacts, LibrariesFacts, LibraryFacts, LicenceFacts,
    LicencePolicy, LockFacts, PackageFacts, Policy, ProjectFacts, PythonFacts, Verdict, check, judge,
};
use corten_diagnostic::{Finding, Report, Span};
use corten_frontend::settings::Setting;
use corten_install::python::{Metadata, Unmet, requirements_met};
use corten_package::PackageName;
use corten_package::marker::Environment;
use corten_plan::{Built, BuiltLayer, Installed, OwnWheel, SourceFile};

use crate::build::Outcome;
use crate::gpu;
use crate::libraries::{self, MissingLibrary, Programs};
use crate::machines::ForeignProgram;
use crate::packages::lock_line;
use crate::plan::Planned;
use crate::readiness;
use crate::unlocked;
use crate::weights;
use crate::world::World;

/// What the rules find on any platform, and what the project's policy says to it. A finding that some platforms do not
/// have says which do.
pub fn verdict(outcome: &Outcome, world: &World<'_>) -> Result<Verdict, Report> {
    let policy = Policy::of(&outcome.planned.project.settings.check)?;
    let mut all: Vec<(Finding, Vec<String>)> = Vec::new();
    let mut platforms = 0;
    for (planned, built) in outcome.parts() {
        platforms += 1;
        let platform = format!("linux/{}", planned.base.architecture);
        for finding in findings(planned, built, world)? {
            match all.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, found_on)) => found_on.push(platform.clone()),
                None => all.push((finding, vec![platform.clone()])),
            }
        }
    }
    let told = |(finding, found_on): (Finding, Vec<String>)| match found_on.len() < platforms {
        true => Finding { message: format!("{} ({})", finding.message, found_on.join(", ")), ..finding },
        false => finding,
    };
    Ok(judge(all.into_iter().map(told).collect(), &policy))
}

fn findings(planned: &Planned, built: &Built, world: &World<'_>) -> Result<Vec<Finding>, Report> {
    let programs = libraries::programs(planned, built, world)?;
    let foreign: Vec<Vec<ForeignFile>> = built.layers.iter().map(|layer| foreign(planned, layer, &programs)).collect();
    let layers: Vec<LayerFacts<'_>> = built
        .layers
        .iter()
        .zip(&foreign)
        .map(|(built, foreign)| LayerFacts {
            name: &built.what,
            size: built.layer.blob.size,
            diff_id: built.layer.diff_id,
            set_id: &built.set_id,
            foreign,
        })
        .collect();
    let files = file_facts(planned);
    let cuda = gpu::of_built(planned, &programs.cuda, world)?;
    let gpu = corten_check::cuda::fit(&cuda, &planned.target).reasons;
    let settings = &planned.project.settings;
    let input = CheckInput {
        listens: planned.start.web,
        settings: settings.native.clone(),
        base: BaseFacts { name: planned.base.reference.clone(), pinned: true, at: settings.base.at.clone() },
        lock: Some(lock_facts(planned, Some(built))),
        files: &files,
        layers: &layers,
        libraries: library_facts(planned, programs.missing),
        budget: settings.check.size.as_ref().map(|size| Budget { bytes: size.value, at: size.at.clone() }),
        gpu: &gpu,
        project: project_facts(planned, Some(built), world),
        ..CheckInput::of(&built.image.config.config)
    };
    Ok(check(&input))
}

/// What the rules find before anything is built: nothing is said of layers, libraries and installed packages; of CUDA what names,
/// versions and remembered wheels tell.
pub(crate) fn of_plan(planned: &Planned, world: &World<'_>) -> Result<Vec<Finding>, Report> {
    let cuda = gpu::of_planned(planned, gpu::Read::Nothing, world)?;
    let gpu = corten_check::cuda::fit(&cuda, &planned.target).reasons;
    let config = readiness::config(planned).cloned().unwrap_or_default();
    let files = file_facts(planned);
    let settings = &planned.project.settings;
    Ok(check(&CheckInput {
        listens: planned.start.web,
        settings: settings.native.clone(),
        base: BaseFacts { name: planned.base.reference.clone(), pinned: true, at: settings.base.at.clone() },
        lock: Some(lock_facts(planned, None)),
        files: &files,
        gpu: &gpu,
        project: project_facts(planned, None, world),
        ..CheckInput::of(&config)
    }))
}

fn normalised(name: &str) -> String {
    PackageName::new(name).map_or_else(|_| name.to_lowercase(), |name| name.to_string())
}

fn project_facts(planned: &Planned, built: Option<&Built>, world: &World<'_>) -> ProjectFacts {
    let built_here = planned.packages.builds.iter().map(|build| PackageFacts {
        package: format!("{} {}", build.sdist.name, build.sdist.version),
        why: build.why.clone(),
        at: (build.line > 0).then(|| lock_line(&planned.project, build.line)),
    });
    let installed = built.iter().flat_map(|built| &built.layers).flat_map(|layer| &layer.installed);
    let wheels = installed.filter(|one| one.purl.starts_with("pkg:pypi/"));
    let licences = wheels.map(|one| LicenceFacts {
        name: normalised(&one.name),
        package: format!("{} {}", one.name, one.version),
        licence: one.licence.clone(),
    });
    let policy = planned.project.settings.check.licences.as_ref().map(|licences| {
        let list = |list: &[Setting<String>]| list.iter().map(|one| one.value.clone()).collect::<Vec<_>>();
        LicencePolicy {
            allow: list(&licences.allow),
            deny: list(&licences.deny),
            except: licences.except.iter().map(|one| normalised(&one.value)).collect(),
            at: licences.allow.first().or(licences.deny.first()).and_then(|one| one.at.clone()),
        }
    });
    ProjectFacts {
        sdists: built_here.collect(),
        python_ended: python_ended(planned, world),
        licences: licences.collect(),
        licence_policy: policy,
        ..ProjectFacts::default()
    }
}

/// The image's Python past its end of life, unless a distribution looks after it: its packages are below `/usr/bin`.
fn python_ended(planned: &Planned, world: &World<'_>) -> Option<PythonFacts> {
    let (base, settings) = (&planned.base, &planned.project.settings);
    let (path, at) = match (&base.interpreter, &base.image) {
        (Some(interpreter), _) => (&interpreter.path, settings.interpreter.as_ref().and_then(|named| named.at.clone())),
        (None, Some(image)) => (&image.interpreter, settings.base.at.clone()),
        (None, None) => return None,
    };
    let by_distribution = ["/usr/bin/", "/usr/libexec/"].iter().any(|folder| path.starts_with(folder));
    let ended = PythonFacts::of(&planned.python.full_version, world.today()).filter(|_| !by_distribution)?;
    Some(PythonFacts { at, ..ended })
}

/// A layer's programs and libraries for another processor.
fn foreign(planned: &Planned, layer: &BuiltLayer, programs: &Programs) -> Vec<ForeignFile> {
    let image = planned.base.architecture.go_name();
    let of_layer = programs.foreign.iter().filter(|file| file.layer == layer.layer.diff_id);
    let facts = |file: &ForeignProgram| ForeignFile {
        path: file.path.clone(),
        machine: file.machine.clone(),
        image: image.to_owned(),
    };
    of_layer.map(facts).collect()
}

fn library_facts(planned: &Planned, missing: Vec<MissingLibrary>) -> LibrariesFacts {
    let facts = |one: MissingLibrary| LibraryFacts {
        library: one.library,
        file: one.file,
        package: one.package,
        files: one.files,
        breaks_import: one.breaks_import,
        deb: one.deb,
    };
    let settings = &planned.project.settings;
    LibrariesFacts {
        missing: missing.into_iter().map(facts).collect(),
        asked: settings.packages.iter().map(|name| name.value.clone()).collect(),
        at: settings.packages.first().and_then(|name| name.at.clone()),
    }
}

fn file_facts(planned: &Planned) -> Vec<FileFacts<'_>> {
    let below = planned.project.settings.workdir.value.trim_matches('/');
    let relative = |file: &SourceFile| -> usize { file.path.strip_prefix(below).map_or(0, |_| below.len() + 1) };
    let facts = |file, weight| {
        let file: &SourceFile = file;
        let path = file.path.get(relative(file)..).unwrap_or(&file.path);
        FileFacts { path, size: file.size, weight, runs_code: weights::runs_code(file) }
    };
    let own = planned.own.iter().flat_map(OwnWheel::files);
    let app = planned.app.iter().chain(own).map(|file| facts(file, false));
    app.chain(planned.weights.iter().map(|file| facts(file, true))).collect()
}

fn lock_facts(planned: &Planned, built: Option<&Built>) -> LockFacts {
    let (project, packages) = (&planned.project, &planned.packages);
    let at = |line: usize| -> Option<Span> { (line > 0).then(|| lock_line(project, line)) };
    let yanked = packages.yanked.iter().map(|yanked| PackageFacts {
        package: yanked.package.clone(),
        why: yanked.why.clone(),
        at: at(yanked.line),
    });
    let unhashed = packages.recorded.keys().map(|file| PackageFacts {
        package: file.clone(),
        why: "its hash is recorded in corten.lock".to_owned(),
        at: None,
    });
    let missing = built.map(|built| missing_requirements(planned, built)).unwrap_or_default();
    let is_short = missing.iter().any(|unmet| unmet.found.is_none());
    LockFacts {
        name: project.lock_name(),
        differs_at: project.manifest.as_ref().and_then(|manifest| manifest.place_of(&planned.out_of_step)),
        out_of_step: planned.out_of_step.clone(),
        unhashed: unhashed.collect(),
        yanked: yanked.collect(),
        completed_by: if is_short { unlocked::completes(project) } else { None },
        unmet: missing.into_iter().map(unmet_facts).collect(),
    }
}

/// What the installed wheels say that they need, and that is not there.
fn missing_requirements(planned: &Planned, built: &Built) -> Vec<Unmet> {
    let installed = built.layers.iter().flat_map(|layer| &layer.installed);
    // The base's Python has packages that the virtual environment does not see.
    let image = planned.base_image.as_ref();
    let seen = |one: &&Installed| one.digest.is_some() || image.is_some_and(|image| image.provides(&one.name));
    let wheels = installed.filter(seen).filter(|one| one.purl.starts_with("pkg:pypi/")).map(|one| Metadata {
        name: one.name.clone(),
        version: one.version.clone(),
        requires_dist: one.requires.clone(),
        ..Metadata::default()
    });
    let environment = Environment::new(planned.python.full_version.clone(), planned.python.architecture);
    requirements_met(&wheels.collect::<Vec<_>>(), &environment)
}

fn unmet_facts(unmet: Unmet) -> PackageFacts {
    let found = unmet.found.map_or_else(|| "it is absent".to_owned(), |found| format!("found {found}"));
    PackageFacts { package: unmet.by, why: format!("needs {}, {found}", unmet.requirement), at: None }
}
