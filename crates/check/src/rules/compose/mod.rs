//! Rules about compose files: what a stack for machine learning needs, and what nobody should deploy.

mod depends_on;
mod docker_socket;
mod gpu;
mod gpu_missing;
mod password;
mod privileged;
mod services;
mod shm;
mod version;

#[cfg(test)]
mod tests;

use crate::rules::Rule;

/// By number.
pub(super) const RULES: [Rule; 8] = [
    shm::RULE,
    gpu::RULE,
    version::RULE,
    password::RULE,
    privileged::RULE,
    docker_socket::RULE,
    depends_on::RULE,
    gpu_missing::RULE,
];
