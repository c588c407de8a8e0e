//! On what an image is to run: what was typed, else what the project's `[gpu]` says, else what this machine has.
//!
//! | | typed | `[gpu]` | this machine |
//! |---|---|---|---|
//! | driver | `--driver` | `driver` | its own, where nobody has named a GPU: another GPU is another machine |
//! | GPUs | `--gpu` | `gpus` | its own |

use corten_check::cuda::{DriverVersion, Gpu, Target, UnknownGpu, gpu};
use corten_diagnostic::Failure;
use corten_frontend::settings::{GpuSettings, Setting};

use super::host::Host;
use crate::world::World;

/// What was typed, and what this machine has.
#[derive(Debug, Clone, Default)]
pub struct TargetOptions {
    /// `--driver`.
    pub driver: Option<String>,
    /// `--gpu`.
    pub gpus: Vec<String>,
    /// What stands in for what nobody has named.
    pub host: Host,
}

impl TargetOptions {
    /// Has somebody named anything?
    pub fn is_typed(&self) -> bool {
        self.driver.is_some() || !self.gpus.is_empty()
    }

    /// With what a project says.
    ///
    /// # Errors
    /// Usage: a text that is no version of a driver, a GPU that nobody knows.
    pub fn of(&self, settings: &GpuSettings, world: &World<'_>) -> Result<Target, Failure> {
        let gpus = self.named(settings)?;
        let driver = match (&self.driver, &settings.driver) {
            (Some(typed), _) => Some(driver(typed).ok_or_else(|| not_typed(typed))?),
            (None, Some(setting)) => Some(driver(&setting.value).ok_or_else(|| no_setting(setting))?),
            (None, None) if gpus.is_some() => None,
            // What a kernel says of its module is its own; that no version is in it is nobody's mistake.
            (None, None) => self.host.driver.as_deref().and_then(driver),
        };
        match gpus {
            Some(Named::Nothing) => Ok(Target { driver, gpus: Vec::new(), without_gpu: true }),
            Some(Named::Gpus(gpus)) => Ok(Target { driver, gpus, without_gpu: false }),
            None => Ok(Target { driver, gpus: self.of_host(world), without_gpu: false }),
        }
    }

    /// Where there is no project.
    ///
    /// # Errors
    /// As [`TargetOptions::of`].
    pub fn alone(&self, world: &World<'_>) -> Result<Target, Failure> {
        self.of(&GpuSettings::default(), world)
    }

    fn named(&self, settings: &GpuSettings) -> Result<Option<Named>, Failure> {
        if !self.gpus.is_empty() {
            let wrong = |name: &str, unknown: &UnknownGpu| {
                like(Failure::usage(format!("--gpu: no GPU is called '{}'", cut(name))), unknown, "--gpu 9.0")
            };
            let all = self.gpus.iter().map(String::as_str);
            return named(all, &wrong, || Failure::usage("--gpu none goes with no other GPU")).map(Some);
        }
        if settings.gpus.is_empty() {
            return Ok(None);
        }
        let place = |name: &str| settings.gpus.iter().find(|setting| setting.value == name);
        let wrong = |name: &str, unknown: &UnknownGpu| {
            let failure = Failure::usage(format!("setting 'gpu.gpus': no GPU is called '{}'", cut(name)));
            like(placed(failure, place(name)), unknown, "gpus = [\"9.0\"]")
        };
        let mixed =
            || placed(Failure::usage("setting 'gpu.gpus': \"none\" goes with no other GPU"), settings.gpus.first());
        named(settings.gpus.iter().map(|setting| setting.value.as_str()), &wrong, mixed).map(Some)
    }

    /// This machine's. One whose name is not known is still known by its capability.
    fn of_host(&self, world: &World<'_>) -> Vec<Gpu> {
        let mut gpus: Vec<Gpu> = Vec::new();
        for one in &self.host.gpus {
            let known = gpu(&one.name).or_else(|unknown| match &one.capability {
                Some(capability) => gpu(capability),
                None => Err(unknown),
            });
            match known {
                Ok(known) if gpus.contains(&known) => {}
                Ok(known) => gpus.push(known),
                Err(_) => world.events.note(&format!(
                    "this machine's GPU '{}' is not known and left out: --gpu takes its compute capability",
                    cut(&one.name)
                )),
            }
        }
        gpus
    }
}

/// What somebody has named.
enum Named {
    Gpus(Vec<Gpu>),
    /// `none`: processors alone.
    Nothing,
}

fn named<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    wrong: &dyn Fn(&str, &UnknownGpu) -> Failure,
    mixed: impl FnOnce() -> Failure,
) -> Result<Named, Failure> {
    if names.clone().any(|name| name.eq_ignore_ascii_case("none")) {
        return if names.count() > 1 { Err(mixed()) } else { Ok(Named::Nothing) };
    }
    let gpus = names.map(|name| gpu(name).map_err(|unknown| wrong(name, &unknown)));
    Ok(Named::Gpus(gpus.collect::<Result<_, _>>()?))
}

fn like(failure: Failure, unknown: &UnknownGpu, capability: &str) -> Failure {
    failure.hint(match unknown.like.is_empty() {
        true => format!("say what `nvidia-smi -L` calls it, or its compute capability: {capability}"),
        false => format!("there are: {}; or say its compute capability: {capability}", unknown.like.join(", ")),
    })
}

fn driver(text: &str) -> Option<DriverVersion> {
    text.parse().ok()
}

const DRIVERS: &str = "expected 580.65.06, or a branch: 580; `nvidia-smi` prints it";

fn not_typed(text: &str) -> Failure {
    Failure::usage(format!("--driver: '{}' is no version of a driver", cut(text))).hint(DRIVERS)
}

fn no_setting(setting: &Setting<String>) -> Failure {
    let failure = Failure::usage(format!("setting 'gpu.driver': '{}' is no version of a driver", cut(&setting.value)));
    placed(failure, Some(setting)).hint(DRIVERS)
}

fn placed(failure: Failure, setting: Option<&Setting<String>>) -> Failure {
    match setting.and_then(|setting| setting.at.clone()) {
        Some(at) => failure.at(at),
        None => failure,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
