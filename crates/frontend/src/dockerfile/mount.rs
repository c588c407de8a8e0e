//! `RUN --mount=type=cache,target=/root/.cache,…`.

use corten_plan::recipe::{Mount, MountKind, Sharing, memory};

use super::flags::near;

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

fn kind(text: &str) -> Result<MountKind, String> {
    let names = KINDS.map(|(name, _)| name);
    let found = KINDS.iter().find(|(name, _)| *name == text);
    found.map(|(_, kind)| *kind).ok_or_else(|| unknown("type of mount", text, &names))
}

fn unknown(what: &str, text: &str, names: &[&str]) -> String {
    match near(text, names) {
        Some(meant) => format!("there is no {what} {text}: did you mean {meant}?"),
        None => format!("there is no {what} {text}: there are {}", names.join(", ")),
    }
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "ro",
    "readonly",
    "rw",
    "readwrite",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
];

/// The values in the flag that variables may stand in, in their order; none of what cannot be read.
pub fn values(text: &str) -> Vec<String> {
    let fields = fields(text).unwrap_or_default();
    let value = |field: &String| field.split_once('=').map(|(_, value)| value.to_owned());
    fields.iter().filter_map(value).collect()
}

/// Reads the value of the flag; `expand` is asked for each value but that of `from`.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn parse(text: &str, expand: &dyn Fn(&str) -> Result<String, String>) -> Result<Mount, String> {
    let mut mount = Mount::default();
    let fields = fields(text)?;
    // The type decides what the others mean.
    for field in &fields {
        if let Some((key, value)) = field.split_once('=')
            && key.eq_ignore_ascii_case("type")
        {
            mount.kind = kind(&expand(value)?.to_ascii_lowercase())?;
        }
    }
    for field in &fields {
        read(&mut mount, field, expand)?;
    }
    checked(mount)
}

fn read(mount: &mut Mount, field: &str, expand: &dyn Fn(&str) -> Result<String, String>) -> Result<(), String> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
        None => (field.to_ascii_lowercase(), None),
    };
    let is_true = |value: Option<String>| match value.as_deref() {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("{key} is true or false, not {other}")),
    };
    if key == "from" {
        let from = value.filter(|from| !from.is_empty()).ok_or("from needs a value")?;
        if from.contains('$') {
            return Err("from takes no variable: name a stage FROM it, and mount from that".to_owned());
        }
        mount.from = Some(from.to_owned());
        return Ok(());
    }
    let value = value.map(expand).transpose()?;
    match key.as_str() {
        "ro" | "readonly" => mount.readonly = Some(is_true(value)?),
        "rw" | "readwrite" => mount.readonly = Some(!is_true(value)?),
        "required" => mount.required = is_true(value)?,
        _ => {
            let value = value.ok_or_else(|| match KEYS.contains(&key.as_str()) {
                true => format!("{key} needs a value"),
                false => unknown("key of a mount", &key, &KEYS),
            })?;
            set(mount, &key, value)?;
        }
    }
    Ok(())
}

fn set(mount: &mut Mount, key: &str, value: String) -> Result<(), String> {
    let number = |value: &str| value.parse::<u32>().map_err(|_| format!("{key}={value} is no number"));
    match key {
        "type" => {}
        "source" | "src" => mount.source = Some(value),
        "target" | "dst" | "destination" => mount.target = Some(value),
        "id" => mount.id = Some(value),
        "env" => mount.env = Some(value),
        "sharing" => {
            mount.sharing = match value.to_ascii_lowercase().as_str() {
                "shared" => Sharing::Shared,
                "private" => Sharing::Private,
                "locked" => Sharing::Locked,
                other => return Err(unknown("sharing", other, &["shared", "private", "locked"])),
            }
        }
        "size" => mount.size = Some(memory(&value).ok_or_else(|| format!("size={value} is no size"))?),
        "mode" => {
            let mode = u32::from_str_radix(&value, 8).ok().filter(|mode| *mode <= 0o7777);
            mount.mode = Some(mode.ok_or_else(|| format!("mode={value} is no octal mode"))?);
        }
        "uid" => mount.uid = Some(number(&value)?),
        "gid" => mount.gid = Some(number(&value)?),
        other => return Err(unknown("key of a mount", other, &KEYS)),
    }
    Ok(())
}

fn checked(mount: Mount) -> Result<Mount, String> {
    let kind = mount.kind;
    let only = |is_there: bool, what: &str, kinds: &[MountKind]| match is_there && !kinds.contains(&kind) {
        true => Err(format!("{what} has no meaning for a mount of this type")),
        false => Ok(()),
    };
    use MountKind::{Bind, Cache, Secret, Ssh, Tmpfs};
    only(mount.from.is_some(), "from", &[Bind, Cache])?;
    only(mount.size.is_some(), "size", &[Tmpfs])?;
    only(mount.sharing != Sharing::Shared, "sharing", &[Cache])?;
    only(mount.required, "required", &[Secret, Ssh])?;
    only(mount.env.is_some(), "env", &[Secret])?;
    only(
        mount.mode.is_some() || mount.uid.is_some() || mount.gid.is_some(),
        "an owner or mode",
        &[Cache, Secret, Ssh],
    )?;
    let needs_target = matches!(kind, Bind | Cache | Tmpfs);
    match mount.target.as_deref() {
        None if needs_target => Err("a mount needs a target".to_owned()),
        Some(target) if needs_target && target.trim_end_matches('/').is_empty() => {
            Err("the root cannot be the target of a mount".to_owned())
        }
        _ => Ok(mount),
    }
}

/// A line of comma-separated values, some in double quotes.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut rest = text.chars().peekable();
    let mut open = false;
    while let Some(character) = rest.next() {
        let Some(field) = fields.last_mut() else { break };
        match character {
            '"' if open && rest.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if open || field.is_empty() => open = !open,
            '"' => return Err("a double quote within a value: quote the whole field".to_owned()),
            ',' if !open => fields.push(String::new()),
            other => field.push(other),
        }
    }
    if open { Err("nothing closes the double quote".to_owned()) } else { Ok(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mount, String> {
        super::parse(text, &|value| Ok(value.replace("$X", "y")))
    }

    #[test]
    fn each_type_has_its_keys() {
        let mount = parse("type=cache,target=/c/$X,id=a,sharing=locked,uid=1,gid=2,mode=0700").unwrap();
        assert_eq!(
            (mount.kind, mount.target.as_deref(), mount.sharing),
            (MountKind::Cache, Some("/c/y"), Sharing::Locked)
        );
        assert_eq!((mount.uid, mount.gid, mount.mode), (Some(1), Some(2), Some(0o700)));
        assert_eq!(parse("type=tmpfs,dst=/t,size=64m").unwrap().size, Some(64 << 20));
        assert_eq!(parse("\"source=a,b\",target=/x,rw").unwrap().source.as_deref(), Some("a,b"));
        assert_eq!(parse("TYPE=secret,id=a,required").unwrap().kind, MountKind::Secret);
    }

    #[test]
    fn what_means_nothing_is_told() {
        let told = |text: &str| parse(text).unwrap_err();
        assert_eq!(told("type=tmp"), "there is no type of mount tmp: did you mean tmpfs?");
        assert_eq!(told("type=bind"), "a mount needs a target");
        assert_eq!(told("type=bind,target=/"), "the root cannot be the target of a mount");
        assert_eq!(told("target=/a,from=$X"), "from takes no variable: name a stage FROM it, and mount from that");
        assert_eq!(told("type=cache,target=/a,size=1"), "size has no meaning for a mount of this type");
        assert_eq!(told("target=/a,sourc=b"), "there is no key of a mount sourc: did you mean source?");
        assert_eq!(told("type=cache,target=/a,mode=9"), "mode=9 is no octal mode");
    }
}
