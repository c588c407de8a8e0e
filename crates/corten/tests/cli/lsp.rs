//! `corten lsp`, as an editor talks to it: a whole session through pipes, and messages that are none.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::service::corten;

struct Session {
    folder: tempfile::TempDir,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    requests: i64,
}

impl Session {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = corten().command(folder.path());
        let mut child = command.arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { folder, child, input, output, requests: 0 }
    }

    /// After `initialize`.
    fn begun() -> Self {
        let mut session = Self::start();
        let answer = session.ask("initialize", json!({"processId": null, "rootUri": null, "capabilities": {}}));
        assert_eq!(answer["result"]["capabilities"]["positionEncoding"], "utf-16");
        session.tell("initialized", json!({}));
        session
    }

    /// Of hadolint, beside the file.
    fn settings(&self, text: &str) {
        fs::write(self.folder.path().join(".hadolint.yaml"), text).unwrap();
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}/{name}", self.folder.path().display())
    }

    fn send(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn message(&mut self, message: &Value) {
        let text = message.to_string();
        self.send(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.message(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        self.message(&json!({"jsonrpc": "2.0", "id": self.requests, "method": method, "params": params}));
        let answer = self.next();
        assert_eq!(answer["id"], self.requests, "{answer}");
        answer
    }

    fn next(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server is gone");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", number)) => length = number.parse().unwrap(),
                _ => break,
            }
        }
        let mut bytes = vec![0; length];
        self.output.read_exact(&mut bytes).unwrap();
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(message["jsonrpc"], "2.0");
        message
    }

    fn open(&mut self, name: &str, text: &str) -> Vec<Value> {
        let document = json!({"uri": self.uri(name), "languageId": "dockerfile", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}));
        self.diagnostics(name)
    }

    /// The next message is about the diagnostics of a file: these.
    fn diagnostics(&mut self, name: &str) -> Vec<Value> {
        let message = self.next();
        assert_eq!(message["method"], "textDocument/publishDiagnostics", "{message}");
        assert_eq!(message["params"]["uri"], self.uri(name));
        message["params"]["diagnostics"].as_array().unwrap().clone()
    }

    /// Ends its input; the exit status.
    fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
        self.child.wait().unwrap().code()
    }
}

fn place(line: usize, character: usize) -> Value {
    json!({"line": line, "character": character})
}

fn codes(diagnostics: &[Value]) -> Vec<&str> {
    let mut codes: Vec<&str> = diagnostics.iter().map(|one| one["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    codes
}

#[test]
fn a_session_from_opening_a_file_to_its_end() {
    let mut session = Session::begun();
    session.settings("ignored: [DL3008, DL3015, DL3059, ML102, ML151]\n");
    let text = "FROM debian:12\n# é😀\nRUN true é😀 && apt-get install curl\n";
    let found = session.open("Dockerfile", text);
    assert_eq!(codes(&found), ["DL3014"], "{found:?}");
    // Eight letters of ASCII, one beyond it, one that UTF-16 has two units for, and so on.
    let start = "RUN true é".len() - 1 + 2 + " && ".len();
    assert_eq!(found[0]["range"]["start"], place(2, start));
    assert_eq!((&found[0]["source"], &found[0]["severity"]), (&json!("corten"), &json!(2)));

    let uri = session.uri("Dockerfile");
    let range = json!({"start": place(2, start), "end": place(2, start)});
    let params = json!({"textDocument": {"uri": uri}, "range": range, "context": {"diagnostics": found}});
    let actions = session.ask("textDocument/codeAction", params)["result"].clone();
    let edit = &actions[0]["edit"]["changes"][&uri][0];
    let at = place(2, start + "apt-get install".len());
    assert_eq!(edit, &json!({"range": {"start": at, "end": at}, "newText": " -y"}));
    assert_eq!(actions[0]["isPreferred"], true);
    assert_eq!(actions[1]["edit"]["changes"][&uri][0]["newText"], "# hadolint ignore=DL3014\n");

    let hover = session.ask("textDocument/hover", json!({"textDocument": {"uri": uri}, "position": place(2, 1)}));
    assert!(hover["result"]["contents"]["value"].as_str().unwrap().contains("RUN [--mount=…]"), "{hover}");
    let hover =
        session.ask("textDocument/hover", json!({"textDocument": {"uri": uri}, "position": place(2, start + 1)}));
    assert!(hover["result"]["contents"]["value"].as_str().unwrap().starts_with("## DL3014"), "{hover}");

    let (document, range) = (json!({"uri": uri, "version": 2}), json!({"start": at, "end": at}));
    session.tell(
        "textDocument/didChange",
        json!({"textDocument": document, "contentChanges": [{"range": range, "text": " -y"}]}),
    );
    assert_eq!(session.diagnostics("Dockerfile"), Vec::<Value>::new());
    session.tell("textDocument/didClose", json!({"textDocument": {"uri": uri}}));
    assert_eq!(session.diagnostics("Dockerfile"), Vec::<Value>::new());
    assert_eq!(session.ask("shutdown", Value::Null)["result"], Value::Null);
    session.tell("exit", Value::Null);
    assert_eq!(session.end(), Some(0));
}

#[test]
fn settings_beside_the_file_are_read_and_read_again_when_they_are_saved() {
    let mut session = Session::begun();
    session.settings("ignored: [DL3000, DL3014, ML102, ML151]\n");
    assert_eq!(session.open("Dockerfile", "FROM debian:12\nWORKDIR a\n"), Vec::<Value>::new());
    session.settings("ignored: [DL3008]\n");
    let uri = session.uri("Dockerfile");
    session.tell("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
    assert!(codes(&session.diagnostics("Dockerfile")).contains(&"DL3000"));
    session.tell("exit", Value::Null);
    assert_eq!(session.end(), Some(1), "without shutdown");
}

#[test]
fn what_is_no_message_is_answered_and_a_frame_without_an_end_ends_the_server() {
    let mut session = Session::begun();
    session.send(b"Content-Length: 1\r\n\r\n{");
    assert_eq!(session.next()["error"]["code"], -32_700);
    session.send(b"Content-Length: 2\r\nContent-Type: x\r\n\r\n[]");
    assert_eq!(session.next()["error"]["code"], -32_600);
    assert_eq!(session.ask("no/such", json!({}))["error"]["code"], -32_601);
    session.send(b"nonsense\r\n\r\n");
    assert_eq!(session.next()["error"]["message"], "a header has no colon");
    assert_eq!(session.end(), Some(1));
}
