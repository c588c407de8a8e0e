//! The state of a session, and which answer a message gets.

use std::io::Write;

use serde_json::{Value, json};

use super::documents::{Document, Documents};
use super::{Look, answers, wire};

/// Numbers of errors, by JSON-RPC 2.0 and the protocol.
mod code {
    pub const PARSE: i32 = -32_700;
    pub const INVALID_REQUEST: i32 = -32_600;
    pub const NO_METHOD: i32 = -32_601;
    pub const INVALID_PARAMS: i32 = -32_602;
    pub const NOT_INITIALIZED: i32 = -32_002;
}

/// What may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    ShutDown,
}

/// Why a request gets no result.
struct Refusal(i32, String);

/// A session.
pub struct Server<'a, W> {
    output: W,
    look: Look<'a>,
    state: State,
    documents: Documents,
    /// What was wrong with the settings when it was last told.
    told: Option<String>,
}

impl<'a, W: Write> Server<'a, W> {
    /// Before the first message.
    pub fn new(output: W, look: Look<'a>) -> Self {
        Self { output, look, state: State::New, documents: Documents::default(), told: None }
    }

    /// Of the process, when it ends here.
    pub fn status(&self) -> u8 {
        u8::from(self.state != State::ShutDown)
    }

    /// Bytes that are no message.
    pub fn wrong(&mut self, why: &str) -> bool {
        self.refuse(&Value::Null, &Refusal(code::PARSE, why.to_owned()))
    }

    /// Takes a message; false where there is nothing more to do.
    pub fn message(&mut self, bytes: &[u8]) -> bool {
        let message: Value = match serde_json::from_slice(bytes) {
            Ok(message) => message,
            Err(error) => return self.wrong(&error.to_string()),
        };
        let (id, method) = (message.get("id"), message["method"].as_str());
        match (id, method) {
            (None, Some("exit")) => false,
            (None, Some(method)) => self.notification(method, &message["params"]),
            (Some(id), Some(method)) => match self.request(method, &message["params"]) {
                Ok(result) => self.write(&json!({"jsonrpc": "2.0", "id": id, "result": result})),
                Err(refusal) => self.refuse(id, &refusal),
            },
            // An answer to what we asked: we ask nothing.
            (Some(_), None) if message.get("result").is_some() || message.get("error").is_some() => true,
            _ => {
                let id = id.cloned().unwrap_or_default();
                self.refuse(&id, &Refusal(code::INVALID_REQUEST, "this is no request".to_owned()))
            }
        }
    }

    fn request(&mut self, method: &str, params: &Value) -> Result<Value, Refusal> {
        match (self.state, method) {
            (State::New, "initialize") => {
                self.state = State::Open;
                Ok(answers::capabilities())
            }
            (State::New, _) => Err(Refusal(code::NOT_INITIALIZED, "`initialize` comes first".to_owned())),
            (State::ShutDown, _) => Err(Refusal(code::INVALID_REQUEST, "after `shutdown` comes `exit`".to_owned())),
            (State::Open, "initialize") => Err(Refusal(code::INVALID_REQUEST, "`initialize` comes once".to_owned())),
            (State::Open, "shutdown") => {
                self.state = State::ShutDown;
                Ok(Value::Null)
            }
            (State::Open, "textDocument/codeAction") => {
                let document = self.document(params)?;
                answers::actions(document, params, self.look).ok_or_else(wrong_params)
            }
            (State::Open, "textDocument/hover") => {
                let document = self.document(params)?;
                answers::hover(document, params).ok_or_else(wrong_params)
            }
            (State::Open, other) => Err(Refusal(code::NO_METHOD, format!("there is no method '{other}'"))),
        }
    }

    fn document(&self, params: &Value) -> Result<&Document, Refusal> {
        let uri = params["textDocument"]["uri"].as_str().ok_or_else(wrong_params)?;
        let unknown = || Refusal(code::INVALID_PARAMS, format!("'{uri}' is not open"));
        self.documents.get(uri).ok_or_else(unknown)
    }

    /// Nothing is answered, whatever is wrong with it.
    fn notification(&mut self, method: &str, params: &Value) -> bool {
        if self.state != State::Open {
            return true;
        }
        let document = &params["textDocument"];
        let uri = document["uri"].as_str().unwrap_or_default().to_owned();
        match method {
            "textDocument/didOpen" => {
                let text = document["text"].as_str().unwrap_or_default().to_owned();
                self.documents.open(Document::new(&uri, document["version"].as_i64(), text));
                self.kept(&uri)
            }
            "textDocument/didChange" => {
                match self.change(&uri, document["version"].as_i64(), &params["contentChanges"]) {
                    Ok(()) => self.kept(&uri),
                    Err(why) => self.forget(&uri, why),
                }
            }
            "textDocument/didClose" => match self.documents.close(&uri) {
                Some(_) => self.write(&answers::no_diagnostics(&uri)),
                None => true,
            },
            // Settings or ignore files may have changed.
            "textDocument/didSave" | "workspace/didChangeConfiguration" | "workspace/didChangeWatchedFiles" => {
                let all: Vec<String> = self.documents.each().map(|document| document.uri.clone()).collect();
                all.iter().all(|uri| self.look_at(uri))
            }
            _ => true,
        }
    }

    /// The error: why the text is no longer the one that the client has.
    fn change(&mut self, uri: &str, version: Option<i64>, changes: &Value) -> Result<(), &'static str> {
        /// No editor sends so many; each costs as much as the text is long.
        const MOST: usize = 10_000;
        let Some(document) = self.documents.get_mut(uri) else { return Ok(()) };
        let changes = changes.as_array().ok_or("its changes are no list")?;
        if changes.len() > MOST {
            return Err("too many changes came at once");
        }
        for change in changes {
            let text = change["text"].as_str().ok_or("a change of it has no text")?;
            match change.get("range").filter(|range| !range.is_null()) {
                None => document.set(text.to_owned()),
                Some(range) => document.replace(document.bytes(range).ok_or("a change of it has no place")?, text),
            }
        }
        document.version = version;
        Ok(())
    }

    /// Looks at a document that is new or has changed, and forgets it where that is too much.
    fn kept(&mut self, uri: &str) -> bool {
        if self.documents.fit() {
            return self.look_at(uri);
        }
        self.forget(uri, "too much text is open")
    }

    /// A text that is not known any more gets no findings.
    fn forget(&mut self, uri: &str, why: &str) -> bool {
        self.documents.close(uri);
        self.write(&answers::no_diagnostics(uri))
            && self.say(&format!("corten: {why}; this file is not looked at until it is opened again"))
    }

    fn look_at(&mut self, uri: &str) -> bool {
        let Some(document) = self.documents.get_mut(uri) else { return true };
        let looked = (self.look)(&document.path, &document.text);
        let wrong = looked.as_ref().err().cloned();
        document.looked = looked.ok().flatten();
        let message = answers::diagnostics(document);
        self.write(&message) && self.tell(wrong)
    }

    /// A mistake of the settings, once: not at each key.
    fn tell(&mut self, wrong: Option<String>) -> bool {
        if wrong == self.told {
            return true;
        }
        self.told.clone_from(&wrong);
        wrong.is_none_or(|why| self.say(&format!("corten: {why}")))
    }

    fn say(&mut self, text: &str) -> bool {
        let params = json!({"type": 1, "message": text});
        self.write(&json!({"jsonrpc": "2.0", "method": "window/showMessage", "params": params}))
    }

    fn refuse(&mut self, id: &Value, refusal: &Refusal) -> bool {
        let error = json!({"code": refusal.0, "message": refusal.1});
        self.write(&json!({"jsonrpc": "2.0", "id": id, "error": error}))
    }

    /// False where nobody reads any more.
    fn write(&mut self, message: &Value) -> bool {
        wire::write(&mut self.output, message).is_ok()
    }
}

fn wrong_params() -> Refusal {
    Refusal(code::INVALID_PARAMS, "a parameter is absent or none of its kind".to_owned())
}
