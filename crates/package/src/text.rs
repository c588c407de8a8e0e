//! Words for messages.

/// Characters of a text that a message repeats.
const LONGEST: usize = 200;

/// `text` as far as a message should repeat it: whoever writes a file must not decide how long an error is.
pub(crate) fn abridged(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        None => text.into(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_repeat_no_more_than_a_line_or_two() {
        assert_eq!(abridged("short"), "short");
        assert_eq!(abridged(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(abridged(&"é".repeat(201)), format!("{}…", "é".repeat(200)));
        let long = "(".repeat(100_000).parse::<crate::marker::Marker>().unwrap_err();
        assert!(long.to_string().len() < 1000, "{long}");
    }
}
