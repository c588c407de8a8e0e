//! Our own deflate blocks: small bytes by an encoder that is frozen for ever, big ones by zlib-rs.
//!
//! The bytes between two spliced streams (padding, tar headers, small files) decide the digest of a layer, so their
//! encoder must never change within a format version. It is therefore here, in full, and not a library: fixed Huffman
//! codes (RFC 1951, 3.2.6) and greedy matches from three places, which is where tar headers repeat themselves:
//!
//! | candidate | why |
//! |---|---|
//! | distance 1 | runs of zeros |
//! | the same column of the block 512 bytes before | header after header |
//! | the latest place with the same four bytes | text |
//!
//! "Before" reaches over a spliced stream to the header in front of it, when that lies in the window of 32 KiB: only the
//! last literal bytes and their distance must be known, not what the stream holds.
//!
//! Big content goes to zlib-rs in pieces of fixed size, each ended by an empty stored block (a sync flush): a piece
//! depends on its own bytes and the 32 KiB before it only, so pieces can be made on several threads and are the same on
//! every machine.

use std::io;

use flate2::{Compress, FlushCompress, Status};

/// The furthest that a match may reach back (RFC 1951, 2).
const WINDOW: usize = 32 * 1024;
const SHORTEST_MATCH: usize = 4;
const LONGEST_MATCH: usize = 258;
/// Literal bytes that are remembered for the next call.
const HISTORY: usize = 4096;
const BLOCK: usize = 512;
const HASH_BITS: u32 = 10;
const END_OF_BLOCK: u16 = 256;

/// zlib's level for big content, as everybody's default.
const LEVEL: u32 = 6;

/// Collects bits, lowest first (RFC 1951, 3.1.1).
#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    hold: u64,
    count: u32,
}

impl BitWriter {
    /// Whole bytes that are ready.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the whole bytes: they have been written.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Appends the `count` low bits of `bits`; at most 32.
    fn put(&mut self, bits: u32, count: u32) {
        self.hold |= u64::from(bits) << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.hold as u8);
            self.hold >>= 8;
            self.count -= 8;
        }
    }

    /// Goes to the next byte boundary, where there is none, by an empty stored block.
    pub(crate) fn align(&mut self) {
        if self.count == 0 {
            return;
        }
        self.put(0, 3);
        self.pad();
        self.bytes.extend_from_slice(&[0, 0, 0xff, 0xff]);
    }

    /// Fills the last byte with zeros.
    pub(crate) fn pad(&mut self) {
        self.put(0, (8 - self.count) % 8);
    }

    /// Appends bytes at a byte boundary.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.count, 0, "bytes go to a byte boundary");
        self.bytes.extend_from_slice(bytes);
    }

    /// Goes on inside a byte whose lowest `used` bits (1 to 8) are taken; at a byte boundary.
    pub(crate) fn resume(&mut self, byte: u8, used: u32) {
        debug_assert!(self.count == 0 && (1..=8).contains(&used));
        let mask = u32::from(u8::MAX) >> (8 - used);
        self.put(u32::from(byte) & mask, used);
    }

    /// A last block without content.
    pub(crate) fn empty_last_block(&mut self) {
        self.start_fixed(Last::Yes);
        self.symbol(END_OF_BLOCK);
    }

    fn start_fixed(&mut self, last: Last) {
        self.put(0b010 | u32::from(last == Last::Yes), 3);
    }

    /// A symbol of the fixed literal and length code.
    fn symbol(&mut self, symbol: u16) {
        let (code, length) = FIXED[usize::from(symbol)];
        self.put(u32::from(code), u32::from(length));
    }

    fn copy(&mut self, length: usize, distance: usize) {
        let (symbol, extra, base) = length_code(length);
        self.symbol(symbol);
        self.put((length - base) as u32, extra);
        let (code, extra, base) = distance_code(distance);
        self.put((u32::from(code) << 27).reverse_bits(), 5);
        self.put((distance - base) as u32, extra);
    }
}

/// Is a block the last of its stream?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// It is.
    Yes,
    /// More follows.
    No,
}

/// Codes (bits reversed, as they are sent) and lengths of the fixed literal and length alphabet.
const FIXED: [(u16, u8); 288] = {
    let mut table = [(0, 0); 288];
    let mut symbol = 0;
    while symbol < 288 {
        let (code, length): (u16, u8) = match symbol {
            0..144 => (0x30 + symbol as u16, 8),
            144..256 => (0x190 + (symbol as u16 - 144), 9),
            256..280 => (symbol as u16 - 256, 7),
            _ => (0xc0 + (symbol as u16 - 280), 8),
        };
        table[symbol] = (code.reverse_bits() >> (16 - length as u32), length);
        symbol += 1;
    }
    table
};

/// Symbol, number of extra bits and smallest length of the symbol, for a length of 3 to 258.
fn length_code(length: usize) -> (u16, u32, usize) {
    match length {
        258 => (285, 0, 258),
        3..11 => (254 + length as u16, 0, length),
        _ => {
            let offset = length - 3;
            let extra = offset.ilog2() - 2;
            let quarter = (offset >> extra) & 3;
            (261 + 4 * extra as u16 + quarter as u16, extra, ((4 + quarter) << extra) + 3)
        }
    }
}

/// Code, number of extra bits and smallest distance of the code, for a distance of 1 to 32768.
fn distance_code(distance: usize) -> (u8, u32, usize) {
    let offset = distance - 1;
    if offset < 4 {
        return (offset as u8, 0, distance);
    }
    let extra = offset.ilog2() - 1;
    let half = (offset >> extra) & 1;
    (2 * extra as u8 + 2 + half as u8, extra, ((2 + half) << extra) + 1)
}

/// The frozen encoder of small bytes.
pub(crate) struct Encoder {
    /// The last literal bytes, then, while encoding, the new ones.
    buffer: Vec<u8>,
    /// Where `buffer` ends in the content, between calls.
    end: u64,
    /// For a hash of four bytes: one more than the latest place in `buffer` that has them.
    places: Box<[u32; 1 << HASH_BITS]>,
}

/// A place in the buffer to copy from.
#[derive(Clone, Copy)]
struct Match {
    length: usize,
    distance: usize,
    /// Bits that it saves against literals.
    gain: usize,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new(), end: 0, places: Box::new([0; 1 << HASH_BITS]) }
    }

    /// One block that holds `bytes`, which begin at byte `at` of the content.
    pub(crate) fn block(&mut self, out: &mut BitWriter, bytes: &[u8], at: u64, last: Last) {
        let gap = at.checked_sub(self.end).and_then(|gap| usize::try_from(gap).ok()).filter(|&gap| gap < WINDOW);
        if gap.is_none() {
            self.buffer.clear();
        }
        let known = Known { split: self.buffer.len(), gap: gap.unwrap_or(0), column: (at % BLOCK as u64) as usize };
        self.buffer.extend_from_slice(bytes);
        self.places.fill(0);
        (0..known.split).for_each(|place| self.remember(place));
        out.start_fixed(last);
        self.symbols(out, &known);
        out.symbol(END_OF_BLOCK);
        self.buffer.drain(..self.buffer.len() - bytes.len().min(HISTORY));
        self.end = at + bytes.len() as u64;
    }

    fn symbols(&mut self, out: &mut BitWriter, known: &Known) {
        let mut here = known.split;
        while here < self.buffer.len() {
            let found = self.best_match(here, known);
            self.remember(here);
            match found {
                Some(found) => {
                    out.copy(found.length, found.distance);
                    here += found.length;
                }
                None => {
                    out.symbol(u16::from(self.buffer[here]));
                    here += 1;
                }
            }
        }
    }

    fn best_match(&self, here: usize, known: &Known) -> Option<Match> {
        let candidates = [here.checked_sub(1), known.block_before(here), self.same_four(here)];
        let mut best: Option<Match> = None;
        for place in candidates.into_iter().flatten() {
            let Some(found) = self.match_at(place, here, known) else { continue };
            if best.is_none_or(|best| found.gain > best.gain) {
                best = Some(found);
            }
            if found.length == LONGEST_MATCH {
                break;
            }
        }
        best
    }

    fn match_at(&self, place: usize, here: usize, known: &Known) -> Option<Match> {
        let distance = known.distance(place, here);
        if distance > WINDOW {
            return None;
        }
        // Behind the old literals lies a stream that is not known here.
        let source_end = if place < known.split && known.gap > 0 { known.split } else { self.buffer.len() };
        let source = self.buffer.get(place..source_end)?;
        let target = self.buffer.get(here..)?;
        let length = source.iter().zip(target).take(LONGEST_MATCH).take_while(|(a, b)| a == b).count();
        if length < SHORTEST_MATCH {
            return None;
        }
        let (symbol, length_extra, _) = length_code(length);
        let (_, distance_extra, _) = distance_code(distance);
        let cost = u32::from(FIXED[usize::from(symbol)].1) + length_extra + 5 + distance_extra;
        let gain = (8 * length).checked_sub(cost as usize).filter(|&gain| gain > 0)?;
        Some(Match { length, distance, gain })
    }

    fn same_four(&self, here: usize) -> Option<usize> {
        (*self.places.get(self.hash(here)?)? as usize).checked_sub(1)
    }

    fn remember(&mut self, place: usize) {
        if let Some(slot) = self.hash(place).and_then(|hash| self.places.get_mut(hash)) {
            *slot = place as u32 + 1;
        }
    }

    fn hash(&self, place: usize) -> Option<usize> {
        let four: [u8; 4] = self.buffer.get(place..place + 4)?.try_into().ok()?;
        Some((u32::from_le_bytes(four).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize)
    }
}

/// Where the bytes of an encoder's buffer lie in the content.
struct Known {
    /// Old literals are before it, new ones from here on.
    split: usize,
    /// Bytes of content between old and new.
    gap: usize,
    /// The first new byte's place in its tar block.
    column: usize,
}

impl Known {
    fn distance(&self, place: usize, here: usize) -> usize {
        if place < self.split { here - place + self.gap } else { here - place }
    }

    /// The same column of the nearest known block before; old literals end at a block's end, where a stream follows.
    fn block_before(&self, here: usize) -> Option<usize> {
        let new = here - self.split;
        if new >= BLOCK {
            return Some(here - BLOCK);
        }
        let place = self.split.checked_sub(BLOCK)? + (self.column + new) % BLOCK;
        (place < here).then_some(place)
    }
}

/// Deflates a piece of big content; `before` is what lies before it (at most 32 KiB are used). Ends at a byte boundary.
pub(crate) fn deflate_piece(piece: &[u8], before: &[u8]) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(flate2::Compression::new(LEVEL), false);
    if !before.is_empty() {
        compress.set_dictionary(before).map_err(io::Error::other)?;
    }
    // Stored blocks at worst: five bytes in every 16 KiB, and the flush.
    let mut out = Vec::with_capacity(piece.len() + piece.len() / 1024 + 1024);
    let status = compress.compress_vec(piece, &mut out, FlushCompress::Sync).map_err(io::Error::other)?;
    let complete = status == Status::Ok && compress.total_in() == piece.len() as u64 && out.len() < out.capacity();
    if complete { Ok(out) } else { Err(io::Error::other("zlib-rs did not compress a piece in one go")) }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn inflate(deflated: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        flate2::read::DeflateDecoder::new(deflated).read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        // RFC 1951, 3.2.5: the tables' corners.
        let lengths = [
            (3, 257),
            (10, 264),
            (11, 265),
            (18, 268),
            (19, 269),
            (34, 272),
            (115, 280),
            (131, 281),
            (257, 284),
            (258, 285),
        ];
        for (length, symbol) in lengths {
            assert_eq!(length_code(length).0, symbol, "length {length}");
        }
        let distances =
            [(1, 0), (4, 3), (5, 4), (6, 4), (7, 5), (9, 6), (1025, 20), (24_576, 28), (24_577, 29), (32_768, 29)];
        for (distance, code) in distances {
            assert_eq!(distance_code(distance).0, code, "distance {distance}");
        }
    }

    #[test]
    fn every_length_and_distance_survives() {
        for distance in [1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 256, 257, 511, 512, 1024, 8191, 16_385, 32_767, 32_768] {
            let mut out = BitWriter::default();
            let mut expected: Vec<u8> =
                (0..distance as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            out.start_fixed(Last::No);
            expected.iter().for_each(|&byte| out.symbol(u16::from(byte)));
            for length in 3..=LONGEST_MATCH {
                out.copy(length, distance);
                for _ in 0..length {
                    expected.push(expected[expected.len() - distance]);
                }
            }
            out.symbol(END_OF_BLOCK);
            out.empty_last_block();
            out.pad();
            assert_eq!(inflate(out.bytes()), expected, "distance {distance}");
        }
    }

    #[test]
    fn the_encoder_reaches_over_a_gap() {
        let (mut out, mut encoder) = (BitWriter::default(), Encoder::new());
        let header: Vec<u8> = (0..512_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let between: Vec<u8> = (0..20_000_u32).map(|i| (i.wrapping_mul(40_503) >> 8) as u8).collect();
        encoder.block(&mut out, &header, 0, Last::No);
        let first = out.bytes().len();
        out.align();
        out.extend(&deflate_piece(&between, &[]).unwrap());
        let second = out.bytes().len();
        encoder.block(&mut out, &header, 512 + 20_000, Last::Yes);
        out.pad();
        assert_eq!(inflate(out.bytes()), [&header, &between, &header].map(Vec::as_slice).concat());
        assert!(first > 500 && out.bytes().len() - second < 20, "{first}, {}", out.bytes().len() - second);
    }

    /// The bytes that this encoder gives are part of the format: they may change only together with its version.
    #[test]
    fn the_encoder_is_frozen() {
        let (mut out, mut encoder) = (BitWriter::default(), Encoder::new());
        let text = b"opt/venv/lib/python3.12/site-packages/numpy/__init__.py\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80\xff\
            opt/venv/lib/python3.12/site-packages/numpy/core.py";
        encoder.block(&mut out, text, 0, Last::No);
        encoder.block(&mut out, &[text.as_slice(), &[0; 900]].concat(), 10_000, Last::Yes);
        out.pad();
        let frozen = corten_oci::Digest::of(out.bytes());
        assert_eq!((out.bytes().len(), frozen.short()), (89, "a460b783cd78".to_owned()));
    }

    #[test]
    fn pieces_join() {
        let content: Vec<u8> = (0..100_000_u32).map(|i| (i / 100 * 7) as u8).collect();
        let (first, second) = content.split_at(40_000);
        let mut joined = deflate_piece(first, &[]).unwrap();
        joined.extend(deflate_piece(second, &first[first.len() - WINDOW..]).unwrap());
        joined.extend([3, 0]);
        assert_eq!(inflate(&joined), content);
    }
}
