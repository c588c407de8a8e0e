//! One stanza of a Debian control file, fields in order and text as written: what dpkg's database repeats.
//!
//! Source of the format: Debian Policy, section 5.1; deb822(5).

/// A .deb's control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    fields: Vec<(String, String)>,
}

impl Control {
    /// Reads exactly one stanza. The error says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.trim_end_matches('\n').lines() {
            if line.trim().is_empty() {
                return Err("its control file has an empty line".to_owned());
            }
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else {
                    return Err("its control file begins with a continued line".to_owned());
                };
                value.push('\n');
                value.push_str(line);
                continue;
            }
            let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_field_name(name)) else {
                return Err(format!("its control file has {line:?}, which is no field"));
            };
            if fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(format!("its control file has two fields {name}"));
            }
            fields.push((name.to_owned(), value.trim_start().to_owned()));
        }
        // As dpkg does: a blank at the end of a line that goes on stays.
        for (_, value) in &mut fields {
            value.truncate(value.trim_end().len());
        }
        Ok(Self { fields })
    }

    /// A field's value: lines behind the first with their leading space.
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// Names and values, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Binary package.
    pub fn package(&self) -> &str {
        self.get("Package").unwrap_or_default()
    }

    /// May it be installed for several processors at once?
    pub fn is_multi_arch_same(&self) -> bool {
        self.get("Multi-Arch") == Some("same")
    }

    /// How dpkg names its files: `libc6:amd64` or `bash`.
    pub fn file_name(&self) -> String {
        match self.is_multi_arch_same() {
            true => format!("{}:{}", self.package(), self.get("Architecture").unwrap_or_default()),
            false => self.package().to_owned(),
        }
    }
}

/// Writes one field as it stands in control files.
pub(super) fn write_field(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push(':');
    if !value.is_empty() && !value.starts_with('\n') {
        text.push(' ');
    }
    text.push_str(value);
    text.push('\n');
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '-']) && name.bytes().all(|byte| matches!(byte, 33..=57 | 59..=126))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_keeps_its_order_and_lines() {
        let control = Control::parse(
            "Package: a\nMulti-Arch: same\nArchitecture: amd64\nConffiles:\n /etc/a 1\nDescription: b \n c\n .\n d \n",
        )
        .unwrap();
        assert_eq!(control.get("description"), Some("b \n c\n .\n d"));
        assert_eq!(control.file_name(), "a:amd64");
        let mut text = String::new();
        control.fields().for_each(|(name, value)| write_field(&mut text, name, value));
        assert_eq!(Control::parse(&text), Ok(control));
    }

    #[test]
    fn two_meanings_are_refused() {
        for text in [" a\n", "Package: a\npackage: b\n", "Package: a\n\nPackage: b\n", "no field\n", "-a: b\n"] {
            assert!(Control::parse(text).is_err(), "{text:?}");
        }
    }
}
