//! Every setting with what is written for it, for `--explain-settings`.

use corten_diagnostic::{Failure, Fault, Span};
use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Kind, Otherwise, SETTINGS};
use super::write::inline;
use super::{Source, Texts, sections, source};

/// A setting as it stands in the project's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// `check.deny`, `env.LOG_LEVEL`.
    pub name: String,
    /// What it means, in one line.
    pub about: &'static str,
    /// What is written, as TOML on one line, and where.
    pub written: Option<(String, Span)>,
    /// What holds otherwise, as TOML; none where that is found out, or nothing.
    pub usual: Option<&'static str>,
    /// How it is found out where it is not written.
    pub found: Option<&'static str>,
}

/// All settings, in the order of their table. Values of variables that sound like secrets are not shown.
///
/// # Errors
/// A file that is no TOML.
pub fn stated(texts: &Texts) -> Result<Vec<Stated>, Failure> {
    let corten = texts.corten.as_ref().map(|text| source(text, Fault::Usage));
    let pyproject = texts.pyproject.as_ref().map(|text| source(text, Fault::Input));
    let corten_root = corten.as_ref().map(Source::parse).transpose()?;
    let pyproject_root = pyproject.as_ref().map(Source::parse).transpose()?;
    let own = corten.as_ref().zip(corten_root.as_ref().map(toml::Spanned::get_ref));
    let section = match pyproject.as_ref().zip(pyproject_root.as_ref().map(toml::Spanned::get_ref)) {
        Some((source, root)) => sections::tool_corten(source, root)?.map(|(source, root, _)| (source, root)),
        None => None,
    };
    let mut all = Vec::new();
    rows("", &SETTINGS, own.or(section), &mut all);
    Ok(all)
}

fn rows(around: &str, keys: &'static [Key], table: Option<(&Source, &DeTable<'_>)>, all: &mut Vec<Stated>) {
    for key in keys {
        let name = format!("{around}{}", key.name);
        let value = table.and_then(|(source, table)| Some((source, table.get(key.name)?)));
        let inner = value.and_then(|(source, value)| Some((source, value.get_ref().as_table()?)));
        match &key.kind {
            Kind::Table(keys, _) => rows(&format!("{name}."), keys, inner, all),
            // A name for each variable and label; mirrors are one setting.
            Kind::Named(_, Kind::Scalar) if inner.is_some_and(|(_, table)| !table.is_empty()) => {
                let entries =
                    inner.into_iter().flat_map(|(source, table)| table.iter().map(move |pair| (source, pair)));
                all.extend(entries.map(|(source, (entry, value))| {
                    let shown =
                        if is_secret(entry.get_ref()) { "…".to_owned() } else { inline(&json(value.get_ref())) };
                    Stated {
                        name: format!("{name}.{}", entry.get_ref()),
                        written: Some((shown, source.span(entry.span()))),
                        ..unwritten(name.clone(), key)
                    }
                }));
            }
            _ => {
                let written = value.map(|(source, value)| {
                    let key = table.and_then(|(_, table)| table.get_key_value(key.name));
                    let at = key.map_or_else(|| value.span(), |(key, _)| key.span());
                    (inline(&json(value.get_ref())), source.span(at))
                });
                all.push(Stated { written, ..unwritten(name, key) });
            }
        }
    }
}

fn unwritten(name: String, key: &'static Key) -> Stated {
    let (usual, found) = match &key.otherwise {
        Otherwise::Value(toml) => (Some(*toml), None),
        Otherwise::Found(how) => (None, Some(*how)),
        Otherwise::Nothing => (None, None),
    };
    Stated { name, about: key.about, written: None, usual, found }
}

fn is_secret(variable: &str) -> bool {
    let upper = variable.to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"].iter().any(|word| upper.contains(word))
}

fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Json::from(number.as_str()), Json::from),
        DeValue::Float(number) => {
            number.as_str().parse::<f64>().map_or_else(|_| Json::from(number.as_str()), Json::from)
        }
        DeValue::Boolean(flag) => Json::from(*flag),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Text;
    use super::*;

    #[test]
    fn each_setting_is_there_with_its_place() {
        let text = "[project]\nname = 'x'\n[tool.corten]\nport = 0x50\nhealthcheck = { path = '/h' }\n\
            [tool.corten.env]\nLEVEL = \"a\"\nHF_TOKEN = \"hf_abc\"\n[tool.corten.check]\nsize = '5MB'\n";
        let texts = Texts { pyproject: Some(Text::new("pyproject.toml", text)), ..Texts::default() };
        let all = stated(&texts).unwrap();
        let written = |name: &str| {
            let row = all.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
            row.written.as_ref().map(|(value, at)| (value.as_str(), at.to_string()))
        };
        assert_eq!(written("port"), Some(("80", "pyproject.toml:4:1".to_owned())));
        assert_eq!(written("healthcheck"), Some(("{ path = \"/h\" }", "pyproject.toml:5:1".to_owned())));
        assert_eq!(written("env.LEVEL"), Some(("\"a\"", "pyproject.toml:7:1".to_owned())));
        assert_eq!(written("env.HF_TOKEN"), Some(("…", "pyproject.toml:8:1".to_owned())));
        assert_eq!(written("check.size"), Some(("\"5MB\"", "pyproject.toml:10:1".to_owned())));
        assert_eq!((written("check.deny"), written("labels")), (None, None));
        let deny = all.iter().find(|row| row.name == "check.deny").unwrap();
        assert_eq!((deny.usual, deny.found), (Some("[\"error\"]"), None));
        assert!(all.iter().all(|row| !row.about.is_empty()));
    }
}
