//! `corten inspect`.

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::look::{self, Ask, Inspection, LayerView, OfPlatform, Place, Referrer, View, Wanted};
use corten_oci::{ContainerConfig, Healthcheck};
use serde_json::{Value, json};

use super::{registry_options, result};
use crate::args::{self, Format};
use crate::render::print_bytes;
use crate::render::text::{bold, dim, one_line, size, span, table};

/// How many packages of a layer are named to people.
const SHOWN_PACKAGES: usize = 8;
/// How wide the names of fields are.
const NAMES: usize = 11;

/// Shows an image.
pub fn run(arguments: &args::Inspect, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let options = registry_options(&arguments.look.registry)?;
    let platform = arguments.look.platform.as_deref();
    let found = look::find(&wanted(&arguments.image, &arguments.look), &options, world)?;
    if arguments.raw {
        let bytes = look::raw(&found, platform)?;
        print_bytes(&bytes)?;
        return Ok(0);
    }
    let inspection = look::inspect(&found, platform)?;
    result(format, &shape(&inspection), || text(&inspection))?;
    Ok(0)
}

/// What was typed → what flow is asked.
pub fn wanted<'a>(name: &'a str, arguments: &'a args::Look) -> Wanted<'a> {
    let ask = if arguments.remote { Ask::Registry } else { Ask::StoreFirst };
    Wanted { name, ask }
}

/// Where an image was found, in JSON.
pub fn place(place: Place) -> &'static str {
    match place {
        Place::Store => "store",
        Place::Registry => "registry",
    }
}

/// What `--format json` prints: all documented in docs/json.md.
fn shape(inspection: &Inspection) -> Value {
    let referrer = |one: &Referrer| json!({"kind": one.kind.name(), "artifact_type": one.artifact_type, "digest": one.digest, "subject": one.subject});
    let platform = |one: &OfPlatform| {
        let platform = one.platform.as_ref().map(ToString::to_string);
        let (size, layers) = one.size.unzip();
        json!({"platform": platform, "digest": one.digest, "size": size, "layers": layers})
    };
    json!({
        "name": inspection.name,
        "found": place(inspection.place),
        "digest": inspection.digest,
        "media_type": inspection.media_type,
        "artifact_type": inspection.artifact_type,
        "annotations": inspection.annotations,
        "names": inspection.names,
        "platforms": inspection.platforms.iter().map(platform).collect::<Vec<_>>(),
        "image": inspection.image.as_ref().map(image),
        "referrers": inspection.referrers.iter().map(referrer).collect::<Vec<_>>(),
        "more_referrers": inspection.more_referrers,
    })
}

fn image(view: &View) -> Value {
    let base = view.base.as_ref().map(|base| json!({"name": base.name, "digest": base.digest}));
    let config = view.config.as_ref();
    json!({
        "platform": view.platform().map(|platform| platform.to_string()),
        "digest": view.digest,
        "media_type": view.media_type,
        "size": view.size(),
        "unpacked": view.unpacked(),
        "annotations": view.annotations,
        "config_digest": view.config_blob.digest,
        "config_media_type": view.config_blob.media_type,
        "created": config.and_then(|config| config.created.clone()),
        "author": config.and_then(|config| config.author.clone()),
        "base": base,
        "config": config.map(|config| container(&config.config)),
        "layers": view.layers.iter().map(layer).collect::<Vec<_>>(),
        "history": super::history::steps(view),
    })
}

fn container(config: &ContainerConfig) -> Value {
    json!({
        "user": config.user,
        "entrypoint": config.entrypoint,
        "cmd": config.cmd,
        "env": config.env.clone().unwrap_or_default(),
        "workdir": config.working_dir,
        "ports": config.exposed_ports.clone().unwrap_or_default(),
        "volumes": config.volumes.clone().unwrap_or_default(),
        "labels": config.labels.clone().unwrap_or_default(),
        "stop_signal": config.stop_signal,
        "shell": config.shell,
        "onbuild": config.on_build.clone().unwrap_or_default(),
        "healthcheck": config.healthcheck.as_ref().map(|check| json!({
            "test": check.test,
            "interval": check.interval,
            "timeout": check.timeout,
            "start_period": check.start_period,
            "start_interval": check.start_interval,
            "retries": check.retries,
        })),
    })
}

/// A layer, in JSON.
pub fn layer(layer: &LayerView) -> Value {
    let (unpacked, files) = layer.unpacked.unzip();
    json!({
        "digest": layer.blob.digest,
        "diff_id": layer.diff_id,
        "media_type": layer.blob.media_type,
        "size": layer.blob.size,
        "unpacked": unpacked,
        "files": files,
        "created_by": layer.created_by,
        "packages": layer.packages,
    })
}

/// A field with its name in front; further lines below it.
fn field(name: &str, lines: &[String]) -> Option<String> {
    let (first, rest) = lines.split_first()?;
    let first = format!("{}  {first}", dim(&format!("{name:<NAMES$}")));
    let rest = rest.iter().map(|line| format!("{:<width$}{line}", "", width = NAMES + 2));
    Some(std::iter::once(first).chain(rest).collect::<Vec<_>>().join("\n"))
}

fn text(inspection: &Inspection) -> String {
    let at = match inspection.place {
        Place::Store => "in the store",
        Place::Registry => "at its registry",
    };
    let kind = inspection.artifact_type.iter().map(|kind| one_line(&kind.0)).collect::<Vec<_>>();
    let other = |name: &&String| **name != inspection.name;
    let names: Vec<String> = inspection.names.iter().filter(other).map(|name| one_line(name)).collect();
    let annotations = inspection.annotations.iter().map(|(name, value)| one_line(&format!("{name}={value}")));
    let fields = [
        field("name", &[format!("{}  ({at})", bold(&one_line(&inspection.name)))]),
        field("digest", &[inspection.digest.to_string()]),
        field("type", &[one_line(&inspection.media_type.0)]),
        field("artifact", &kind),
        field("also", &names),
        field("annotations", &annotations.collect::<Vec<_>>()),
        field("platforms", &platforms(&inspection.platforms)),
        field("hangs on it", &referrers(inspection)),
    ];
    let head = fields.into_iter().flatten().collect::<Vec<_>>().join("\n");
    match &inspection.image {
        None => head,
        Some(view) => {
            let several = inspection.platforms.len() > 1;
            let title = view.platform().filter(|_| several).map(|platform| one_line(&platform.to_string()));
            let title = title.map(|platform| format!("{}  {}\n", bold(&platform), view.digest)).unwrap_or_default();
            format!("{head}\n\n{title}{}", image_text(view))
        }
    }
}

fn platforms(platforms: &[OfPlatform]) -> Vec<String> {
    let row = |one: &OfPlatform| {
        let platform = one.platform.as_ref().map_or("-".to_owned(), |platform| one_line(&platform.to_string()));
        let bytes = one.size.map_or("-".to_owned(), |(bytes, _)| size(bytes));
        vec![platform, bytes, one.digest.to_string()]
    };
    let rows: Vec<_> = platforms.iter().map(row).collect();
    table(&rows, &[1]).lines().map(str::to_owned).collect()
}

fn referrers(inspection: &Inspection) -> Vec<String> {
    let row = |one: &Referrer| {
        let kind = one.artifact_type.as_ref().map_or("-".to_owned(), |kind| one_line(&kind.0));
        vec![one.kind.name().to_owned(), one.digest.to_string(), kind]
    };
    let rows: Vec<_> = inspection.referrers.iter().map(row).collect();
    let mut lines: Vec<String> = table(&rows, &[]).lines().map(str::to_owned).collect();
    if inspection.more_referrers > 0 {
        lines.push(format!("and {} more", inspection.more_referrers));
    }
    lines
}

fn image_text(view: &View) -> String {
    let unpacked = view.unpacked().map(|bytes| format!(" ({} unpacked)", size(bytes))).unwrap_or_default();
    let sizes = format!("{}{unpacked}, {} layers", size(view.size()), view.layers.len());
    let mut fields = vec![field("size", &[sizes])];
    if let Some(config) = &view.config {
        fields.push(field("created", &config.created.iter().map(|at| one_line(at)).collect::<Vec<_>>()));
        fields.push(field("author", &config.author.iter().map(|who| one_line(who)).collect::<Vec<_>>()));
    }
    let base = view.base.as_ref().map(|base| {
        let words = [base.name.as_deref(), base.digest.as_deref()];
        one_line(&words.into_iter().flatten().collect::<Vec<_>>().join("  "))
    });
    fields.push(field("base", &base.into_iter().collect::<Vec<_>>()));
    if let Some(config) = &view.config {
        fields.extend(container_fields(&config.config));
    }
    let fields = fields.into_iter().flatten().collect::<Vec<_>>().join("\n");
    format!("{fields}\n\n{}", layers(view))
}

fn container_fields(config: &ContainerConfig) -> Vec<Option<String>> {
    let one = |text: &str| if text.is_empty() { Vec::new() } else { vec![one_line(text)] };
    let many = |texts: &Option<Vec<String>>| texts.iter().flatten().map(|text| one_line(text)).collect::<Vec<_>>();
    let words = |words: &Option<Vec<String>>| words.iter().map(|words| one_line(&quoted(words))).collect::<Vec<_>>();
    let labels = config.labels.iter().flatten().map(|(name, value)| one_line(&format!("{name}={value}")));
    let joined = |texts: Vec<String>| if texts.is_empty() { texts } else { vec![texts.join(" ")] };
    vec![
        field("user", &one(&config.user)),
        field("entrypoint", &words(&config.entrypoint)),
        field("command", &words(&config.cmd)),
        field("workdir", &one(&config.working_dir)),
        field("ports", &joined(many(&config.exposed_ports))),
        field("volumes", &joined(many(&config.volumes))),
        field("health", &config.healthcheck.iter().map(health).collect::<Vec<_>>()),
        field("stop signal", &one(config.stop_signal.as_deref().unwrap_or_default())),
        field("shell", &words(&config.shell)),
        field("onbuild", &many(&config.on_build)),
        field("env", &many(&config.env)),
        field("labels", &labels.collect::<Vec<_>>()),
    ]
}

/// Words as a shell would take them.
fn quoted(words: &[String]) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "_-./:=@%+,".contains(letter);
    let word = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn health(check: &Healthcheck) -> String {
    let test = match check.test.split_first() {
        Some((kind, _)) if kind == "NONE" => return "none".to_owned(),
        Some((kind, words)) if kind == "CMD" => quoted(words),
        Some((kind, words)) if kind == "CMD-SHELL" => words.join(" "),
        _ => quoted(&check.test),
    };
    let time =
        |name: &str, time: Option<u64>| Some(format!("{name} {}", span(time.filter(|nanoseconds| *nanoseconds > 0)?)));
    let retries = check.retries.filter(|retries| *retries > 0).map(|retries| format!("retries {retries}"));
    let times =
        [time("every", check.interval), time("at most", check.timeout), time("at first", check.start_period), retries];
    let times = times.into_iter().flatten().collect::<Vec<_>>().join(", ");
    one_line(&if times.is_empty() { test } else { format!("{test}  ({times})") })
}

fn layers(view: &View) -> String {
    let head = ["SIZE", "UNPACKED", "LAYER, LOWEST FIRST", "CREATED BY"].map(str::to_owned).to_vec();
    let row = |layer: &LayerView| {
        let unpacked = layer.unpacked.map_or("-".to_owned(), |(bytes, _)| size(bytes));
        let by = layer.created_by.as_deref().map(super::history::readable).unwrap_or_default();
        let by = by.lines().next().unwrap_or_default().chars().take(100).collect::<String>();
        vec![size(layer.blob.size), unpacked, format!("sha256:{}", layer.blob.digest.short()), by]
    };
    let rows: Vec<_> = std::iter::once(head).chain(view.layers.iter().map(row)).collect();
    let mut lines = Vec::new();
    let nothing = LayerView {
        blob: view.config_blob.clone(),
        diff_id: None,
        unpacked: None,
        packages: Vec::new(),
        created_by: None,
    };
    let of_lines = std::iter::once(&nothing).chain(&view.layers);
    for (line, layer) in table(&rows, &[0, 1]).lines().zip(of_lines) {
        lines.push(line.to_owned());
        lines.extend(packages(&layer.packages).map(|text| dim(&format!("{:>21}{text}", ""))));
    }
    lines.join("\n")
}

/// The packages of a layer, on one line; one that its layer is named after is not said twice.
fn packages(purls: &[String]) -> Option<String> {
    let short = |purl: &String| {
        let path = purl.split(['?', '#']).next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        one_line(&name.replacen('@', " ", 1).replace("%2B", "+").replace("%3A", ":"))
    };
    let more = purls.len().saturating_sub(SHOWN_PACKAGES);
    let first = purls.iter().take(SHOWN_PACKAGES).map(short).collect::<Vec<_>>().join(", ");
    match purls.len() {
        0 | 1 => None,
        count if more > 0 => Some(format!("{count} packages: {first} and {more} more")),
        _ => Some(first),
    }
}
