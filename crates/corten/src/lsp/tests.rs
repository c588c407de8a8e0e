//! Sessions with a linter that finds `latest`, so that each answer is known.

use corten_diagnostic::{Edit, Fix, Place, RuleId, Severity, Span};
use serde_json::{Value, json};

use super::*;

const URI: &str = "file:///p/Dockerfile";

/// A finding of DL3007 for each `:latest`, whose fix takes it away; its `run` a safe fix that writes it large.
fn look(path: &Path, text: &str) -> Result<Option<Looked>, String> {
    if path.extension().is_some() {
        return Ok(None);
    }
    if text.contains("wrong settings") {
        return Err("corten.toml: no".to_owned());
    }
    let finding = |rule, range, new: &str, safe| {
        let span = Span::new(path, text, range);
        let edits = vec![Edit { span: span.clone(), text: new.to_owned() }];
        let fix = Some(Fix { title: "mend it".into(), edits, safe });
        let (message, help) = ("wrong".to_owned(), Some("right".to_owned()));
        Finding { rule: RuleId(rule), severity: Severity::Warning, message, at: Place::Text(span), help, fix }
    };
    let latest = text.match_indices(":latest").map(|(at, word)| finding("DL3007", at..at + word.len(), "", false));
    let small =
        text.match_indices("run ").map(|(at, _)| finding("ConsistentInstructionCasing", at..at + 3, "RUN", true));
    Ok(Some(Looked { subject: Subject::Dockerfile, findings: latest.chain(small).collect() }))
}

/// What is answered to messages, and the status at the end.
fn session(messages: &[Value]) -> (Vec<Value>, u8) {
    let frame = |message: &Value| {
        let text = message.to_string();
        format!("Content-Length: {}\r\n\r\n{text}", text.len())
    };
    answered(messages.iter().map(frame).collect::<String>().as_bytes())
}

fn answered(input: &[u8]) -> (Vec<Value>, u8) {
    let mut output = Vec::new();
    let status = serve(input, &mut output, &look);
    let mut reader = Reader::new(output.as_slice());
    let mut answers = Vec::new();
    while let Frame::Message(bytes) = reader.next() {
        answers.push(serde_json::from_slice(&bytes).unwrap());
    }
    (answers, status)
}

fn request(id: i64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn notice(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn begin() -> [Value; 2] {
    [request(0, "initialize", json!({"processId": null, "capabilities": {}})), notice("initialized", json!({}))]
}

fn open(text: &str) -> Value {
    let document = json!({"uri": URI, "languageId": "dockerfile", "version": 1, "text": text});
    notice("textDocument/didOpen", json!({"textDocument": document}))
}

fn place(line: usize, character: usize) -> Value {
    json!({"line": line, "character": character})
}

/// The answers to messages after the beginning and the opening of a text.
fn of_open(text: &str, messages: &[Value]) -> Vec<Value> {
    let mut all = begin().to_vec();
    all.push(open(text));
    all.extend_from_slice(messages);
    session(&all).0.split_off(2)
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_default()
}

#[test]
fn the_status_says_whether_shutdown_came_before_exit() {
    let exit = notice("exit", Value::Null);
    let shutdown = request(9, "shutdown", Value::Null);
    let [initialize, initialized] = begin();
    let all = |more: &[Value]| [&[initialize.clone(), initialized.clone()], more].concat();
    assert_eq!(session(&all(&[shutdown.clone(), exit.clone()])).1, 0);
    assert_eq!(session(&all(std::slice::from_ref(&exit))).1, 1);
    assert_eq!(session(&[exit]).1, 1);
    assert_eq!(session(&[]).1, 1);
    assert_eq!(session(&all(&[shutdown])).1, 0);
}

#[test]
fn requests_out_of_their_time_and_unknown_ones_are_refused() {
    let hover = request(1, "textDocument/hover", json!({}));
    assert_eq!(code(&session(&[hover]).0[0]), -32_002);
    let mut all = begin().to_vec();
    all.push(request(1, "initialize", json!({})));
    all.push(request(2, "workspace/symbol", json!({})));
    all.push(request(3, "textDocument/hover", json!({"textDocument": {"uri": "file:///no"}})));
    all.push(request(4, "textDocument/hover", json!([])));
    all.push(notice("$/cancelRequest", json!({"id": 3})));
    all.push(notice("no/such", json!(3)));
    all.push(request(5, "shutdown", Value::Null));
    all.push(request(6, "textDocument/hover", json!({})));
    let codes: Vec<i64> = session(&all).0.iter().map(code).collect();
    assert_eq!(codes, [0, -32_600, -32_601, -32_602, -32_602, 0, -32_600]);
}

#[test]
fn what_is_no_message_is_answered_and_the_next_one_is_read() {
    let mut input = Vec::new();
    for body in [&b"{"[..], b"\xff", b"[1]", b"1", b"{}", b"{\"id\": 7}", b"{\"id\": 8, \"result\": null}"] {
        input.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        input.extend(body);
    }
    input.extend(b"Content-Length: 1\r\n\r\n{Content-Length");
    let (answers, status) = answered(&input);
    let codes: Vec<i64> = answers.iter().map(code).collect();
    assert_eq!(codes, [-32_700, -32_700, -32_600, -32_600, -32_600, -32_600, -32_700, -32_700]);
    assert_eq!((answers[5]["id"].as_i64(), status), (Some(7), 1));
}

#[test]
fn deep_json_is_refused() {
    let body = "[".repeat(100_000);
    let input = format!("Content-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(code(&answered(input.as_bytes()).0[0]), -32_700);
}

#[test]
fn diagnostics_follow_the_text_in_utf16() {
    let text = "FROM a\nRUN echo é😀 :latest\n";
    let change = |changes: Value, version: i64| {
        let document = json!({"uri": URI, "version": version});
        notice("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}))
    };
    let edit = |from, to, text: &str| json!({"range": {"start": from, "end": to}, "text": text});
    let all = [
        begin().to_vec(),
        vec![
            open(text),
            change(json!([edit(place(1, 10), place(1, 12), "x"), edit(place(1, 0), place(1, 0), "#\n")]), 2),
            change(json!([edit(place(2, 0), place(99, 0), "")]), 3),
            change(json!([{"text": "FROM b:latest"}]), 4),
            notice("textDocument/didClose", json!({"textDocument": {"uri": URI}})),
        ],
    ]
    .concat();
    let answers = session(&all).0.split_off(1);
    let seen: Vec<(Option<i64>, Vec<Value>)> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer["method"], "textDocument/publishDiagnostics");
            let diagnostics = answer["params"]["diagnostics"].as_array().unwrap();
            (answer["params"]["version"].as_i64(), diagnostics.iter().map(|one| one["range"].clone()).collect())
        })
        .collect();
    let range = |line, from, to| vec![json!({"start": place(line, from), "end": place(line, to)})];
    assert_eq!(
        seen,
        [
            (Some(1), range(1, 13, 20)),
            (Some(2), range(2, 12, 19)),
            (Some(3), vec![]),
            (Some(4), range(0, 6, 13)),
            (None, vec![]),
        ]
    );
    let first = &answers[0]["params"]["diagnostics"][0];
    assert_eq!((&first["code"], &first["severity"]), (&json!("DL3007"), &json!(2)));
    assert_eq!(first["message"], "wrong\nhelp: right");
    assert_eq!(first["codeDescription"]["href"], "https://github.com/hadolint/hadolint/wiki/DL3007");
}

fn actions(text: &str, line: usize, context: Value) -> Vec<Value> {
    let range = json!({"start": place(line, 0), "end": place(line, 99)});
    let params = json!({"textDocument": {"uri": URI}, "range": range, "context": context});
    of_open(text, &[request(1, "textDocument/codeAction", params)])[0]["result"].as_array().unwrap().clone()
}

/// The text after an action.
fn applied(text: &str, action: &Value) -> String {
    let mut document = documents::Document::new(URI, None, text.to_owned());
    for edit in action["edit"]["changes"][URI].as_array().unwrap() {
        let bytes = document.bytes(&edit["range"]).unwrap();
        document.replace(bytes, edit["newText"].as_str().unwrap());
    }
    document.text
}

#[test]
fn actions_mend_a_line_or_silence_it() {
    let text = "FROM a\n\n  run x:latest\n";
    let actions = actions(text, 2, json!({"diagnostics": []}));
    let titles: Vec<&str> = actions.iter().map(|action| action["title"].as_str().unwrap()).collect();
    assert_eq!(
        titles,
        ["mend it (look at it)", "mend it", "Ignore DL3007 here", "Ignore ConsistentInstructionCasing here"]
    );
    assert_eq!(applied(text, &actions[0]), "FROM a\n\n  run x\n");
    assert_eq!(applied(text, &actions[1]), "FROM a\n\n  RUN x:latest\n");
    assert_eq!(actions[1]["isPreferred"], true);
    let silenced = applied(text, &actions[2]);
    assert_eq!(silenced, "FROM a\n\n  # hadolint ignore=DL3007\n  run x:latest\n");
    let further = self::actions(&silenced.replace("hadolint", "corten"), 3, json!({}));
    assert_eq!(
        applied(&silenced.replace("hadolint", "corten"), &further[3]),
        "FROM a\n\n  # corten ignore=DL3007,ConsistentInstructionCasing\n  run x:latest\n"
    );
    assert_eq!(self::actions(text, 0, json!({})), Vec::<Value>::new());
}

/// Each quick fix is tried on the whole text: of a long selection not all are.
#[test]
fn a_long_selection_costs_no_more_than_a_menu() {
    let text = format!("FROM a\n{}", "run x:latest\n".repeat(1500));
    let range = json!({"start": place(0, 0), "end": place(1501, 0)});
    let params = json!({"textDocument": {"uri": URI}, "range": range, "context": {"diagnostics": []}});
    let mut messages = begin().to_vec();
    messages.extend([open(&text), request(1, "textDocument/codeAction", params)]);
    let frame = |message: &Value| format!("Content-Length: {}\r\n\r\n{message}", message.to_string().len());
    let input: String = messages.iter().map(frame).collect();
    let (looks, mut output) = (std::cell::Cell::new(0), Vec::new());
    let counted = |path: &Path, text: &str| {
        looks.set(looks.get() + 1);
        look(path, text)
    };
    serve(input.as_bytes(), &mut output, &counted);
    let mut reader = Reader::new(output.as_slice());
    let mut last = Value::Null;
    while let Frame::Message(bytes) = reader.next() {
        last = serde_json::from_slice(&bytes).unwrap();
    }
    // One when it is opened, and one for each fix.
    assert_eq!(looks.get(), 1 + 20);
    let actions = last["result"].as_array().unwrap();
    assert_eq!(actions.len(), 40);
    assert_eq!(applied(&text, &actions[0]), text.replacen(":latest", "", 1));
}

#[test]
fn all_safe_fixes_are_made_where_that_is_asked_for() {
    let text = "FROM a\nrun x\nrun y:latest\n";
    let actions = actions(text, 0, json!({"only": ["source.fixAll"]}));
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0]["kind"], "source.fixAll.corten");
    assert_eq!(applied(text, &actions[0]), "FROM a\nRUN x\nRUN y:latest\n");
    assert_eq!(self::actions("FROM a\n", 0, json!({"only": ["source.fixAll"]})), Vec::<Value>::new());
    assert_eq!(self::actions(text, 1, json!({"only": ["refactor"]})), Vec::<Value>::new());
}

#[test]
fn hovers_tell_instructions_and_rules() {
    let text = "FROM a:latest\nUSER x\n";
    let hover = |line, character| {
        let params = json!({"textDocument": {"uri": URI}, "position": place(line, character)});
        of_open(text, &[request(1, "textDocument/hover", params)])[0]["result"].clone()
    };
    assert!(hover(1, 2)["contents"]["value"].as_str().unwrap().contains("USER USER[:GROUP]"));
    assert_eq!(hover(1, 2)["range"], json!({"start": place(1, 0), "end": place(1, 4)}));
    assert_eq!(hover(1, 6), Value::Null);
    let page = hover(0, 8)["contents"]["value"].as_str().unwrap().to_owned();
    assert!(page.starts_with("## DL3007"), "{page}");
}

#[test]
fn a_file_that_is_nothing_to_look_at_has_no_diagnostics() {
    let document = json!({"uri": "file:///a/b.py", "languageId": "python", "version": 1, "text": "x:latest"});
    let mut all = begin().to_vec();
    all.push(notice("textDocument/didOpen", json!({"textDocument": document})));
    assert_eq!(session(&all).0[1]["params"]["diagnostics"], json!([]));
}

#[test]
fn a_mistake_of_the_settings_is_told_once() {
    let document = json!({"uri": URI, "version": 2});
    let change = |text: &str| {
        notice("textDocument/didChange", json!({"textDocument": document, "contentChanges": [{"text": text}]}))
    };
    let answers = of_open("wrong settings", &[change("wrong settings!"), change("FROM a"), change("wrong settings")]);
    // Of the opening, the diagnostics are the message before these.
    let methods: Vec<&str> = answers.iter().map(|answer| answer["method"].as_str().unwrap()).collect();
    let (said, published) = ("window/showMessage", "textDocument/publishDiagnostics");
    assert_eq!(methods, [said, published, published, published, said]);
    assert_eq!(answers[0]["params"]["message"], "corten: corten.toml: no");
}

/// Sessions with bytes exchanged at random: each ends, and answers what can be answered.
#[test]
fn no_bytes_end_it_in_a_panic() {
    let mut messages = begin().to_vec();
    messages.push(open("FROM a:latest\nrun é😀\n"));
    for method in ["codeAction", "hover", "didChange", "didClose"] {
        let range = json!({"start": place(1, 3), "end": place(0, 99)});
        let params = json!({"textDocument": {"uri": URI, "version": 2}, "position": place(1, 6), "range": range,
            "context": {"only": ["quickfix"]}, "contentChanges": [{"range": range, "text": "é"}]});
        let method = format!("textDocument/{method}");
        messages.push(if method.contains("did") { notice(&method, params) } else { request(1, &method, params) });
    }
    let frame = |message: &Value| {
        let text = message.to_string();
        format!("Content-Length: {}\r\n\r\n{text}", text.len())
    };
    let whole: Vec<u8> = messages.iter().map(frame).collect::<String>().into_bytes();
    let mut state: u64 = 1;
    let mut dice = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % most
    };
    for _ in 0..500 {
        let mut bytes = whole.clone();
        for _ in 0..=dice(4) {
            let at = dice(bytes.len());
            bytes[at] = b"\"\\{}[]:,019-\xff\x00eu\n"[dice(17)];
        }
        answered(&bytes);
    }
}

/// Whoever has another text than its client says nothing of it.
#[test]
fn a_text_whose_changes_make_no_sense_is_forgotten() {
    let many: Vec<Value> = std::iter::repeat_n(json!({"text": "FROM a"}), 10_001).collect();
    let backward = json!({"start": {"line": -1, "character": 0}, "end": place(0, 0)});
    for (changes, why) in [
        (json!(many), "too many changes came at once"),
        (json!([{"range": backward, "text": ""}]), "a change of it has no place"),
        (json!([{"range": {"start": place(0, 0)}, "text": ""}]), "a change of it has no place"),
        (json!([{"text": 1}]), "a change of it has no text"),
        (json!({}), "its changes are no list"),
    ] {
        let document = json!({"uri": URI, "version": 2});
        let change = |changes: &Value| {
            notice("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}))
        };
        // What comes later is about a text that nobody has.
        let answers = of_open("FROM a:latest\n", &[change(&changes), change(&json!([{"text": "FROM b:latest"}]))]);
        let [published, said] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(published["params"]["diagnostics"], json!([]));
        let expected = format!("corten: {why}; this file is not looked at until it is opened again");
        assert_eq!(said["params"]["message"], expected.as_str());
    }
}
