//! Two controllers: one leads at a time, the other takes over, and who comes back late changes nothing (SAFETY P1, F8).

use std::sync::Arc;
use std::time::Duration;

use serin::sim::store::Key;

use crate::story::door::Door;
use crate::story::oracle::state::by_serin;
use crate::story::setting::Setting;
use crate::story::tale::paused;
use crate::story::{Story, oracle};

/// Two controllers that stand for election, and the ways on which they do.
fn rivals(story: &mut Story) -> [Arc<Door>; 2] {
    ["serin-a", "serin-b"].map(|name| {
        let door = Arc::new(Door::new(&story.world.api));
        story.stand(name, &door);
        door
    })
}

fn lease() -> Key {
    Key::new("coordination.k8s.io", "leases", "serin-system", "serin")
}

fn holder(story: &Story) -> String {
    let lease = story.world.api.get(&lease());
    let holder = lease.map(|it| it["spec"]["holderIdentity"].clone());
    holder
        .unwrap_or_default()
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Freezes whoever leads, at each moment of a release, for longer than the lease, and thaws it in the other's term.
async fn frozen_at(seconds: u64) -> Vec<String> {
    let mut story = Story::new(1, Setting::usual());
    let doors = rivals(&mut story);
    story.becomes("Initialized").await;
    story.quiet(Duration::from_secs(60)).await;
    let first = holder(&story);
    story.ship("2.0.0");
    story.quiet(Duration::from_secs(seconds)).await;
    let frozen = usize::from(first == "serin-b");
    doors[frozen].freeze(true);
    story.quiet(Duration::from_secs(40)).await;
    let mut wrong = Vec::new();
    if holder(&story) == first {
        wrong.push("nobody took over".to_owned());
    }
    doors[frozen].freeze(false);
    story.becomes("Succeeded").await;
    story.quiet(Duration::from_secs(60)).await;
    wrong.extend(oracle::breaches(&story, false));
    if story.weights() != [0, 10, 50, 100, 0] {
        wrong.push(format!("weights {:?}", story.weights()));
    }
    if story.has_canary() || story.lost() > 0 {
        wrong.push(format!("{} requests lost", story.lost()));
    }
    wrong
}

#[test]
fn a_frozen_leader_that_thaws_changes_nothing() {
    let wrong: Vec<_> = (0..90)
        .step_by(3)
        .map(|seconds| (seconds, paused(frozen_at(seconds))))
        .filter(|(_, wrong)| !wrong.is_empty())
        .collect();
    assert!(wrong.is_empty(), "frozen after so many seconds: {wrong:#?}");
}

/// A removal takes the lease with it, and the terms are counted anew: lower than that in which the Canary was written last.
#[test]
fn a_deleted_lease_stops_no_release() {
    paused(async {
        let mut story = Story::new(1, Setting::usual());
        let doors = rivals(&mut story);
        story.becomes("Initialized").await;
        story.quiet(Duration::from_secs(60)).await;
        let first = usize::from(holder(&story) == "serin-b");
        doors[first].freeze(true);
        story.quiet(Duration::from_secs(40)).await;
        story.ship("2.0.0");
        story.becomes("Succeeded").await;
        story.quiet(Duration::from_secs(60)).await;
        story.delete(&lease());
        story.ship("3.0.0");
        story.quiet(Duration::from_secs(600)).await;
        assert_eq!(story.weights(), [0, 10, 50, 100, 0, 10, 50, 100, 0]);
    });
}

#[test]
fn the_standby_writes_nothing() {
    paused(async {
        let mut story = Story::new(1, Setting::usual());
        let doors = rivals(&mut story);
        story.becomes("Initialized").await;
        story.quiet(Duration::from_secs(60)).await;
        let standby = usize::from(holder(&story) == "serin-a");
        let before = doors[standby].calls();
        story.ship("2.0.0");
        story.becomes("Succeeded").await;
        assert_eq!(doors[standby].calls(), before);
    });
}

#[test]
fn at_rest_nothing_is_asked_and_nothing_written() {
    paused(async {
        let mut story = Story::new(1, Setting::usual());
        let door = Arc::new(Door::new(&story.world.api));
        story.walk(&door);
        story.becomes("Initialized").await;
        story.ship("2.0.0");
        story.becomes("Succeeded").await;
        story.quiet(Duration::from_secs(600)).await;
        let (calls, written) = (door.calls(), story.events().len());
        story.quiet(Duration::from_secs(3600)).await;
        assert_eq!(door.calls(), calls, "calls in an hour");
        let news = &story.events()[written..];
        assert_eq!(news.iter().filter(|event| by_serin(event)).count(), 0);

        // Another controller that starts from nothing finds nothing to do.
        story.kill();
        story.start(None, Duration::ZERO);
        let written = story.events().len();
        story.quiet(Duration::from_secs(600)).await;
        let news = &story.events()[written..];
        assert_eq!(news.iter().filter(|event| by_serin(event)).count(), 0);
    });
}

#[test]
fn a_canary_that_comes_and_goes_moves_no_pod() {
    paused(async {
        let story = Story::adopted(1, Setting::usual()).await;
        let pods = || {
            let pods = story.world.api.list("", "pods", Some("shop"));
            let uids = pods.iter().map(|(_, pod)| pod["metadata"]["uid"].clone());
            uids.collect::<Vec<_>>()
        };
        let before = pods();
        assert_eq!(before.len(), 3);
        story.delete(&crate::story::tale::canary_key());
        story.quiet(Duration::from_secs(120)).await;
        assert!(story.canary().is_null());
        assert_eq!(pods(), before);
        assert_eq!(story.lost(), 0);
    });
}
