//! The JSON Schema of the settings (draft 2020-12), for editors: corten.toml, and what stands in `[tool.corten]`.
//!
//! It refuses unknown keys and values of a wrong type or form. What only the program can know (is there such a group, does
//! eStargz fit the compression) it leaves to the program.

use serde_json::{Map, Value as Json, json};

use super::keys::{Key, Kind, Otherwise, SETTINGS};
use super::user::USER;

/// The schema, as it is committed as docs/corten.schema.json.
pub fn schema() -> Json {
    let mut schema = table(&SETTINGS, &[]);
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "Settings of Corten: corten.toml, or [tool.corten] of pyproject.toml".into());
    Json::Object(schema)
}

/// The same for the user's own file, as it is committed as docs/corten.user.schema.json.
pub fn user_schema() -> Json {
    let mut schema = table(&USER, &[]);
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "What a user says for all projects: ~/.config/corten/config.toml".into());
    Json::Object(schema)
}

fn table(keys: &[Key], required: &[&str]) -> Map<String, Json> {
    let properties: Map<String, Json> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut object = Map::new();
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), Json::Object(properties));
    object.insert("additionalProperties".into(), false.into());
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object
}

fn property(key: &Key) -> Json {
    let mut object = of(&key.kind);
    let about = match &key.otherwise {
        Otherwise::Found(how) => format!("{}. Default: {how}.", key.about),
        _ if key.about.ends_with('?') => key.about.to_owned(),
        _ => format!("{}.", key.about),
    };
    object.insert("description".into(), about.into());
    if let Otherwise::Value(toml) = &key.otherwise {
        object.insert("default".into(), value(toml));
    }
    Json::Object(object)
}

fn of(kind: &Kind) -> Map<String, Json> {
    let schema = match kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Form(pattern) => json!({"type": "string", "pattern": pattern}),
        Kind::OneOf(texts) => json!({"enum": texts}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::False => json!({"const": false}),
        Kind::Whole(least, i64::MAX) => json!({"type": "integer", "minimum": least}),
        Kind::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Kind::List(item) => json!({"type": "array", "items": of(item)}),
        Kind::Some(item) => json!({"type": "array", "items": of(item), "minItems": 1}),
        Kind::Table(keys, required) => return table(keys, required),
        Kind::Named("", inner) => json!({"type": "object", "additionalProperties": of(inner)}),
        Kind::Named(form, inner) => {
            json!({"type": "object", "propertyNames": {"pattern": form}, "additionalProperties": of(inner)})
        }
        Kind::Either(kinds) => json!({"anyOf": kinds.iter().map(of).collect::<Vec<_>>()}),
    };
    match schema {
        Json::Object(object) => object,
        _ => Map::new(),
    }
}

/// A default as JSON. The table is ours: a test reads each of them.
fn value(toml: &str) -> Json {
    let table = toml::from_str::<Map<String, Json>>(&format!("value = {toml}"));
    table.ok().and_then(|mut table| table.remove("value")).unwrap_or(Json::Null)
}
