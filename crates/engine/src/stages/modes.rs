//! `--chmod`: octal, or `u+x,go-w` as chmod(1) has it, with nobody's umask.

/// The mode that a file gets.
pub(super) fn changed(text: &str, mode: u32, is_folder: bool) -> Result<u32, String> {
    if let Ok(octal) = u32::from_str_radix(text, 8) {
        return Ok(octal & 0o7777);
    }
    text.split(',').try_fold(mode, |mode, clause| clause_of(clause, mode, is_folder))
}

fn clause_of(clause: &str, mut mode: u32, is_folder: bool) -> Result<u32, String> {
    let wrong = || format!("'{clause}' is no mode");
    let end = clause.find(['+', '-', '=']).ok_or_else(wrong)?;
    let (who, mut rest) = clause.split_at(end);
    let mut mask = 0;
    for letter in who.chars() {
        mask |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return Err(wrong()),
        };
    }
    let mask = if mask == 0 { 0o7777 } else { mask };
    while let Some(operator) = rest.chars().next() {
        rest = &rest[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let (letters, more) = rest.split_at(end);
        rest = more;
        let bits = bits(letters, mode, is_folder).ok_or_else(wrong)? & (mask | special(letters, who));
        mode = match operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => {
                // Set-id bits of a folder stay, as chmod leaves them.
                let cleared = if is_folder { mask & 0o777 } else { mask & 0o6777 };
                (mode & !cleared) | bits
            }
        };
    }
    Ok(mode & 0o7777)
}

/// `t` is of nobody: it counts for all.
fn special(letters: &str, who: &str) -> u32 {
    if letters.contains('t') && (who.is_empty() || who.contains(['a', 'o'])) { 0o1000 } else { 0 }
}

fn bits(letters: &str, mode: u32, is_folder: bool) -> Option<u32> {
    let spread = |three: u32| three << 6 | three << 3 | three;
    letters.chars().try_fold(0, |bits, letter| {
        Some(
            bits | match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_folder || mode & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                'u' => spread(mode >> 6 & 7),
                'g' => spread(mode >> 3 & 7),
                'o' => spread(mode & 7),
                _ => return None,
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `chmod` of coreutils answers, umask 0.
    #[test]
    fn modes_change_as_chmod_changes_them() {
        let rows = [
            ("755", 0o644, 0o755),
            ("4755", 0o644, 0o4755),
            ("u+x", 0o644, 0o744),
            ("go-r", 0o644, 0o600),
            ("a=rx", 0o600, 0o555),
            ("u=rwx,g=rx,o=", 0o666, 0o750),
            ("+x", 0o644, 0o755),
            ("g=u", 0o640, 0o660),
            ("a+X", 0o644, 0o644),
            ("a+X", 0o744, 0o755),
            ("u+s", 0o755, 0o4755),
            ("g+s", 0o755, 0o2755),
            ("+t", 0o755, 0o1755),
            ("u-x+w", 0o555, 0o655),
            ("o+t", 0o755, 0o1755),
            ("u+t", 0o755, 0o755),
        ];
        for (text, before, after) in rows {
            assert_eq!(
                changed(text, before, false).map(|mode| format!("{mode:o}")),
                Ok(format!("{after:o}")),
                "{text} {before:o}"
            );
        }
        assert_eq!(changed("a+X", 0o644, true), Ok(0o755));
        assert!(changed("z+x", 0, false).is_err());
    }
}
