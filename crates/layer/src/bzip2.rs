//! bzip2, for archives that ADD unpacks.

use std::io::{self, BufReader, Read};

use bzip2::read::MultiBzDecoder;

/// Decompresses all streams of a source, one behind the other.
///
/// # Errors
/// None now; reading gives the source's and those of a stream that is none.
pub fn reader<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(Box::new(MultiBzDecoder::new(BufReader::with_capacity(1 << 16, source))))
}
