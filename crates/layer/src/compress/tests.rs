use std::io::Read;

use super::*;

fn content(size: usize) -> Vec<u8> {
    (0..size as u32).map(|at| (at.wrapping_mul(at >> 7) >> 13) as u8 & 0x3f).collect()
}

fn compressed(method: Method, content: &[u8], threads: usize, step: usize) -> Vec<u8> {
    let mut compressor = Compressor::with_threads(Vec::new(), method, NonZeroUsize::new(threads).unwrap());
    content.chunks(step).for_each(|part| compressor.write_all(part).unwrap());
    compressor.finish().unwrap()
}

/// Exactly one member or any number of frames, and nothing behind them.
fn decompressed(method: Method, mut blob: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match method {
        Method::Gzip => {
            let mut decoder = flate2::bufread::GzDecoder::new(blob);
            decoder.read_to_end(&mut content).unwrap();
            blob = decoder.into_inner();
            assert!(blob.is_empty(), "one gzip member and no more");
        }
        Method::Zstd => content = zstd::decode_all(blob).unwrap(),
    }
    content
}

#[test]
fn sizes_around_a_piece_come_back() {
    let whole = content(8 * ZSTD_PIECE / 3);
    for method in [Method::Gzip, Method::Zstd] {
        let piece = Compressor::new(Vec::new(), method).piece_size();
        for size in [0, 1, 511, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 7] {
            let blob = compressed(method, &whole[..size], 2, 100_000);
            assert!(decompressed(method, &blob) == whole[..size], "{method:?}, {size} bytes");
        }
    }
}

#[test]
fn neither_threads_nor_the_size_of_writes_change_a_byte() {
    let whole = content(3 * ZSTD_PIECE + 12_345);
    for method in [Method::Gzip, Method::Zstd] {
        let one = compressed(method, &whole, 1, 1 << 20);
        for (threads, step) in [(2, 4096), (7, 999_983), (64, usize::MAX)] {
            assert!(compressed(method, &whole, threads, step) == one, "{method:?} with {threads} threads");
        }
        assert!(one.len() < whole.len() && decompressed(method, &one) == whole);
    }
}

#[test]
fn content_that_cannot_be_compressed_hardly_grows() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::new();
    while noise.len() < 2 * GZIP_PIECE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    for method in [Method::Gzip, Method::Zstd] {
        let blob = compressed(method, &noise, 2, 1 << 16);
        assert!(blob.len() < noise.len() + noise.len() / 1000 + 100, "{method:?}: {} bytes", blob.len());
        assert!(decompressed(method, &blob) == noise);
    }
}

/// A sink that has no more space.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_sink_is_an_error_and_stops_the_threads() {
    let whole = content(3 * ZSTD_PIECE);
    for method in [Method::Gzip, Method::Zstd] {
        let mut compressor = Compressor::with_threads(Full(1000), method, NonZeroUsize::new(3).unwrap());
        let written = compressor.write_all(&whole).and_then(|()| compressor.finish().map(drop));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull, "{method:?}");
    }
}
