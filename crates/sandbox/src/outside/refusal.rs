//! Why a kernel refuses user namespaces, and what to do about it.

use std::fs;

use crate::trouble::Trouble;

/// Namespaces were refused: names the setting.
pub(super) fn of_namespaces(trouble: Trouble) -> Trouble {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok();
    let filter = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nSeccomp:\t2"));
    hints(&read, filter).into_iter().fold(trouble, Trouble::hint)
}

/// A later step was refused although the namespaces were made: AppArmor does that.
pub(super) fn explain(trouble: Trouble) -> Trouble {
    let setting = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    if trouble.refused && setting.is_ok_and(|value| value.trim() == "1") {
        return trouble.hint(APPARMOR);
    }
    trouble
}

const APPARMOR: &str = "AppArmor keeps user namespaces from programs without a profile (kernel.apparmor_restrict_unprivileged_userns = 1): run as root, give corten a profile that has `userns,`, or `sysctl kernel.apparmor_restrict_unprivileged_userns=0`";

fn hints(read: &dyn Fn(&str) -> Option<String>, filter: bool) -> Vec<String> {
    let is = |name: &str, bad: &str| read(name).is_some_and(|value| value.trim() == bad);
    let mut hints = Vec::new();
    if is("user/max_user_namespaces", "0") {
        hints.push(
            "user namespaces are switched off (user.max_user_namespaces = 0): `sysctl user.max_user_namespaces=15000`"
                .to_owned(),
        );
    }
    if is("kernel/unprivileged_userns_clone", "0") {
        hints.push("only root may make user namespaces here (kernel.unprivileged_userns_clone = 0): run as root, or `sysctl kernel.unprivileged_userns_clone=1`".to_owned());
    }
    if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        hints.push(APPARMOR.to_owned());
    }
    if filter {
        hints.push("this process is itself behind a system call filter, as in a container: start that container so that it may make namespaces (docker: --security-opt seccomp=unconfined)".to_owned());
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_named_with_what_to_do() {
        for (name, bad) in [
            ("user/max_user_namespaces", "0"),
            ("kernel/unprivileged_userns_clone", "0"),
            ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ] {
            let read = |asked: &str| (asked == name).then(|| format!("{bad}\n"));
            let hints = hints(&read, false);
            assert_eq!(hints.len(), 1, "{name}");
            assert!(hints[0].contains(&name.replace('/', ".")), "{hints:?}");
        }
        assert!(hints(&|_| Some("15000\n".into()), false).is_empty());
        assert_eq!(hints(&|_| None, true).len(), 1);
    }
}
