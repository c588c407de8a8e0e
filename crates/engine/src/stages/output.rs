//! What a command writes: whole lines to whoever listens, without secrets; the last of them for the error.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use super::means::{Progress, StepId};

/// Lines that an error shows.
const LINES: usize = 20;
/// A line is told when it is that long, whether or not it has ended.
const LONGEST: usize = 64 << 10;
/// Secrets are looked for line by line; shorter ones would hide every letter.
const SHORTEST: usize = 4;

/// Both streams of one command.
pub(super) struct Output<'a> {
    step: StepId,
    progress: &'a dyn Progress,
    hidden: Vec<Vec<u8>>,
    last: Mutex<VecDeque<Vec<u8>>>,
}

impl<'a> Output<'a> {
    pub(super) fn new(step: StepId, progress: &'a dyn Progress, secrets: &[Vec<u8>]) -> Self {
        let lines = secrets.iter().flat_map(|secret| secret.split(|&byte| byte == b'\n')).map(<[u8]>::trim_ascii);
        let mut hidden: Vec<Vec<u8>> = lines.filter(|line| line.len() >= SHORTEST).map(<[u8]>::to_vec).collect();
        hidden.sort_by_key(|line| std::cmp::Reverse(line.len()));
        Self { step, progress, hidden, last: Mutex::default() }
    }

    pub(super) fn stream(&self) -> Stream<'_, 'a> {
        Stream { output: self, pending: Vec::new() }
    }

    fn tell(&self, line: &[u8]) {
        let mut line = line.to_vec();
        self.hidden.iter().for_each(|secret| hide(&mut line, secret));
        self.progress.output(self.step, &line);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(line);
        if last.len() > LINES {
            last.pop_front();
        }
    }

    /// Bytes of the longest secret.
    fn longest(&self) -> usize {
        self.hidden.first().map_or(0, Vec::len)
    }

    /// Where the part of a line ends that can be told while more of it comes: in no secret.
    fn cut(&self, pending: &[u8]) -> usize {
        // What begins later may be the beginning of a secret.
        let mut cut = pending.len().saturating_sub(self.longest().saturating_sub(1));
        for secret in &self.hidden {
            let from = cut.saturating_sub(secret.len() - 1);
            let around = pending.get(from..).unwrap_or_default().windows(secret.len());
            // The last byte before the cut and the first behind it are both of this secret.
            if let Some(at) = around.take(cut - from).position(|part| part == secret) {
                cut = cut.max(from + at + secret.len());
            }
        }
        cut
    }

    /// Do the last lines say that a certificate is not trusted, in the words of OpenSSL, Python, pip, curl, git, apt or Node?
    pub(super) fn mistrusts(&self) -> bool {
        const WORDS: [&str; 6] = [
            "certificate_verify_failed",
            "certificate verify failed",
            "certificate verification failed",
            "ssl certificate problem",
            "self_signed_cert_in_chain",
            "unable_to_get_issuer_cert_locally",
        ];
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().any(|line| {
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            WORDS.iter().any(|words| line.contains(words))
        })
    }

    /// The last lines, for a message; what could steer a terminal is left out.
    pub(super) fn shown(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = last.iter().map(|line| {
            let text: String = plain(&String::from_utf8_lossy(line)).chars().take(400).collect();
            text.trim_end().to_owned()
        });
        lines.filter(|line| !line.is_empty()).map(|line| format!("\n  | {line}")).collect()
    }
}

/// A line as it looks when it stands: without colours and what else steers a terminal; of what was written over, the last.
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut letters = line.trim_end_matches(['\r', '\n']).chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => skip_sequence(&mut letters),
            '\r' => text.clear(),
            '\t' => text.push_str("    "),
            '\u{8}' => drop(text.pop()),
            letter if letter.is_control() => {}
            letter => text.push(letter),
        }
    }
    text
}

/// What follows an escape (ECMA-48): `[…m` and the like, a text for the terminal up to its end, or one letter.
fn skip_sequence(letters: &mut std::str::Chars<'_>) {
    match letters.next() {
        Some('[') => {
            let _ = letters.find(|letter| ('@'..='~').contains(letter));
        }
        Some(']') => {
            let mut before = ' ';
            let is_end = |letter: &char| {
                let ends = *letter == '\u{7}' || (before == '\u{1b}' && *letter == '\\');
                before = *letter;
                ends
            };
            let _ = letters.find(is_end);
        }
        _ => {}
    }
}

fn hide(line: &mut Vec<u8>, secret: &[u8]) {
    let mut from = 0;
    while let Some(at) = line.get(from..).and_then(|rest| rest.windows(secret.len()).position(|part| part == secret)) {
        let at = from + at;
        line.splice(at..at + secret.len(), *b"***");
        from = at + 3;
    }
}

/// One stream.
pub(super) struct Stream<'o, 'a> {
    output: &'o Output<'a>,
    pending: Vec<u8>,
}

impl Write for Stream<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.output.tell(&line);
        }
        if self.pending.len() > LONGEST + self.output.longest() {
            let rest = self.pending.split_off(self.output.cut(&self.pending));
            self.output.tell(&std::mem::replace(&mut self.pending, rest));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream<'_, '_> {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            let mut line = std::mem::take(&mut self.pending);
            line.push(b'\n');
            self.output.tell(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Heard(Mutex<Vec<u8>>);

    impl Progress for Heard {
        fn output(&self, _step: StepId, lines: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(lines);
        }
    }

    #[test]
    fn a_line_is_shown_as_a_terminal_leaves_it() {
        for (written, shown) in [
            ("\x1b[1;31mred\x1b[0m text\n", "red text"),
            ("10 %\r 50 %\r100 %\r\n", "100 %"),
            ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", "ab"),
            ("a\tb\x08c\x00\u{1b}", "a    c"),
            ("\x1b[31", ""),
        ] {
            assert_eq!(plain(written), shown, "{written:?}");
        }
    }

    #[test]
    fn d17_a_secret_that_a_command_prints_is_told_to_nobody() {
        let heard = Heard(Mutex::default());
        let output = Output::new(StepId { stage: 0, step: 0 }, &heard, &[b"first-canary\nsecond-canary\n".to_vec()]);
        let mut stream = output.stream();
        for piece in [&b"a first-ca"[..], b"nary b first-canary\nx\x1b[2Jsecond", b"-canary"] {
            stream.write_all(piece).unwrap();
        }
        drop(stream);
        assert_eq!(String::from_utf8(heard.0.lock().unwrap().clone()).unwrap(), "a *** b ***\nx\x1b[2J***\n");
        assert_eq!(output.shown(), "\n  | a *** b ***\n  | x***");
    }

    #[test]
    fn a_secret_is_hidden_wherever_a_long_line_is_cut() {
        // What is told when, follows from how much comes at once.
        for (piece, cut) in [(1 << 16, 1 << 17), (1000, 66_000)] {
            for before in cut - 60..cut {
                let heard = Heard(Mutex::default());
                let secrets = [b"canary-of-some-length".to_vec(), b"canary".to_vec()];
                let output = Output::new(StepId { stage: 0, step: 0 }, &heard, &secrets);
                let mut line = vec![b'.'; before];
                line.extend_from_slice(b"canary-of-some-length/canary");
                line.extend(vec![b'.'; 10_000]);
                let mut stream = output.stream();
                line.chunks(piece).for_each(|bytes| stream.write_all(bytes).unwrap());
                drop(stream);
                let heard = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
                assert_eq!(heard.trim().trim_matches('.'), "***/***", "{before} {piece}");
                assert_eq!(heard.len(), before + "***/***\n".len() + 10_000, "{before} {piece}");
            }
        }
    }
}
