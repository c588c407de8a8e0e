//! The names of capabilities (capabilities(7)), in the order of their numbers.

use crate::sandbox::Capabilities;

const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

impl Capabilities {
    /// One capability, or all of them, by its name as docker takes it: `NET_ADMIN`, `cap_net_admin`, `all`. `None`: there is no such.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("cap_").unwrap_or(&name);
        if name == "all" {
            return Some(Self::ALL);
        }
        NAMES.iter().position(|known| *known == name).map(|number| Self(1 << number))
    }

    /// The names that [`Self::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }

    /// These and those.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These without those.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_gives_is_what_it_names() {
        let usual = [
            "CHOWN",
            "DAC_OVERRIDE",
            "FSETID",
            "FOWNER",
            "MKNOD",
            "NET_RAW",
            "SETGID",
            "SETUID",
            "SETFCAP",
            "SETPCAP",
            "NET_BIND_SERVICE",
            "SYS_CHROOT",
            "KILL",
            "AUDIT_WRITE",
        ];
        let sum =
            usual.iter().filter_map(|name| Capabilities::named(name)).fold(Capabilities::NONE, Capabilities::with);
        assert_eq!(sum, Capabilities::CONTAINER);
        assert_eq!(Capabilities::named("cap_sys_admin"), Some(Capabilities(1 << Capabilities::SYS_ADMIN)));
        assert_eq!(Capabilities::named("Sys_Ptrace"), Some(Capabilities(1 << Capabilities::SYS_PTRACE)));
        assert_eq!(Capabilities::named("fly"), None);
    }
}
