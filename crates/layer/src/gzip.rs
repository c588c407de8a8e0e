//! gzip, and compressed layers of any kind, as streams.
//!
//! Every member of a gzip file and every frame of a zstd file is read; what is truncated, or followed by anything
//! else, is an error: two readers that stop at different places would see two layers.

use std::io::{self, BufReader, Read};

use corten_oci::MediaType;
use flate2::bufread::MultiGzDecoder;

const BUFFER: usize = 128 << 10;
/// Largest window of a zstd frame, as a power of two: 128 MiB, what `zstd` takes without `--long`.
const WINDOW_LOG: u32 = 27;

/// Uncompresses a layer blob by its media type (gzip: every member; zstd; plain).
///
/// How much comes out is the caller's to bound.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] for media types that are no layer's.
pub fn reader<'a>(media_type: &MediaType, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    match media_type.0.as_str() {
        MediaType::LAYER_GZIP | MediaType::DOCKER_LAYER_GZIP => Ok(gunzip(source)),
        MediaType::LAYER_ZSTD | MediaType::DOCKER_LAYER_ZSTD => unzstd(source),
        MediaType::LAYER | MediaType::DOCKER_LAYER => Ok(Box::new(BufReader::with_capacity(BUFFER, source))),
        other => Err(io::Error::new(io::ErrorKind::Unsupported, format!("'{other}' is not the media type of a layer"))),
    }
}

pub(crate) fn gunzip<'a>(source: impl Read + 'a) -> Box<dyn Read + 'a> {
    Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, source)))
}

pub(crate) fn unzstd<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut decoder = zstd::Decoder::new(Source { source, has_failed: false })?;
    decoder.window_log_max(WINDOW_LOG)?;
    Ok(Box::new(Frames(decoder)))
}

/// Compressed bytes, and whether it was they that could not be read.
struct Source<R> {
    source: R,
    has_failed: bool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer);
        self.has_failed |= read.is_err();
        read
    }
}

/// Has errors of the kinds that gunzip has.
struct Frames<'a, R: Read>(zstd::Decoder<'a, BufReader<Source<R>>>);

impl<R: Read> Read for Frames<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match self.0.get_ref().get_ref().has_failed {
            true => error,
            // The library says "other" of all that it does not understand.
            false if error.kind() == io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
            false => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(media_type: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        reader(&media_type.into(), bytes)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn check(media_type: &str, once: &[u8]) {
        assert_eq!(read(media_type, once).unwrap(), b"abc");
        assert_eq!(read(media_type, &[once, once].concat()).unwrap(), b"abcabc");
        assert!(read(media_type, &[once, b"garbage"].concat()).is_err());
        for end in 1..once.len() {
            assert!(read(media_type, &once[..end]).is_err(), "{media_type} cut at {end}");
        }
        let mut changed = once.to_vec();
        let last = changed.len() - 6;
        changed[last] ^= 1;
        assert!(read(media_type, &changed).is_err(), "{media_type} changed");
    }

    #[test]
    fn members_and_frames_are_read_to_their_end() {
        check(MediaType::LAYER_GZIP, &gzip(b"abc"));
        check(MediaType::DOCKER_LAYER_GZIP, &gzip(b"abc"));
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(b"abc").unwrap();
        let zstd = encoder.finish().unwrap();
        check(MediaType::LAYER_ZSTD, &zstd);
        check(MediaType::DOCKER_LAYER_ZSTD, &zstd);
        assert_eq!(read(MediaType::DOCKER_LAYER, b"abc").unwrap(), b"abc");
        assert!(read(MediaType::LAYER_GZIP, b"").is_err());
        assert!(read(MediaType::MANIFEST, b"{}").is_err());
    }

    /// Bytes that are no layer are so in each form; what cannot be read says so itself.
    #[test]
    fn wrong_bytes_and_a_source_that_fails_are_told_apart() {
        struct Fails(io::ErrorKind);
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
        }
        use io::ErrorKind::{InvalidData, InvalidInput, Other, TimedOut, UnexpectedEof};
        let zstd = zstd::encode_all(&[7; 100_000][..], 3).unwrap();
        for (media_type, whole) in [(MediaType::LAYER_GZIP, gzip(&[7; 100_000])), (MediaType::LAYER_ZSTD, zstd)] {
            for (at, bit) in (0..whole.len()).flat_map(|at| [(at, 1), (at, 0x80)]) {
                let mut bytes = whole.clone();
                bytes[at] ^= bit;
                if let Err(error) = read(media_type, &bytes) {
                    let kind = error.kind();
                    assert!([InvalidData, InvalidInput, UnexpectedEof].contains(&kind), "{media_type} {at}: {kind}");
                }
            }
            for kind in [Other, TimedOut] {
                let source = whole[..12].chain(Fails(kind));
                let error = reader(&media_type.into(), source).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
                assert_eq!(error.kind(), kind, "{media_type}");
            }
        }
    }

    #[test]
    fn a14_zstd_windows_over_the_limit_are_refused() {
        // Magic, frame header with a window of 2^31, one empty last raw block (RFC 8878, 3.1.1).
        let bytes = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00];
        assert!(read(MediaType::LAYER_ZSTD, &bytes).is_err());
        let fits = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (20 - 10) << 3, 0x01, 0x00, 0x00];
        assert_eq!(read(MediaType::LAYER_ZSTD, &fits).unwrap(), b"");
    }
}
