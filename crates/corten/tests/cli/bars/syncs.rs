//! R6: a sync that fails is never a success, and leaves a store that the next run goes on with.

use corten_testkit::bar::Bar;

use super::Published;
use crate::ground::{Traced, assert_same, assert_swept, contents, not_run};
use crate::service::digest;

const SYNCS: [&str; 3] = ["fsync", "fdatasync", "syncfs"];
const SHIP: &str = "ship --push --format json";

#[test]
fn r6_each_sync_fails() {
    let bar = Bar::begin("R6");
    let published = Published::new();
    let ground = &published.ground;
    let (shipped, store) = (digest(&ground.run(SHIP)), contents(ground.home.path()));
    let ship = |inject: Option<&str>| {
        ground.empty();
        Traced::run(&ground.corten, &ground.service.folder(), SHIP, &SYNCS, inject)
    };
    let Some(whole) = ship(None) else { return not_run("strace is not installed") };
    let mut points: Vec<_> = whole.steps.clone();
    points.sort();
    points.dedup();
    let mut random = bar.random();
    for _ in bar.length(4, points.len())..points.len() {
        points.remove(random.below(points.len()));
    }
    let (mut failed, mut lies) = (0, 0);
    for (call, when) in &points {
        let inject = format!("{call}:error=EIO:when={when}");
        let run = ship(Some(&inject)).unwrap();
        // Threads share the work as they like, so that a call may not come this time.
        if !run.steps.iter().any(|(name, count)| name == call && count == when) {
            continue;
        }
        failed += 1;
        if run.ran.status == 0 {
            lies += 1;
            println!("{inject}: a success");
            continue;
        }
        assert_eq!(run.ran.status, 3, "{inject}: {}", run.ran.stderr);
        assert!(run.ran.stderr.contains("error (os error 5)"), "{inject}: {}", run.ran.stderr);
        assert_eq!(ground.run("store verify").status, 0, "{inject}");
        assert_eq!(digest(&ground.run(SHIP)), shipped, "{inject}");
        assert_swept(ground.home.path(), &ground.service.folder());
        assert_same(&contents(ground.home.path()), &store);
        published.assert_registry(&inject);
    }
    assert!(failed > 0, "no call failed");
    bar.finish(format!("{lies} of {failed}"), lies == 0);
}
