//! Locks that nobody's tool has written: whatever stands in one, reading it ends, in an answer or in an error with a place
//! in the text, and takes no longer than its size explains.

use corten_diagnostic::{Diagnose, Failure};
use corten_oci::Architecture;
use corten_package::marker::Environment;
use corten_package::wheel::Tags;

use super::*;

/// A small lock of each kind, with the manifest or the file beside it.
fn samples() -> Vec<(LockKind, String, String)> {
    let pipfile = "[packages]\na = '*'\n".to_owned();
    let plain = "[project]\nname = 'app'\nversion = '1'\ndependencies = ['a', 'b>1']\n".to_owned();
    let requirements = "--index-url https://i.example\na==1 ; python_version > '3' \\\n --hash=sha256:0\nb @ git+https://g.example/b@0\n-e .\n";
    vec![
        (LockKind::Uv, tests::UV.to_owned(), plain.clone()),
        (LockKind::Pylock, tests::PYLOCK.to_owned(), plain.clone()),
        (LockKind::Requirements, requirements.to_owned(), plain.clone()),
        (LockKind::Poetry, poetry::tests::NEW.to_owned(), poetry::tests::MANIFEST.to_owned()),
        (LockKind::Poetry, poetry::tests::OLD.to_owned(), poetry::tests::MANIFEST.to_owned()),
        (LockKind::Pdm, pdm::tests::NEW.to_owned(), pdm::tests::MANIFEST.to_owned()),
        (LockKind::Pdm, pdm::tests::old(), pdm::tests::MANIFEST.to_owned()),
        (LockKind::Pipenv, pipenv::tests::LOCK.to_owned(), pipfile),
        (LockKind::Pixi, conda::tests::PIXI.to_owned(), plain.clone()),
        (LockKind::Conda, conda::tests::ENVIRONMENT.to_owned(), plain),
    ]
}

/// Marsaglia's xorshift: the same mistakes in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (sides.max(1) as u64)).unwrap()
    }
}

/// What people, merges and attackers put into files.
const THINGS: [&str; 24] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "\\",
    "\n",
    ",",
    "=",
    "#",
    "\u{0}",
    "é",
    "\u{feff}",
    "99999999999999999999",
    "-1",
    "..",
    "../../etc",
    "<<<<<<< HEAD\n",
    "&a [*a]",
    "${HOME}",
    "^0.0.0.0.0",
    "(((((((((((((((((((((((",
    "1e999",
];

fn mutated(text: &str, dice: &mut Dice) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.is_empty() {
        return THINGS[dice.roll(THINGS.len())].to_owned();
    }
    let (at, other) = (dice.roll(lines.len()), dice.roll(lines.len()));
    match dice.roll(6) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(other, lines[at]),
        2 => lines.swap(at, other),
        3 => lines.truncate(at),
        _ => {
            let mut place = dice.roll(text.len());
            while !text.is_char_boundary(place) {
                place -= 1;
            }
            let (before, behind) = text.split_at(place);
            let cut = if dice.roll(2) == 0 { 0 } else { behind.chars().next().map_or(0, char::len_utf8) };
            return format!("{before}{}{}", THINGS[dice.roll(THINGS.len())], &behind[cut..]);
        }
    }
    lines.concat()
}

/// Everything that is done with a lock.
fn use_it(kind: LockKind, text: &str, beside: &str) -> Result<(), Failure> {
    let mut lock = LockText::new(kind, "the.lock", text);
    let manifest = match kind.companion() {
        Some(name) => {
            lock.included.push((name.to_owned(), beside.into()));
            None
        }
        None => Some(Manifest::parse("pyproject.toml", beside)?),
    };
    includes(&lock);
    let environment = Environment::new("3.11.2", Architecture::Amd64);
    let resolved = read(&lock, manifest.as_ref(), &Asked::default(), &environment);
    let told = [
        refuse_broken(&lock),
        in_step(&lock, manifest.as_ref(), &[]).map(drop),
        members(&lock).map(drop),
        python_asked(&lock, manifest.as_ref()).map(drop),
    ];
    for failure in told.iter().filter_map(|result| result.as_ref().err()) {
        assert!(failure.to_string().len() < 4096, "{failure}");
    }
    let resolved = resolved?;
    let tags = Tags::new((3, 11), (2, 36), Architecture::Amd64);
    missing_wheels(&resolved, &tags);
    for file in resolved.wanted.iter().filter_map(Wanted::listed).flatten() {
        assert!(!file.file.contains('/') && file.file != "..", "{file:?}");
    }
    Ok(())
}

#[test]
fn no_mistake_in_a_lock_makes_reading_it_fall_over() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for (kind, text, beside) in samples() {
        assert!(use_it(kind, &text, &beside).is_ok() || kind == LockKind::Conda || kind == LockKind::Requirements);
        for _ in 0..150 {
            let wrong = mutated(&text, &mut dice);
            let wrong = if dice.roll(2) == 0 { mutated(&wrong, &mut dice) } else { wrong };
            match use_it(kind, &wrong, &beside) {
                Ok(()) => good += 1,
                Err(failure) => {
                    bad += 1;
                    let inside = failure.span().is_none_or(|span| span.range().end <= span.text().len());
                    assert!(inside && failure.fault() != corten_diagnostic::Fault::Bug, "{failure}\n{wrong}");
                }
            }
        }
        for _ in 0..30 {
            drop(use_it(kind, &text, &mutated(&beside, &mut dice)));
        }
    }
    assert!(good > 100 && bad > 100, "{good} read, {bad} refused");
}

/// The same with the smaller locks of real projects.
#[test]
fn no_mistake_in_a_real_lock_makes_reading_it_fall_over() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for fixture in fixtures::fixtures().iter().filter(|fixture| fixture.lock.text.len() < 60_000) {
        let manifest = fixture.manifest.as_ref().map_or("", |manifest| &manifest.text);
        let beside = fixture.lock.included.first().map_or(manifest, |(_, text)| text);
        for _ in 0..5 {
            drop(use_it(fixture.lock.kind, &mutated(&fixture.lock.text, &mut dice), beside));
        }
    }
}

/// Deep nesting, long lists and long words, made of each format's own brackets.
#[test]
fn nothing_is_nested_or_repeated_too_often() {
    let deep = |open: &str| open.repeat(20_000);
    for (kind, text) in [
        (LockKind::Uv, format!("version = 1\nx = {}", deep("["))),
        (LockKind::Poetry, format!("[metadata]\nlock-version = '2.1'\nx = {}", deep("{a="))),
        (LockKind::Poetry, format!("[metadata]\nlock-version = '2.1'\npython-versions = '{}'", deep("^1|"))),
        (LockKind::Pdm, format!("[metadata]\nlock_version = '4.5'\nstrategy = {}", deep("["))),
        (LockKind::Pipenv, deep("{\"a\":")),
        (LockKind::Pixi, deep("- ")),
        (LockKind::Pixi, format!("version: 6\na: {}", deep("{b: "))),
        (LockKind::Conda, deep("[")),
        (LockKind::Requirements, format!("a==1 ; {}", deep("("))),
    ] {
        assert!(use_it(kind, &text, "[project]\nname = 'a'").is_err(), "{kind:?}");
    }
}

#[test]
fn a_lock_that_is_too_large_is_not_read() {
    let lock = LockText::new(LockKind::Poetry, "poetry.lock", " ".repeat((64 << 20) + 1));
    let failure = refuse_broken(&lock).unwrap_err();
    assert_eq!(failure.to_string(), "poetry.lock: it has 64 MiB; more than 64 are not read");
}
