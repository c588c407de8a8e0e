//! Signals, by name or number, as STOPSIGNAL takes them.

/// Is there such a signal?
pub(super) fn is_signal(text: &str) -> bool {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let capitals = text.to_ascii_uppercase();
    let bare = capitals.strip_prefix("SIG").unwrap_or(&capitals);
    NAMES.contains(&bare) || ["CLD", "IOT", "POLL"].contains(&bare) || bare.starts_with("RTM")
}
