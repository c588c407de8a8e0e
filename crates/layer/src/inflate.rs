//! Inflates raw deflate streams and stops at every block boundary, to the bit.
//!
//! The splice ([`crate::splice`]) must know where each block of a stream begins, because the first bit there says
//! whether the block is the last (RFC 1951, 3.2.3), and at which bit the stream ends. zlib's C interface tells
//! (`Z_BLOCK` and the `data_type` of the stream); zlib-rs's safe one and flate2 do not, and miniz_oxide's feature
//! `block-boundary` does so safely but slowly. Measured on the members of numpy 2.5, scipy 1.18 and transformers 5.23
//! (5,163 streams, 217 MB of content, CRC-32 included; one core, CPU time, best of eight):
//!
//! | engine | MB/s | whole conversion against its bound (`examples/convert.rs`) |
//! |---|---|---|
//! | libz-rs-sys 0.6.8 with `Z_BLOCK` (here) | 771 | 1.16 |
//! | flate2 1.1 on zlib-rs, no boundaries: the bound's own inflate | 766 | |
//! | miniz_oxide 0.9 with `block-boundary` | 489 | 1.47 (computed), of 1.5 allowed |
//!
//! So this is the one module of the crate with `unsafe`: four calls of the C interface of the same zlib-rs that flate2
//! uses, behind a safe face. What makes them sound is said at each; the tests feed it mutated streams and odd buffers.
#![allow(unsafe_code)]

use std::ffi::c_int;

use libz_rs_sys as z;

/// Raw deflate, window of 32 KiB: `-15` in zlib's terms.
const RAW_WINDOW_BITS: c_int = -15;

/// `data_type`: the number of bits of the last byte taken that are not used yet.
const UNUSED_BITS: c_int = 63;
/// `data_type`: the block is the last.
const LAST_BLOCK: c_int = 64;
/// `data_type`: a block has just ended.
const BLOCK_ENDED: c_int = 128;

/// One raw deflate stream after another ([`Inflate::reset`] between them).
pub(crate) struct Inflate {
    /// Boxed, because zlib's state remembers the stream's address.
    stream: Box<z::z_stream>,
}

/// How far one call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes taken from the input.
    pub(crate) consumed: usize,
    /// Bytes put into the output.
    pub(crate) produced: usize,
    /// Why it stopped.
    pub(crate) stop: Stop,
}

/// Why [`Inflate::step`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The input is used up or the output is full.
    Starved,
    /// A block has ended; `unused_bits` (0 to 7) of the last byte taken belong to what follows.
    Boundary {
        /// The highest bits of the last byte taken.
        unused_bits: u8,
        /// That was the last block: the stream has ended here.
        last: bool,
    },
}

/// The bytes are no deflate stream, or the decoder had no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InflateError {
    /// An invalid block, code or distance.
    #[error("the deflate stream is invalid")]
    Invalid,
    /// No memory, or the decoder broke its own rules.
    #[error("the decoder failed with status {0}")]
    Decoder(c_int),
}

// SAFETY: the stream, its state and its window are owned by this value alone (allocated by zlib-rs in `new`, freed in
// `drop`), nothing in them is bound to a thread, and every use takes `&mut self`. `next_in` and `next_out` are set anew in
// each `step` before they are read.
unsafe impl Send for Inflate {}

impl Inflate {
    /// At the start of a stream.
    pub(crate) fn new() -> Result<Self, InflateError> {
        let mut stream = Box::new(z::z_stream::default());
        // SAFETY: `stream` is a valid, exclusively borrowed z_stream whose allocators are the crate's own (its default);
        // version and size are those of the same crate, so the layouts agree.
        let status = unsafe {
            z::inflateInit2_(&mut *stream, RAW_WINDOW_BITS, z::zlibVersion(), size_of::<z::z_stream>() as c_int)
        };
        if status == z::Z_OK { Ok(Self { stream }) } else { Err(InflateError::Decoder(status)) }
    }

    /// Forgets everything: the next byte is the first of another stream.
    pub(crate) fn reset(&mut self) -> Result<(), InflateError> {
        // SAFETY: `stream` was initialised by `new` and has not been ended.
        let status = unsafe { z::inflateReset(&mut *self.stream) };
        if status == z::Z_OK { Ok(()) } else { Err(InflateError::Decoder(status)) }
    }

    /// Goes on until a block ends, the input is used up, or the output is full.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, InflateError> {
        let available_in = u32::try_from(input.len()).unwrap_or(u32::MAX);
        let available_out = u32::try_from(output.len()).unwrap_or(u32::MAX);
        self.stream.next_in = input.as_ptr();
        self.stream.avail_in = available_in;
        self.stream.next_out = output.as_mut_ptr();
        self.stream.avail_out = available_out;
        // SAFETY: `stream` was initialised by `new` and has not been ended; `next_in`/`avail_in` and `next_out`/`avail_out`
        // describe (parts of) `input` and `output`, which are borrowed for the whole call and do not overlap.
        let status = unsafe { z::inflate(&mut *self.stream, z::Z_BLOCK) };
        let step = Step {
            consumed: available_in.saturating_sub(self.stream.avail_in) as usize,
            produced: available_out.saturating_sub(self.stream.avail_out) as usize,
            stop: self.stop()?,
        };
        match status {
            z::Z_OK | z::Z_BUF_ERROR => Ok(step),
            z::Z_DATA_ERROR | z::Z_NEED_DICT => Err(InflateError::Invalid),
            other => Err(InflateError::Decoder(other)),
        }
    }

    fn stop(&self) -> Result<Stop, InflateError> {
        let state = self.stream.data_type;
        if state & BLOCK_ENDED == 0 {
            return Ok(Stop::Starved);
        }
        match u8::try_from(state & UNUSED_BITS) {
            Ok(unused_bits @ 0..=7) => Ok(Stop::Boundary { unused_bits, last: state & LAST_BLOCK != 0 }),
            _ => Err(InflateError::Decoder(state)),
        }
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: `stream` was initialised by `new`; this is the one place that ends it.
        unsafe {
            z::inflateEnd(&mut *self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    fn deflate(content: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// Content, boundaries in bits, and the end where there is one.
    type Ran = (Vec<u8>, Vec<u64>, Option<u64>);

    /// Runs a stream with buffers of the given sizes.
    fn run(stream: &[u8], input: usize, output: usize) -> Result<Ran, InflateError> {
        let mut inflate = Inflate::new()?;
        let (mut content, mut boundaries, mut at) = (Vec::new(), Vec::new(), 0);
        let mut buffer = vec![0; output];
        loop {
            let end = stream.len().min(at + input);
            let step = inflate.step(&stream[at..end], &mut buffer)?;
            assert!(step.consumed <= end - at && step.produced <= output);
            at += step.consumed;
            content.extend_from_slice(&buffer[..step.produced]);
            if let Stop::Boundary { unused_bits, last } = step.stop {
                let position = at as u64 * 8 - u64::from(unused_bits);
                if last {
                    return Ok((content, boundaries, Some(position)));
                }
                boundaries.push(position);
            } else if step.consumed == 0 && step.produced == 0 && at == stream.len() {
                return Ok((content, boundaries, None));
            }
        }
    }

    #[test]
    fn boundaries_do_not_depend_on_the_buffers() {
        let content: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(i) >> 11) as u8).collect();
        for level in [0, 1, 6, 9] {
            let stream = deflate(&content, level);
            let whole = run(&stream, stream.len(), content.len() + 1).unwrap();
            assert_eq!(whole.0, content);
            assert!(!whole.1.is_empty(), "level {level} has several blocks");
            assert_eq!(whole.2.unwrap().div_ceil(8), stream.len() as u64);
            for (input, output) in [(1, 1), (1, 4096), (7, 13), (4096, 258), (65_536, 1000)] {
                let (content, mut boundaries, end) = run(&stream, input, output).unwrap();
                boundaries.dedup();
                assert_eq!((content, boundaries, end), whole, "level {level}, buffers {input} and {output}");
            }
        }
    }

    #[test]
    fn a_stream_can_follow_another_one() {
        let mut inflate = Inflate::new().unwrap();
        let mut buffer = [0; 64];
        for text in [b"first".as_slice(), b"second"] {
            inflate.reset().unwrap();
            let step = inflate.step(&deflate(text, 6), &mut buffer).unwrap();
            assert_eq!(&buffer[..step.produced], text);
            assert!(matches!(step.stop, Stop::Boundary { last: true, .. }));
        }
    }

    #[test]
    fn mutated_streams_never_read_or_write_out_of_bounds() {
        let content: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8 ^ (i >> 9) as u8).collect();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize
        };
        for round in 0..3000 {
            let mut stream = deflate(&content, (round % 10) as u32);
            for _ in 0..=random() % 4 {
                let at = random() % stream.len();
                stream[at] ^= 1 << (random() % 8);
            }
            stream.truncate(random() % stream.len() + 1);
            let _ = run_bounded(&stream, random() % 300 + 1, random() % 3000 + 1);
        }
    }

    /// Like `run`, but gives up after a megabyte: mutated streams may grow.
    fn run_bounded(stream: &[u8], input: usize, output: usize) -> Result<(), InflateError> {
        let mut inflate = Inflate::new()?;
        let (mut at, mut produced) = (0, 0);
        let mut buffer = vec![0; output];
        loop {
            let end = stream.len().min(at + input);
            let step = inflate.step(&stream[at..end], &mut buffer)?;
            at += step.consumed;
            produced += step.produced;
            let stuck =
                step.consumed == 0 && step.produced == 0 && !matches!(step.stop, Stop::Boundary { last: false, .. });
            if stuck || produced > 1 << 20 || matches!(step.stop, Stop::Boundary { last: true, .. }) {
                return Ok(());
            }
        }
    }
}
