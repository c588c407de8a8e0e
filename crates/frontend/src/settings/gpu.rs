//! `[gpu]`: on what the image is to run. Which GPUs there are, `corten-check` knows; here they are texts.

use corten_diagnostic::Failure;

use super::{Setting, Table};

/// `[gpu]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuSettings {
    /// Version or branch of the driver: `535.104.05`, `580`.
    pub driver: Option<Setting<String>>,
    /// Names or compute capabilities, each of which has to do; or `none` alone, for processors.
    pub gpus: Vec<Setting<String>>,
}

pub(super) fn read(table: &mut Table<'_>) -> Result<GpuSettings, Failure> {
    let driver = table.take("driver").map(|found| found.parsed(driver)).transpose()?;
    let gpus = match table.take("gpus") {
        Some(found) => found.array()?.iter().map(|item| item.parsed(gpu)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(GpuSettings { driver, gpus })
}

/// Numbers of a driver's version, and digits of each.
const PARTS: usize = 4;
const DIGITS: usize = 9;

fn driver(text: &str) -> Result<String, String> {
    let numbers = text.strip_prefix(['R', 'r']).unwrap_or(text);
    let is_number = |part: &str| (1..=DIGITS).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match numbers.split('.').all(is_number) && numbers.split('.').count() <= PARTS {
        true => Ok(text.to_owned()),
        false => Err(format!("is '{text}', expected a driver's version such as \"580.65.06\", or its branch: \"580\"")),
    }
}

fn gpu(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        false => Ok(text.to_owned()),
        true => Err(format!("is '{text}', expected the name of a GPU, such as \"H100\"")),
    }
}
