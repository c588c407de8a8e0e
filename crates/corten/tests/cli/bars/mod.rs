//! The scorecard's bars of the program: each in its short form here, whole under `cargo xtask bar`.

mod archives;
pub mod boxes;
mod builder;
mod crowd;
mod cuts;
mod damage;
mod durability;
mod escapes;
mod evil;
mod faults;
mod full;
mod kills;
mod moments;
mod races;
mod secrets;
mod served;
mod steps;
mod syncs;

use corten_testkit::registry::{FakeRegistry, Habits};

use crate::ground::Ground;

/// A service that is published to a registry, with a store that can be emptied.
pub struct Published {
    pub ground: Ground,
    pub registry: FakeRegistry,
}

impl Published {
    pub fn new() -> Self {
        let registry = FakeRegistry::start(Habits { referrers: true, mounts: true, ..Habits::default() });
        let mut published = Self { ground: Ground::new(), registry };
        published.repository("service");
        published
    }

    /// Where it is published.
    pub fn repository(&mut self, name: &str) {
        let settings = self.ground.service.settings("");
        let publish = format!("{settings}\n[publish]\nrepository = \"{}/team/{name}\"\n", self.registry.place());
        self.ground.service.write("corten.toml", publish);
    }

    /// What a registry must never show: manifests without their blobs, and clients who break its rules.
    #[track_caller]
    pub fn assert_registry(&self, when: &str) {
        assert_eq!((self.registry.torn(), self.registry.breaches()), (vec![], vec![]), "{when}");
    }
}
