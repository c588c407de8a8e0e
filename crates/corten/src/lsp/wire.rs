//! Frames: headers, an empty line, and as many bytes as `Content-Length` says.

use std::io::{self, BufRead, Read, Write};

/// Bytes of all headers of a frame.
const HEADERS: u64 = 8 << 10;

/// Bytes of a message that is read.
const MESSAGE: u64 = 32 << 20;

/// Bytes of a message that is passed over.
const PASSED_OVER: u64 = 1 << 30;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Message(Vec<u8>),
    /// None that is read; the next one can be found.
    Wrong(&'static str),
    /// Nobody knows where the next one begins.
    Lost(&'static str),
    /// Nothing more.
    End,
}

/// Reads frames.
pub struct Reader<R> {
    input: R,
}

impl<R: BufRead> Reader<R> {
    /// From the beginning of a frame on.
    pub fn new(input: R) -> Self {
        Self { input }
    }

    /// The next one.
    pub fn next(&mut self) -> Frame {
        let length = match self.headers() {
            Ok(length) => length,
            Err(frame) => return frame,
        };
        if length > PASSED_OVER {
            return Frame::Lost("the message is too long");
        }
        if length > MESSAGE {
            return match io::copy(&mut self.input.by_ref().take(length), &mut io::sink()) {
                Ok(passed) if passed == length => Frame::Wrong("the message is longer than 32 MiB"),
                _ => Frame::Lost("the message ends too early"),
            };
        }
        let mut bytes = Vec::new();
        match self.input.by_ref().take(length).read_to_end(&mut bytes) {
            Ok(read) if read as u64 == length => Frame::Message(bytes),
            _ => Frame::Lost("the message ends too early"),
        }
    }

    fn headers(&mut self) -> Result<u64, Frame> {
        let mut length = None;
        let mut left = HEADERS;
        loop {
            let mut line = Vec::new();
            let read = self.input.by_ref().take(left).read_until(b'\n', &mut line);
            let read = read.map_err(|_| Frame::Lost("standard input cannot be read"))?;
            if read == 0 && left == HEADERS {
                return Err(Frame::End);
            }
            if !line.ends_with(b"\n") {
                let why = if read as u64 == left { "the headers are too long" } else { "the headers end too early" };
                return Err(Frame::Lost(why));
            }
            left = left.saturating_sub(read as u64);
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                return length.ok_or(Frame::Lost("there is no Content-Length"));
            }
            let Some((name, value)) = line.split_once(':') else { return Err(Frame::Lost("a header has no colon")) };
            if name.trim().eq_ignore_ascii_case("content-length") {
                let value = value.trim().parse().map_err(|_| Frame::Lost("Content-Length is no number"))?;
                length = Some(value);
            }
        }
    }
}

/// Writes a message as a frame.
pub fn write(output: &mut impl Write, message: &serde_json::Value) -> io::Result<()> {
    let text = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Vec<Frame> {
        let mut reader = Reader::new(bytes);
        let mut frames = Vec::new();
        loop {
            let frame = reader.next();
            let last = matches!(frame, Frame::End | Frame::Lost(_));
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }

    #[test]
    fn frames_follow_each_other() {
        let message = |text: &str| Frame::Message(text.into());
        let two = b"Content-Length: 2\r\n\r\n{}content-length:3\r\nContent-Type: x\r\n\r\n[1]";
        assert_eq!(frames(two), [message("{}"), message("[1]"), Frame::End]);
        assert_eq!(frames(b""), [Frame::End]);
    }

    #[test]
    fn a_frame_without_an_end_is_the_last() {
        let long = [b"X: ".as_slice(), &vec![b'a'; 9000], b"\r\n"].concat();
        for (bytes, why) in [
            (b"Content-Length: 9\r\n\r\n{}".as_slice(), "the message ends too early"),
            (b"Content-Length: x\r\n\r\n{}", "Content-Length is no number"),
            (b"Content-Length: -1\r\n\r\n{}", "Content-Length is no number"),
            (b"Content-Length: 99999999999999999999\r\n\r\n{}", "Content-Length is no number"),
            (b"Content-Length: 9999999999999\r\n\r\n{}", "the message is too long"),
            (b"Content-Type: x\r\n\r\n{}", "there is no Content-Length"),
            (b"{\"jsonrpc\":\"2.0\"}", "the headers end too early"),
            (b"no header\r\n\r\n", "a header has no colon"),
            (&long, "the headers are too long"),
        ] {
            assert_eq!(
                frames(bytes),
                [Frame::Lost(why)],
                "{:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
            );
        }
    }

    #[test]
    fn a_long_message_is_passed_over() {
        let length = MESSAGE + 1;
        let head = format!("Content-Length: {length}\r\n\r\n");
        let body = io::repeat(b' ').take(length);
        let input = io::BufReader::new(head.as_bytes().chain(body).chain(b"Content-Length: 2\r\n\r\n{}".as_slice()));
        let mut reader = Reader::new(input);
        assert_eq!(reader.next(), Frame::Wrong("the message is longer than 32 MiB"));
        assert_eq!(reader.next(), Frame::Message(b"{}".to_vec()));
    }
}
