//! Replacements in a text.

use std::collections::BTreeMap;
use std::ops::Range;

use corten_diagnostic::{Edit, Fix};

/// Asks of many fixes whether they can be made in one text.
pub struct Fitting<'t> {
    text: &'t str,
    /// The text of the last edit that was about it: most edits share theirs, and long texts are compared but once.
    same: &'t str,
}

impl<'t> Fitting<'t> {
    /// Of this text.
    pub fn of(text: &'t str) -> Self {
        Self { text, same: text }
    }

    /// Can the fix be made: is it about this text, and do none of its edits overlap?
    pub fn fits(&mut self, fix: &'t Fix) -> bool {
        let mut ranges: Vec<Range<usize>> = fix.edits.iter().map(|edit| edit.span.range()).collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        let apart = ranges.windows(2).all(|two| two[0].end <= two[1].start);
        let within = ranges.iter().all(|range| self.text.get(range.clone()).is_some());
        !ranges.is_empty() && apart && within && fix.edits.iter().all(|edit| self.is_about(edit))
    }

    fn is_about(&mut self, edit: &'t Edit) -> bool {
        let text = edit.span.text();
        if !std::ptr::eq(text, self.same) {
            if text != self.text {
                return false;
            }
            self.same = text;
        }
        true
    }
}

/// Ranges, those that touch as one. What touches is changed one after the other, so that nobody has to say which comes first.
#[derive(Default)]
struct Taken {
    /// Where each begins and ends.
    ends: BTreeMap<usize, usize>,
}

impl Taken {
    /// One that touches.
    fn touching(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let (start, end) = self.ends.range(..=range.end).next_back()?;
        (*end >= range.start).then_some(*start..*end)
    }

    fn add(&mut self, mut range: Range<usize>) {
        while let Some(other) = self.touching(&range) {
            self.ends.remove(&other.start);
            range = range.start.min(other.start)..range.end.max(other.end);
        }
        self.ends.insert(range.start, range.end);
    }
}

/// Those that do not touch one that comes before them in the list.
pub fn apart<'f, T>(items: Vec<T>, fix: impl Fn(&T) -> &'f Fix) -> Vec<T> {
    let mut taken = Taken::default();
    let is_free = |item: &T| {
        let ranges: Vec<Range<usize>> = fix(item).edits.iter().map(|edit| edit.span.range()).collect();
        let free = ranges.iter().all(|range| taken.touching(range).is_none());
        if free {
            ranges.into_iter().for_each(|range| taken.add(range));
        }
        free
    };
    let mut is_free = is_free;
    items.into_iter().filter(|item| is_free(item)).collect()
}

/// The text with all of them made. Each fits, and none touches another.
pub fn made<'f>(text: &str, fixes: impl Iterator<Item = &'f Fix>) -> String {
    let mut edits: Vec<&Edit> = fixes.flat_map(|fix| &fix.edits).collect();
    edits.sort_by_key(|edit| (edit.span.range().start, edit.span.range().end));
    let mut made = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        let range = edit.span.range();
        made.push_str(text.get(at..range.start).unwrap_or_default());
        made.push_str(&edit.text);
        at = range.end;
    }
    made.push_str(text.get(at..).unwrap_or_default());
    made
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use corten_diagnostic::Span;

    use super::*;

    fn fix(text: &Arc<str>, ranges: impl IntoIterator<Item = Range<usize>>) -> Fix {
        let edit = |range| Edit { span: Span::new("f", Arc::clone(text), range), text: String::new() };
        Fix { title: String::new(), edits: ranges.into_iter().map(edit).collect(), safe: true }
    }

    /// Pairs of ranges that touch, looked for one by one.
    fn apart_slowly(fixes: &[Fix]) -> Vec<&Fix> {
        let mut kept: Vec<&Fix> = Vec::new();
        for fix in fixes {
            let touches = |one: &Edit, other: &Edit| {
                let (one, other) = (one.span.range(), other.span.range());
                one.start <= other.end && other.start <= one.end
            };
            let all = |other: &&Fix| fix.edits.iter().any(|one| other.edits.iter().any(|other| touches(one, other)));
            if !kept.iter().any(all) {
                kept.push(fix);
            }
        }
        kept
    }

    #[test]
    fn those_that_touch_one_before_them_are_left_out() {
        let text: Arc<str> = "x".repeat(1000).into();
        let mut state = 0x2545_f491_4f6c_dd1d_usize;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..200 {
            let mut range = |_| {
                let start = random(990);
                start..start + random(8)
            };
            let fixes: Vec<Fix> = (0..100).map(|number| fix(&text, [range(number), range(number)])).collect();
            assert_eq!(apart(fixes.iter().collect(), |fix| fix), apart_slowly(&fixes));
        }
    }

    #[test]
    fn thousands_of_fixes_of_a_long_text_are_looked_at_soon() {
        let text: Arc<str> = "x".repeat(4 << 20).into();
        let fixes: Vec<Fix> = (0..100_000).map(|number| fix(&text, Some(number * 3..number * 3 + 2))).collect();
        let same = text.to_string();
        let mut fitting = Fitting::of(&same);
        let fitting: Vec<&Fix> = fixes.iter().filter(|fix| fitting.fits(fix)).collect();
        assert_eq!(apart(fitting, |fix| fix).len(), 100_000);
        let other = fix(&"y".repeat(4 << 20).into(), Some(0..1));
        assert!(!Fitting::of(&same).fits(&other) && Fitting::of(&same).fits(&fixes[0]));
    }
}
