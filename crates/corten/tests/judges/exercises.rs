//! docs/exercises.md: its blocks are run, in their order, with a registry.

use std::fs;
use std::process::Stdio;

use crate::guides::{certificates, dockerfiles, python};
use crate::place::{ended, new_folder, path, running, said, until};

#[test]
fn the_page_of_exercises_does_what_it_says() {
    if crate::place::debian("git").is_none() {
        return;
    }
    python();
    let folder = new_folder("exercises");
    if certificates().is_some() {
        // The base with this machine's certificates, by the user's word.
        fs::write(folder.join("corten.toml"), "[base.aliases]\n\"python:3.11-slim\" = \"guides-python:1\"\n").unwrap();
    }
    let page = include_str!("../../../../docs/exercises.md");
    let blocks: Vec<&str> = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() > 8, "{}", blocks.len());
    let registry = Registry::start();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_corten")).parent().unwrap();
    let mut shell = dockerfiles(&[]);
    let home = shell.get_envs().find(|(name, _)| *name == "CORTEN_HOME").unwrap().1.unwrap().to_owned();
    shell = crate::place::command(std::path::Path::new("bash"), ["-euo", "pipefail", "-c", &blocks.join("\n")]);
    shell.current_dir(&folder).env("CORTEN_HOME", home).env("REGISTRY", &registry.address);
    shell.env("PATH", format!("{}:{}", program.display(), path()));
    let output = ended(&mut shell);
    assert!(output.status.success(), "{}\n{}", output.status, said(&output));
    assert_eq!(fs::read_to_string(folder.join("results/out.txt")).unwrap(), "3.0\n6.0\n");
    let bill: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("sbom.spdx.json")).unwrap()).unwrap();
    let names: Vec<_> = bill["packages"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"fastapi") && names.contains(&"libc6"), "{names:?}");
}

/// `corten registry serve` of a store of its own.
struct Registry {
    process: std::process::Child,
    address: String,
}

impl Registry {
    fn start() -> Self {
        let log = new_folder("exercises-registry");
        let mut command = dockerfiles(&["registry", "serve", "--listen", "127.0.0.1:0"]);
        command.env("CORTEN_HOME", log.join("home"));
        let out = fs::File::create(log.join("said")).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let process = command.spawn().unwrap();
        fs::write(running("exercises-registry"), process.id().to_string()).unwrap();
        let address = until("the registry", || {
            let said = fs::read_to_string(log.join("said")).unwrap();
            Ok(said.find("127.0.0.1:").and_then(|at| {
                let port: String = said[at + 10..].chars().take_while(char::is_ascii_digit).collect();
                said[at..].contains('\n').then(|| format!("127.0.0.1:{port}"))
            }))
        });
        Self { process, address: address.unwrap() }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
