//! JSON byte for byte as Python's `json.dumps(value, sort_keys=True)` writes it: hashes are made of it.

use toml::Value;

/// What stands between items, and between key and value.
#[derive(Clone, Copy)]
pub(super) struct Separators {
    pub item: &'static str,
    pub key: &'static str,
}

/// The usual ones.
pub(super) const LOOSE: Separators = Separators { item: ", ", key: ": " };

/// `separators=(",", ":")`.
pub(super) const TIGHT: Separators = Separators { item: ",", key: ":" };

/// A value as TOML has it, or `None`.
pub(super) enum Json<'a> {
    Null,
    Value(&'a Value),
    Object(Vec<(&'a str, Json<'a>)>),
}

/// The text; `None` where Python could not write it (a date).
pub(super) fn dumps(value: &Json<'_>, separators: Separators) -> Option<String> {
    let mut out = String::new();
    write(value, separators, &mut out)?;
    Some(out)
}

fn write(value: &Json<'_>, separators: Separators, out: &mut String) -> Option<()> {
    match value {
        Json::Null => out.push_str("null"),
        Json::Value(value) => write_value(value, separators, out)?,
        Json::Object(pairs) => {
            let mut sorted: Vec<_> = pairs.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { separators.item });
                write_text(key, out);
                out.push_str(separators.key);
                write(value, separators, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

fn write_value(value: &Value, separators: Separators, out: &mut String) -> Option<()> {
    match value {
        Value::String(text) => write_text(text, out),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Boolean(true) => out.push_str("true"),
        Value::Boolean(false) => out.push_str("false"),
        Value::Datetime(_) => return None,
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { separators.item });
                write_value(item, separators, out)?;
            }
            out.push(']');
        }
        Value::Table(table) => {
            let pairs = table.iter().map(|(key, value)| (key.as_str(), Json::Value(value))).collect();
            write(&Json::Object(pairs), separators, out)?;
        }
    }
    Some(())
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// Python's `repr`: the shortest digits, an exponent below 1e-4 and from 1e16 on.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of Python 3.11.
    #[test]
    fn texts_and_numbers_are_those_of_python() {
        let text = r#"
            b = [1, -2, true, { z = 1, a = "x" }]
            a = "é \" \\ \u007f \U0001F600 \t/"
            f = [1.0, 0.1, 1e16, 1e15, 0.0001, 0.00001, 1.5e300, -0.0, inf, nan]
        "#;
        let value = Value::Table(text.parse().unwrap());
        assert_eq!(
            dumps(&Json::Value(&value), LOOSE).unwrap(),
            "{\"a\": \"\\u00e9 \\\" \\\\ \\u007f \\ud83d\\ude00 \\t/\", \
             \"b\": [1, -2, true, {\"a\": \"x\", \"z\": 1}], \
             \"f\": [1.0, 0.1, 1e+16, 1000000000000000.0, 0.0001, 1e-05, 1.5e+300, -0.0, Infinity, NaN]}"
        );
        let pair = Json::Object(vec![("b", Json::Null), ("a", Json::Object(Vec::new()))]);
        assert_eq!(dumps(&pair, TIGHT).unwrap(), "{\"a\":{},\"b\":null}");
        let date = Value::Table("d = 2020-01-01".parse().unwrap());
        assert!(dumps(&Json::Value(&date), LOOSE).is_none());
    }
}
