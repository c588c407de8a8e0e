//! Replacements in a text.

use std::ops::Range;

use corten_diagnostic::{Edit, Fix};

/// Do they touch? What touches is changed one after the other, so that nobody has to say which comes first.
fn touch(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start <= other.end && other.start <= one.end
}

/// Can the fix be made in this text: is it about it, and do none of its edits overlap?
pub fn fits(fix: &Fix, text: &str) -> bool {
    let mut ranges: Vec<Range<usize>> = fix.edits.iter().map(|edit| edit.span.range()).collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    let apart = ranges.windows(2).all(|two| two[0].end <= two[1].start);
    let within = ranges.iter().all(|range| text.get(range.clone()).is_some());
    !ranges.is_empty() && apart && within && fix.edits.iter().all(|edit| edit.span.text() == text)
}

/// Those that do not touch one that comes before them in the list.
pub fn apart<'f, T>(items: Vec<T>, fix: impl Fn(&T) -> &'f Fix) -> Vec<T> {
    let mut taken: Vec<Range<usize>> = Vec::new();
    let is_free = |item: &T| {
        let ranges: Vec<Range<usize>> = fix(item).edits.iter().map(|edit| edit.span.range()).collect();
        let free = !ranges.iter().any(|range| taken.iter().any(|other| touch(range, other)));
        if free {
            taken.extend(ranges);
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
