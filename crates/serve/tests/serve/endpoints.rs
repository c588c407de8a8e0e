//! The distribution specification's endpoints, by their numbers. The same table is asked of CNCF's distribution among the
//! judges.

use corten_testkit::conformance::{Target, violations};

use crate::Served;

#[track_caller]
fn conforms(ends: &[&str]) {
    let served = Served::new(|_| {});
    let target = Target { place: served.place.clone(), prefix: "conformance".into() };
    let found = violations(&target, ends);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

macro_rules! endpoints {
    ($($name:ident: $($end:literal),+;)*) => {$(
        #[test]
        fn $name() {
            conforms(&[$($end),+]);
        }
    )*};
}

endpoints! {
    end_1_the_base: "end-1";
    end_2_blobs: "end-2";
    end_3_manifests: "end-3";
    end_4_uploads_begin: "end-4a", "end-4b";
    end_5_pieces: "end-5";
    end_6_uploads_end: "end-6";
    end_7_manifests_come: "end-7";
    end_8_tags: "end-8a", "end-8b";
    end_9_manifests_go: "end-9";
    end_10_blobs_go: "end-10";
    end_11_mounts: "end-11";
    end_12_referrers: "end-12a", "end-12b";
    end_13_status: "end-13";
    uploads_are_given_up: "none";
}
