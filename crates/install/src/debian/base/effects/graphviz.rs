//! Graphviz draws only what its list of plugins names, and `dot -c` makes that list by loading them all. Ours is what
//! it makes of the plugins that Debian has, per version; another version, or other plugins, are refused.

use corten_oci::LayerPath;

use crate::debian::base::{BaseError, Making};

/// The package that has the program.
pub(super) const PACKAGE: &str = "graphviz";
/// Whose scripts run it.
pub(super) const PACKAGES: [&str; 2] = ["graphviz", "libgvc6"];

/// Upstream's versions, of Debian 12 and 13, of which [`CONFIGURATION`] is what `dot -c` writes.
const KNOWN: [&str; 2] = ["2.42.2", "2.42.4"];
const CONFIGURATION: &str = include_str!("graphviz.txt");

impl Making<'_> {
    pub(super) fn make_graphviz_configuration(&mut self) -> Result<(), BaseError> {
        let refuse = |why: &str| BaseError::Script {
            package: PACKAGE.to_owned(),
            script: "postinst",
            why: format!("`dot -c` would have to run, and no output format works without: {why}"),
        };
        let Some(library) = self.package("libgvc6") else { return Err(refuse("libgvc6 is not there")) };
        let version = library.control.get("Version").unwrap_or_default();
        let upstream = version.split('-').next().unwrap_or_default();
        if !KNOWN.contains(&upstream) {
            return Err(refuse(&format!("its version {upstream} is not known")));
        }
        let folder = format!("usr/lib/{}/graphviz", self.options.architecture.triplet());
        let named = CONFIGURATION.lines().filter(|line| line.starts_with("libgvplugin_"));
        let named: Vec<&str> = named.filter_map(|line| line.split(' ').next()).collect();
        let there = self.plugins(&folder);
        if there != named {
            return Err(refuse(&format!("its plugins are {}", there.join(" "))));
        }
        self.file(&format!("{folder}/config6a"), 0o644, CONFIGURATION, PACKAGE)
    }

    /// `libgvplugin_core.so.6` and the like, sorted.
    fn plugins(&self, folder: &str) -> Vec<String> {
        let folder = LayerPath::new(folder).unwrap_or_default();
        let names = self.tree.children(&folder).filter_map(|(path, _)| std::str::from_utf8(path.name()).ok());
        names.filter(|name| name.starts_with("libgvplugin_") && name.ends_with(".so.6")).map(str::to_owned).collect()
    }
}
