use super::*;

fn debian(text: &str) -> bool {
    let environment = Environment::new("3.11.2", Architecture::Amd64);
    text.parse::<Marker>().unwrap().evaluate(&environment, &Asked::default())
}

/// Answers by hand from PEP 508; the same as those of `packaging` 26 for this environment.
#[test]
fn evaluates_as_pep_508_says() {
    for (marker, answer) in [
        ("sys_platform == 'linux'", true),
        ("sys_platform != \"linux\"", false),
        ("os_name == 'posix' and platform_system == 'Linux'", true),
        ("sys_platform == 'win32' or sys_platform == 'linux' and platform_machine == 'x86_64'", true),
        ("(sys_platform == 'win32' or sys_platform == 'linux') and platform_machine == 'aarch64'", false),
        ("python_version >= '3.9'", true),
        ("python_version < '3.9'", false),
        ("'3.9' <= python_version", true),
        ("'3.12' <= python_version", false),
        ("python_version == '3.11'", true),
        ("python_version == '3.11.*'", true),
        ("python_full_version == '3.11.*'", true),
        ("python_full_version > '3.11.2'", false),
        ("python_full_version >= '3.11.2' and python_full_version < '3.11.3'", true),
        ("python_version ~= '3.8'", true),
        ("python_version === '3.11'", true),
        ("python_version in '3.10, 3.11'", true),
        ("python_version not in '3.10,3.12'", true),
        ("platform_python_implementation == 'CPython' and implementation_name == 'cpython'", true),
        ("implementation_version >= '3.11'", true),
        ("'linux' in sys_platform", true),
        ("sys_platform not in 'win32 darwin'", true),
        ("platform_machine > 'a'", false),
        ("platform_machine >= 'x86_64'", true),
        ("platform_machine ~= 'x86_64'", false),
        ("os.name == 'posix' and python_implementation == 'CPython'", true),
        ("platform_release >= '5.0'", false),
        ("extra == 'test'", false),
        ("extra != 'test'", true),
        ("'test' in extras", false),
        ("'test' not in dependency_groups", true),
        ("platform_machine in 'x86_64 aarch64'", true),
    ] {
        assert_eq!(debian(marker), answer, "{marker}");
    }
}

#[test]
fn extras_and_groups_are_sets_of_normal_names() {
    let name = |text: &str| PackageName::new(text).unwrap();
    let asked = Asked { extras: [name("gpu"), name("extra-8-nanochat-cpu")].into(), groups: [name("web-app")].into() };
    let environment = Environment::new("3.12.0", Architecture::Arm64);
    for (marker, answer) in [
        ("extra == 'GPU'", true),
        ("'gpu' in extras and extra != 'cpu'", true),
        ("extra == 'extra-8-nanochat-cpu' and extra != 'extra-8-nanochat-gpu'", true),
        ("\"web_app\" in dependency_groups", true),
        ("\"gpu\" in dependency_groups", false),
        ("platform_machine == 'aarch64' and extra == 'gpu'", true),
    ] {
        assert_eq!(marker.parse::<Marker>().unwrap().evaluate(&environment, &asked), answer, "{marker}");
    }
}

#[test]
fn refuses_what_is_no_marker() {
    let deep = format!("{}os_name == 'a'{}", "(".repeat(10_000), ")".repeat(10_000));
    for text in [
        "",
        "os_name",
        "os_name ==",
        "os_name == 'a",
        "os_name = 'a'",
        "(os_name == 'a'",
        "os_name == 'a')",
        "nope == 'a'",
        "os_name == 'a' and",
        "os_name == 'a' os_name == 'b'",
        "'a' == 'b'",
        "os_name == sys_platform",
        "os_name not 'a'",
        "os_name == 'a' xor os_name == 'b'",
        &deep,
    ] {
        assert!(text.parse::<Marker>().is_err(), "{text:?}");
    }
}

#[test]
fn prints_what_it_means() {
    for text in [
        "os_name == 'a' and (extra == 'b' or extra == \"c'\")",
        "'a' not in extras",
        "(os_name == 'a' and os_name == 'b') or extra == 'c'",
    ] {
        let marker: Marker = text.parse().unwrap();
        assert_eq!(marker.to_string().parse::<Marker>().unwrap(), marker);
    }
}

#[test]
fn equivalence_is_that_of_meaning() {
    let same = |left: &str, right: &str| left.parse::<Marker>().unwrap().is_equivalent(&right.parse().unwrap());
    for (left, right) in [
        ("python_version >= '3.10'", "python_full_version >= '3.10'"),
        ("python_version > '3.10'", "python_full_version >= '3.11'"),
        ("python_version <= '3.10'", "python_full_version < '3.11'"),
        ("python_version == '3.10'", "python_full_version == '3.10.*'"),
        ("os_name == 'nt' or extra == 'a'", "extra == \"a\" or os_name == \"nt\""),
        (
            "sys_platform == 'linux' and (platform_machine == 'a' or platform_machine == 'b')",
            "(platform_machine == 'a' and sys_platform == 'linux') or (platform_machine == 'b' and sys_platform == 'linux')",
        ),
        ("python_version in '3.9'", "python_version == '3.9'"),
        ("platform_system == 'Linux' and platform_system != 'Darwin'", "sys_platform == 'linux'"),
        ("os_name == 'nt' or platform_system == 'Darwin'", "sys_platform == 'darwin' or sys_platform == 'win32'"),
    ] {
        assert!(same(left, right), "{left} = {right}");
    }
    for (left, right) in [
        ("python_version >= '3.10'", "python_version > '3.10'"),
        ("python_full_version >= '3.10.1'", "python_version >= '3.10'"),
        ("platform_machine == 'a'", "platform_machine != 'b'"),
        ("os_name == 'nt' or extra == 'a'", "os_name == 'nt' and extra == 'a'"),
        ("extra == 'a'", "extra == 'b'"),
        ("sys_platform == 'linux'", "sys_platform == 'Linux'"),
    ] {
        assert!(!same(left, right), "{left} ≠ {right}");
    }
}

#[test]
fn unions_are_compared_within_the_supported_pythons() {
    let read = |text: &str| text.parse::<Marker>().unwrap();
    let python = ">=3.10".parse::<Specifiers>().unwrap();
    let (old, linux, other) =
        (read("python_version >= '3.9'"), read("sys_platform == 'linux'"), read("sys_platform != 'linux'"));
    assert!(same_union(&[Some(&old)], &[None], &python));
    assert!(!same_union(&[Some(&old)], &[None], &Specifiers::default()));
    assert!(same_union(&[Some(&linux), Some(&other)], &[None], &python));
    assert!(!same_union(&[Some(&linux)], &[None], &python));
    assert!(same_union(&[], &[Some(&read("python_version < '3.10'"))], &python));
    assert!(!same_union(&[], &[None], &python));
}
