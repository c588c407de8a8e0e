//! `NVIDIA_REQUIRE_CUDA`: what an image asks of the host, as the older hook of `docker run --gpus` enforces it. The
//! NVIDIA Container Toolkit in its present default mode (CDI) does not look at it.
//!
//! ```text
//! cuda>=12.8 brand=tesla,driver>=470,driver<471
//!  └ space: or ─┘        └ comma: and
//! ```

use super::data::tables;
use super::version::{CudaVersion, DriverVersion};

/// What a host is, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// Version of the driver.
    pub driver: &'a DriverVersion,
    /// `geforcertx`, `tesla`, … none: any.
    pub brands: &'a [&'a str],
}

/// Terms that are looked at; images of NVIDIA have 60.
const MOST_TERMS: usize = 1024;

/// Does the host have what is asked for? None where a term is not understood.
pub fn requirement(text: &str, host: &Host<'_>) -> Option<bool> {
    let terms: Vec<&str> = text.split_ascii_whitespace().take(MOST_TERMS).collect();
    if terms.is_empty() {
        return Some(true);
    }
    let mut met = false;
    for term in terms {
        let mut all = true;
        for condition in term.split(',') {
            all &= is_met(condition, host)?;
        }
        met |= all;
    }
    Some(met)
}

fn is_met(condition: &str, host: &Host<'_>) -> Option<bool> {
    let at = condition.find(['=', '<', '>', '!'])?;
    let (property, rest) = condition.split_at_checked(at)?;
    let end = rest.find(|c: char| !"=<>!".contains(c))?;
    let (operator, value) = rest.split_at_checked(end)?;
    match property {
        "brand" => Some((operator == "=") == (host.brands.is_empty() || host.brands.contains(&value))),
        "driver" => compare(operator, host.driver, &value.parse().ok()?),
        "cuda" => {
            let supported = supported(host.driver)?;
            let wanted = CudaVersion::parse(value)?;
            let number =
                |cuda: CudaVersion| format!("{}.{}", cuda.major, cuda.minor.unwrap_or(0)).parse::<DriverVersion>().ok();
            compare(operator, &number(supported)?, &number(wanted)?)
        }
        _ => None,
    }
}

fn compare(operator: &str, have: &DriverVersion, wanted: &DriverVersion) -> Option<bool> {
    let (at_least, at_most) = (have.is_at_least(wanted), wanted.is_at_least(have));
    Some(match operator {
        "=" => at_least && at_most,
        "!=" => !(at_least && at_most),
        ">=" => at_least,
        ">" => at_least && !at_most,
        "<=" => at_most,
        "<" => !at_least,
        _ => return None,
    })
}

/// The CUDA that `nvidia-smi` prints for a driver: the newest whose toolkit's driver is not newer.
fn supported(driver: &DriverVersion) -> Option<CudaVersion> {
    let toolkits = tables().toolkits.iter().filter(|(_, own)| driver.is_at_least(own));
    toolkits.map(|(cuda, _)| *cuda).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the image nvidia/cuda:12.8.1-base.
    const OF_12_8: &str = "cuda>=12.8 brand=unknown,driver>=470,driver<471 brand=tesla,driver>=470,driver<471 brand=tesla,driver>=535,driver<536 brand=tesla,driver>=550,driver<551";

    #[test]
    fn a_space_is_or_and_a_comma_is_and() {
        let met = |driver: &str, brand: &str| {
            requirement(OF_12_8, &Host { driver: &driver.parse().unwrap(), brands: &[brand] })
        };
        assert_eq!([met("570.26", "geforcertx"), met("580.65.06", "tesla")], [Some(true), Some(true)]);
        assert_eq!([met("535.104.05", "tesla"), met("535.104.05", "geforcertx")], [Some(true), Some(false)]);
        assert_eq!([met("545.23.06", "tesla"), met("560.35.03", "geforce")], [Some(false), Some(false)]);
        let plain = |text| requirement(text, &Host { driver: &"550.54.14".parse().unwrap(), brands: &[] });
        assert_eq!(
            [plain(""), plain("cuda>=12.4"), plain("cuda>12.4"), plain("cuda<12.5,driver!=550.54.14")],
            [Some(true), Some(true), Some(false), Some(false)]
        );
        assert_eq!(
            [plain("arch>=7.5"), plain("é"), plain("driver>=x"), plain("cuda>="), plain("=")],
            [None, None, None, None, None]
        );
    }
}
