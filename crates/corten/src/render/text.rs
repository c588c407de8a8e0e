//! Small texts: sizes, times, and texts from outside made safe to show.

/// `12.3 MB`, powers of 1000.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `0.42 s`, `18 ms`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

/// Nanoseconds as people say them: `10 s`, `1.5 s`, `2 min`.
pub fn span(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    match nanoseconds {
        whole if whole >= 60 * SECOND && whole.is_multiple_of(60 * SECOND) => format!("{} min", whole / SECOND / 60),
        whole if whole.is_multiple_of(SECOND) => format!("{} s", whole / SECOND),
        other => format!("{} s", other as f64 / SECOND as f64),
    }
}

/// How wide the terminal is; 100 where nobody says.
pub fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

fn styled(text: &str, code: &str) -> String {
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// For titles. As all styles, it vanishes where stdout is no terminal, and under `NO_COLOR`.
pub fn bold(text: &str) -> String {
    styled(text, "1")
}

/// For what matters less.
pub fn dim(text: &str) -> String {
    styled(text, "2")
}

/// For what is gone, or bad.
pub fn red(text: &str) -> String {
    styled(text, "31")
}

/// For what is new, or good.
pub fn green(text: &str) -> String {
    styled(text, "32")
}

/// For what has changed, or is doubtful.
pub fn yellow(text: &str) -> String {
    styled(text, "33")
}

/// Text from files and servers without control characters, so that it cannot drive the terminal.
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' || is_bidirectional_control(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The same on one line: a value with a line break in it cannot pass for another field.
pub fn one_line(text: &str) -> String {
    safe(text).replace('\n', "\\n")
}

/// The same for lines of a file under which places are marked by their bytes: what stands for a character is as long as it. What
/// is not replaced here is by who draws the mark.
pub fn source_line(text: &str) -> String {
    let replaced = |c| match c {
        '\t' => ' ',
        '\u{80}'..='\u{9f}' => '\u{bf}',
        other => other,
    };
    text.chars().map(replaced).collect()
}

/// Characters that make text read otherwise than it is stored.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// Rows in columns, each as wide as its widest cell; the last one is not padded. Columns named in `right` lean right.
pub fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cell = |(at, cell): (usize, &String)| match at {
            at if right.contains(&at) => format!("{cell:>width$}", width = widths[at]),
            at if at + 1 == columns => cell.clone(),
            at => format!("{cell:<width$}", width = widths[at]),
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A text in lines of at most `width` characters, broken at blanks; a longer word has a line of its own, broken where it must be.
pub fn lines(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        for (at, piece) in pieces(word, width).enumerate() {
            let Some(line) = lines.last_mut() else { continue };
            let fits = line.chars().count() + 1 + piece.chars().count() <= width;
            match (line.is_empty(), at == 0 && fits) {
                (true, _) => line.push_str(piece),
                (false, true) => line.extend([" ", piece]),
                (false, false) => lines.push(piece.to_owned()),
            }
        }
    }
    lines
}

/// A word in pieces of at most `width` characters; of an empty one there are none.
fn pieces(word: &str, width: usize) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at_checked(end).filter(|(piece, _)| !piece.is_empty())?;
        rest = after;
        Some(piece)
    })
}

/// Items beside and below each other, as many columns as fit into 100 characters, read downwards as `ls` has them.
pub fn columns(items: &[String]) -> String {
    let widest = items.iter().map(|item| item.chars().count()).max().unwrap_or(0) + 2;
    let count = (100 / widest).max(1);
    let height = items.len().div_ceil(count);
    let row = |top: usize| items.iter().skip(top).step_by(height.max(1)).cloned().collect::<Vec<_>>();
    table(&(0..height).map(row).collect::<Vec<_>>(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_downwards() {
        let items: Vec<String> = ["a", "b", "c", "d", &"e".repeat(30)].map(str::to_owned).into();
        assert_eq!(columns(&items), format!("a  c  {}\nb  d", "e".repeat(30)));
        assert_eq!(columns(&[]), "");
    }

    #[test]
    fn no_line_is_longer_than_asked_and_no_word_is_lost() {
        assert_eq!(lines("one two three", 9), ["one two", "three"]);
        assert_eq!(lines("a 1234567890123456789 b", 10), ["a", "1234567890", "123456789", "b"]);
        assert_eq!(lines("", 10), [""]);
        assert_eq!(lines("a  ééééééééééé 日本", 10), ["a", "éééééééééé", "é 日本"]);
    }

    #[test]
    fn sizes_have_three_digits_or_so() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1000), "1.0 kB");
        assert_eq!(size(999_999), "1.0 MB");
        assert_eq!(size(23_100_000), "23.1 MB");
    }

    #[test]
    fn control_characters_are_not_shown() {
        assert_eq!(safe("a\u{1b}[31mb\u{202e}c"), "a\u{fffd}[31mb\u{fffd}c");
    }

    #[test]
    fn columns_line_up() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(table(&[row("1", "x"), row("22", "yy")], &[0]), " 1  x\n22  yy");
    }
}
