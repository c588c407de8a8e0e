//! `corten lsp`: the linter as editors ask it, by the Language Server Protocol 3.17 over standard input and output.
//!
//! ```text
//! stdin ─► wire: frames ─► server: state, what a message asks ─► answers: findings as diagnostics, actions, hovers
//!                              └ documents: texts, positions in UTF-16                   └─► stdout
//! ```
//!
//! One thread answers in order: a text is looked at in less time than a key takes. Bounded: headers, messages, texts. A message
//! that makes no sense is answered with an error; a frame whose end nobody knows ends the server.

mod answers;
mod documents;
mod server;
mod wire;
mod words;

#[cfg(test)]
mod tests;

use std::io::{BufRead, Write};
use std::path::Path;

use corten_check::Subject;
use corten_diagnostic::Finding;

use server::Server;
use wire::{Frame, Reader};

/// Looks at the text of a file as `corten lint` would; none where it is nothing to look at. The error is one of settings.
pub type Look<'a> = &'a dyn Fn(&Path, &str) -> Result<Option<Looked>, String>;

/// What was found in a text.
pub struct Looked {
    /// What it is.
    pub subject: Subject,
    /// What the settings leave of the findings.
    pub findings: Vec<Finding>,
}

/// Answers until the client says `exit` or is gone. The exit status: 0 where `shutdown` came before, else 1.
pub fn serve(input: impl BufRead, output: impl Write, look: Look<'_>) -> u8 {
    let mut reader = Reader::new(input);
    let mut server = Server::new(output, look);
    loop {
        let goes_on = match reader.next() {
            Frame::Message(bytes) => server.message(&bytes),
            Frame::Wrong(why) => server.wrong(why),
            Frame::Lost(why) => {
                server.wrong(why);
                return 1;
            }
            Frame::End => return server.status(),
        };
        if !goes_on {
            return server.status();
        }
    }
}
