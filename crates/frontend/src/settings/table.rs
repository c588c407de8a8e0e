//! Reading a TOML table key by key, so that every mistake is shown where it was written.
//!
//! Serde could fill the structs, but it names a wrong key only in the text of its message. A [`Table`] knows which keys
//! there are (`super::keys`), and so refuses every other one with the key that was probably meant.

use std::path::PathBuf;
use std::sync::Arc;

use corten_diagnostic::{Failure, Fault, Span};
use toml::de::{DeTable, DeValue};

use super::Setting;
use super::keys::{Key, Kind};

/// A file of settings.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub path: PathBuf,
    pub text: Arc<str>,
    /// Whose mistake a text is that is not TOML at all.
    pub fault: Fault,
}

impl Source {
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>, fault: Fault) -> Self {
        Self { path: path.into(), text: text.into(), fault }
    }

    pub fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(&self.path, Arc::clone(&self.text), range)
    }

    /// Reads the text as TOML and hands on its root.
    pub fn parse(&self) -> Result<toml::Spanned<DeTable<'_>>, Failure> {
        DeTable::parse(&self.text).map_err(|error| {
            let message = format!("cannot read {}: {}", self.path.display(), error.message().trim_end());
            let failure = match self.fault {
                Fault::Usage => Failure::usage(message),
                _ => Failure::input(message),
            };
            match error.span() {
                Some(range) => failure.at(self.span(range)),
                None => failure,
            }
        })
    }
}

/// A table with the keys that may stand in it.
pub(crate) struct Table<'t> {
    source: &'t Source,
    /// As the user would write it: `check`; empty for the root of the settings.
    name: String,
    entries: &'t DeTable<'t>,
    keys: &'static [Key],
}

/// Names that people bring along from elsewhere, with ours.
const SYNONYMS: [(&str, &str); 14] = [
    ("cmd", "run"),
    ("command", "run"),
    ("start", "run"),
    ("image", "base"),
    ("from", "base"),
    ("expose", "port"),
    ("ports", "port"),
    ("environment", "env"),
    ("health", "healthcheck"),
    ("health-check", "healthcheck"),
    ("dev-groups", "groups"),
    ("uid", "user"),
    ("models", "weights"),
    ("include", "extra-files"),
];

impl<'t> Table<'t> {
    /// Reads a table with `read`, then refuses the keys that are none of `keys`.
    pub fn read<T>(
        source: &'t Source,
        name: impl Into<String>,
        entries: &'t DeTable<'t>,
        keys: &'static [Key],
        read: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut table = Self { source, name: name.into(), entries, keys };
        let result = read(&mut table)?;
        table.refuse_unknown()?;
        Ok(result)
    }

    /// The value of `key`, if it is there. A key that is not in the list is never there.
    pub fn take(&mut self, key: &str) -> Option<Value<'t>> {
        let known = self.keys.iter().find(|known| known.name == key);
        debug_assert!(known.is_some(), "'{}' is missing in settings/keys.rs", self.path_of(key));
        let value = self.entries.get(key)?;
        Some(Value { source: self.source, name: self.path_of(key), value, kind: &known?.kind })
    }

    /// The keys as written.
    pub fn keys(&self) -> impl Iterator<Item = (&'t str, Span)> + use<'t> {
        let source = self.source;
        self.entries.keys().map(move |key| (key.get_ref().as_ref(), source.span(key.span())))
    }

    fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn refuse_unknown(&self) -> Result<(), Failure> {
        let is_known = |key: &str| self.keys.iter().any(|known| known.name == key);
        let Some((key, at)) = self.keys().find(|(key, _)| !is_known(key)) else { return Ok(()) };
        let failure = Failure::usage(format!("unknown setting '{}'", self.path_of(key))).at(at);
        Err(match self.probably_meant(key) {
            Some(meant) => failure.hint(format!("did you mean '{}'?", self.path_of(meant))),
            None => failure.hint(format!("known here: {}", self.names().collect::<Vec<_>>().join(", "))),
        })
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|key| key.name)
    }

    fn probably_meant(&self, key: &str) -> Option<&'static str> {
        let spelled = key.to_ascii_lowercase().replace('_', "-");
        let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == spelled).map(|(_, ours)| *ours);
        if let Some(ours) = synonym.filter(|ours| self.names().any(|name| name == *ours)) {
            return Some(ours);
        }
        let likeness = |known: &&'static str| strsim::damerau_levenshtein(known, &spelled);
        let nearest = self.names().min_by_key(|known| likeness(known))?;
        let allowed = (spelled.chars().count() / 3).max(1);
        (likeness(&nearest) <= allowed || nearest.starts_with(&spelled)).then_some(nearest)
    }
}

/// A value with its place and its full name.
#[derive(Clone)]
pub(crate) struct Value<'t> {
    source: &'t Source,
    name: String,
    value: &'t toml::Spanned<DeValue<'t>>,
    kind: &'static Kind,
}

impl<'t> Value<'t> {
    pub fn at(&self) -> Span {
        self.source.span(self.value.span())
    }

    /// The value is not what it should be: `why` ends a sentence that begins with the setting's name.
    pub fn wrong(&self, why: impl std::fmt::Display) -> Failure {
        Failure::usage(format!("setting '{}' {why}", self.name)).at(self.at())
    }

    fn expected(&self, what: &str) -> Failure {
        self.wrong(format!("is {}, expected {what}", self.kind()))
    }

    fn kind(&self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        }
    }

    /// The value, once it is understood.
    pub fn set<T>(&self, value: T) -> Setting<T> {
        Setting { value, at: Some(self.at()) }
    }

    pub fn text(&self) -> Option<&'t str> {
        self.value.get_ref().as_str()
    }

    pub fn string(&self) -> Result<Setting<String>, Failure> {
        self.text().map(|text| self.set(text.to_owned())).ok_or_else(|| self.expected("a string"))
    }

    /// A string that `parse` understands; the error says why it does not.
    pub fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Setting<T>, Failure> {
        let text = self.text().ok_or_else(|| self.expected("a string"))?;
        parse(text).map(|value| self.set(value)).map_err(|why| self.wrong(why))
    }

    pub fn flag(&self) -> Option<bool> {
        self.value.get_ref().as_bool()
    }

    pub fn boolean(&self) -> Result<Setting<bool>, Failure> {
        self.flag().map(|flag| self.set(flag)).ok_or_else(|| self.expected("true or false"))
    }

    pub fn number(&self) -> Option<i64> {
        let integer = self.value.get_ref().as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// A whole number that fits.
    pub fn whole<T: TryFrom<i64>>(&self, what: &str) -> Result<Setting<T>, Failure> {
        if !self.value.get_ref().is_integer() {
            return Err(self.expected(what));
        }
        let fitting = self.number().and_then(|number| T::try_from(number).ok());
        fitting.map(|number| self.set(number)).ok_or_else(|| self.wrong(format!("is out of range, expected {what}")))
    }

    /// A string, number or boolean, as text.
    pub fn scalar(&self) -> Result<Setting<String>, Failure> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(_) => self.number().map(|number| number.to_string()).unwrap_or_default(),
            DeValue::Float(float) => float.as_str().to_owned(),
            _ => return Err(self.expected("a string")),
        };
        Ok(self.set(text))
    }

    pub fn items(&self) -> Option<Vec<Self>> {
        let items = self.value.get_ref().as_array()?.iter().enumerate();
        let item = |(at, value)| self.inner(format!("{}[{at}]", self.name), value);
        Some(items.map(item).collect())
    }

    pub fn array(&self) -> Result<Vec<Self>, Failure> {
        self.items().ok_or_else(|| self.expected("an array"))
    }

    pub fn strings(&self) -> Result<Vec<Setting<String>>, Failure> {
        let items = self.items().ok_or_else(|| self.expected("an array of strings"))?;
        items.iter().map(Self::string).collect()
    }

    /// Is it a table with this key and no other?
    pub fn has_only(&self, key: &str) -> bool {
        let is_key = |entries: &DeTable<'_>| entries.len() == 1 && entries.contains_key(key);
        self.value.get_ref().as_table().is_some_and(is_key)
    }

    /// Reads a table whose keys are settings.
    pub fn table<T>(&self, read: impl FnOnce(&mut Table<'t>) -> Result<T, Failure>) -> Result<T, Failure> {
        let entries = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        Table::read(self.source, self.name.clone(), entries, self.kind.keys(), read)
    }

    /// A table whose keys the user names, in the order of the names.
    pub fn named(&self) -> Result<Vec<(Setting<String>, Self)>, Failure> {
        let entries = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        let named = entries.iter().map(|(key, value)| {
            let at = Some(self.source.span(key.span()));
            let name = format!("{}.{}", self.name, key.get_ref());
            (Setting { value: key.get_ref().to_string(), at }, self.inner(name, value))
        });
        Ok(named.collect())
    }

    fn inner(&self, name: String, value: &'t toml::Spanned<DeValue<'t>>) -> Self {
        Self { source: self.source, name, value, kind: self.kind.inner() }
    }
}
