//! Decompressors of .deb members and archive indexes: xz, gzip, zstd, by name.

use std::io::{self, BufReader, Read};

use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use crate::gzip;

/// Bytes that an xz stream may make us keep: `xz -9` wants 65 MiB.
const MEMORY_LIMIT: u64 = 96 << 20;

/// Decompresses by file name ending (`.xz`, `.gz`, `.zst`, else as is), with a memory cap.
///
/// How much comes out is the caller's to bound. Whatever is truncated, or followed by something else, is an error.
///
/// # Errors
/// When a decompressor cannot be made. A stream that wants more than 96 MiB (xz) or 128 MiB (zstd) fails on reading.
pub fn reader<'a>(name: &str, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    match name.rsplit('.').next() {
        Some("xz") => {
            let stream = Stream::new_stream_decoder(MEMORY_LIMIT, CONCATENATED).map_err(io::Error::other)?;
            Ok(Box::new(XzDecoder::new_stream(source, stream)))
        }
        Some("gz") => Ok(gzip::gunzip(source)),
        Some("zst") => gzip::unzstd(source),
        _ => Ok(Box::new(BufReader::new(source))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use liblzma::write::XzEncoder;
    use std::io::Write;

    fn xz(content: &[u8]) -> Vec<u8> {
        let mut encoder = XzEncoder::new(Vec::new(), 6);
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        reader(name, bytes)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn the_name_decides() {
        let content = b"some text ".repeat(1000);
        assert_eq!(read("data.tar.xz", &xz(&content)).unwrap(), content);
        assert_eq!(read("data.tar.zst", &zstd::encode_all(content.as_slice(), 3).unwrap()).unwrap(), content);
        assert_eq!(read("data.tar", &content).unwrap(), content);
    }

    #[test]
    fn streams_are_read_to_their_end() {
        let once = xz(b"abc");
        assert_eq!(read("a.xz", &[once.clone(), once.clone()].concat()).unwrap(), b"abcabc");
        assert!(read("a.xz", &[once.clone(), b"garbage".to_vec()].concat()).is_err());
        for end in 0..once.len() {
            assert!(read("a.xz", &once[..end]).is_err(), "cut at {end}");
        }
        let mut changed = once;
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        assert!(read("a.xz", &changed).is_err());
    }

    #[test]
    fn dictionaries_over_the_limit_are_refused() {
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        options.dict_size(1 << 30);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        // The encoder would take gigabytes: only the header's dictionary size is raised, and its CRC made to fit.
        let mut bytes = xz(b"abc");
        let properties = bytes[12..].windows(2).position(|pair| pair == [0x21, 0x01]).unwrap() + 14;
        bytes[properties] = 38;
        let length = (usize::from(bytes[12]) + 1) * 4;
        let crc = crc32fast::hash(&bytes[12..12 + length - 4]).to_le_bytes();
        bytes[12 + length - 4..12 + length].copy_from_slice(&crc);
        let error = read("a.xz", &bytes).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
