//! requirements
use super::*;
use corten_diagnostic::Failure;
use corten_package::marker::Environment;
/// includes
pub fn includes(_lock: &LockText) -> Vec<String> { todo!() }
pub(super) fn read(_lock: &LockText, _asked: &Asked, _environment: &Environment) -> Result<Resolved, Failure> { todo!() }
