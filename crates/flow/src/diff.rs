//! What differs between two texts, line by line, as `diff -u` shows it.

/// Lines around a change.
const CONTEXT: usize = 3;
/// Beyond this many pairs of lines a changed part is shown as gone and come, as a whole.
const PAIRS: usize = 4_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

/// Empty where nothing differs. `name` is that of the file; a file that is not there is `/dev/null`.
pub fn unified(name: &str, before: Option<&str>, after: &str) -> String {
    let old: Vec<&str> = before.unwrap_or_default().split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let lines = compare(&old, &new);
    let changed: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].0 != Side::Both).collect();
    if changed.is_empty() {
        return String::new();
    }
    let from = if before.is_some() { quoted(&format!("a/{name}")) } else { "/dev/null".to_owned() };
    let mut text = format!("--- {from}\n+++ {}\n", quoted(&format!("b/{name}")));
    let mut rest = changed.as_slice();
    while let Some(first) = rest.first() {
        let breaks = |pair: &[usize]| matches!(pair, [one, next] if next - one > 2 * CONTEXT);
        let count = rest.windows(2).position(breaks).map_or(rest.len(), |at| at + 1);
        let last = rest[count - 1];
        let range = first.saturating_sub(CONTEXT)..(last + CONTEXT + 1).min(lines.len());
        hunk(&mut text, &lines, range);
        rest = &rest[count..];
    }
    text
}

/// As git writes names: one with blanks ends with a tab; one with quotes or control characters is quoted as C does.
fn quoted(name: &str) -> String {
    if !name.chars().any(|letter| letter.is_control() || letter == '"' || letter == '\\') {
        return if name.contains(' ') { format!("{name}\t") } else { name.to_owned() };
    }
    let mut quoted = String::from("\"");
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            other => quoted.push_str(&format!("\\{other:03o}")),
        }
    }
    quoted + "\""
}

fn hunk(text: &mut String, lines: &[(Side, &str)], range: std::ops::Range<usize>) {
    let of = |part: &[(Side, &str)], side: Side| part.iter().filter(|(found, _)| *found != side).count();
    let (ahead, shown) = (&lines[..range.start], &lines[range]);
    let (old, new) = (of(shown, Side::New), of(shown, Side::Old));
    let start = |ahead: usize, count: usize| if count == 0 { ahead } else { ahead + 1 };
    let (from, to) = (start(of(ahead, Side::New), old), start(of(ahead, Side::Old), new));
    text.push_str(&format!("@@ -{from},{old} +{to},{new} @@\n"));
    for (side, line) in shown {
        let mark = match side {
            Side::Both => ' ',
            Side::Old => '-',
            Side::New => '+',
        };
        text.push(mark);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The lines of both texts in their order: what both have once.
fn compare<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Side, &'t str)> {
    let same = |(one, other): &(&&str, &&str)| one == other;
    let head = old.iter().zip(new).take_while(same).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(same).count();
    let sides = |side: Side, lines: &[&'t str]| lines.iter().map(|line| (side, *line)).collect::<Vec<_>>();
    let middle = middle(&old[head..old.len() - tail], &new[head..new.len() - tail]);
    [sides(Side::Both, &old[..head]), middle, sides(Side::Both, &old[old.len() - tail..])].concat()
}

/// By the longest common subsequence.
fn middle<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Side, &'t str)> {
    let width = new.len() + 1;
    if old.len().saturating_mul(width) > PAIRS {
        let gone = old.iter().map(|line| (Side::Old, *line));
        return gone.chain(new.iter().map(|line| (Side::New, *line))).collect();
    }
    // Of the lines from here to the end, how many both have.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for (row, line) in old.iter().enumerate().rev() {
        for (column, other) in new.iter().enumerate().rev() {
            let at = row * width + column;
            common[at] =
                if line == other { common[at + width + 1] + 1 } else { common[at + width].max(common[at + 1]) };
        }
    }
    let (mut row, mut column, mut lines) = (0, 0, Vec::new());
    while row < old.len() || column < new.len() {
        let at = row * width + column;
        if row < old.len() && column < new.len() && old[row] == new[column] {
            lines.push((Side::Both, old[row]));
            (row, column) = (row + 1, column + 1);
        } else if column == new.len() || (row < old.len() && common[at + width] >= common[at + 1]) {
            lines.push((Side::Old, old[row]));
            row += 1;
        } else {
            lines.push((Side::New, new[column]));
            column += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Git has to make the new text of the old one.
    #[test]
    fn git_makes_the_new_text() {
        let texts = [
            "",
            "a\n",
            "a",
            "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n",
            "b\nc\nX\nd\ne\nf\ng\nh\nj\n",
            "a\nb\nc\nd\ne\nf\ng\nh\ni\nj",
        ];
        let folder = tempfile::tempdir().unwrap();
        for old in texts {
            for new in texts {
                let diff = unified("file", Some(old), new);
                assert_eq!(diff.is_empty(), old == new);
                if diff.is_empty() {
                    continue;
                }
                std::fs::write(folder.path().join("file"), old).unwrap();
                std::fs::write(folder.path().join("diff"), &diff).unwrap();
                let mut patch = Command::new("git");
                let patch = patch
                    .args(["apply", "--unidiff-zero", "diff"])
                    .current_dir(folder.path())
                    .env("GIT_DIR", "/nowhere");
                let ran = patch.output().unwrap();
                assert!(ran.status.success(), "{diff}\n{}", String::from_utf8_lossy(&ran.stderr));
                assert_eq!(std::fs::read_to_string(folder.path().join("file")).unwrap_or_default(), new, "{diff}");
            }
        }
    }

    /// Numbers that are the same each time.
    fn dice(state: &mut u64, most: usize) -> usize {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).unwrap() % most
    }

    fn any_text(state: &mut u64) -> String {
        let lines = dice(state, 12);
        let mut text: String = (0..lines).map(|_| ["a\n", "b\n", "\n", "c\n"][dice(state, 4)]).collect();
        if dice(state, 3) == 0 {
            text.push_str("end");
        }
        text
    }

    #[test]
    fn patch_makes_the_new_text_whatever_the_file_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = 1;
        for name in ["Dockerfile", "a b", "q\"\\\u{e9}\n"] {
            for _ in 0..40 {
                let (old, new) = (any_text(&mut state), any_text(&mut state));
                let diff = unified(name, Some(&old), &new);
                if diff.is_empty() {
                    continue;
                }
                std::fs::write(folder.path().join(name), &old).unwrap();
                std::fs::write(folder.path().join("diff"), &diff).unwrap();
                let mut patch = Command::new("patch");
                patch.args(["--strip=1", "--batch", "--no-backup-if-mismatch", "--fuzz=0", "--input=diff"]);
                let ran = patch.current_dir(folder.path()).output().unwrap();
                assert!(ran.status.success(), "{diff}\n{}", String::from_utf8_lossy(&ran.stdout));
                // What is empty afterwards, `patch` removes.
                let found = std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
                assert_eq!(found, new, "{diff}");
            }
        }
    }

    #[test]
    fn long_texts_take_no_time() {
        let old: String = (0..50_000).map(|line| format!("{line}\n")).collect();
        let new: String = (0..50_000).map(|line| format!("x{line}\n")).collect();
        assert_eq!(unified("x", Some(&old), &new).lines().count(), 100_003);
        assert_eq!(unified("x", Some(&old), &format!("{old}y\n")).lines().count(), 7);
    }
}
