//! What every provider has to be able to do.

use std::time::Duration;

use serde_json::json;

use crate::scenarios::measured::{both_checks, promoted, rejected};
use crate::scenarios::providers::{ALL, MARK, Provider, everybody, insiders};
use crate::story::tale::{When, paused, shared};
use crate::story::{Story, objects, oracle};

/// Tells the same of every provider, on two threads.
#[track_caller]
pub(super) fn each(providers: &[Provider], wrong: impl Fn(&Provider) -> Vec<String> + Sync) {
    let only = std::env::var("PROVIDER").unwrap_or_default();
    let chosen = providers.iter().filter(|it| it.name.contains(&only));
    let chosen: Vec<_> = chosen.copied().collect();
    let found = shared(&chosen, |provider| {
        let wrong = wrong(provider);
        (!wrong.is_empty()).then(|| format!("{}: {}", provider.spoken(), wrong.join("\n    ")))
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_good_release_gets_its_share_step_by_step() {
    each(&ALL, |provider| {
        paused(async {
            let checks = json!({"analysis": {"metrics": both_checks()}});
            let story = Story::adopted(1, provider.setting().with(&checks)).await;
            story.ship("2.0.0");
            story.rests().await;
            let mut wrong = promoted(&story, &[0, 10, 50, 100, 0]);
            if story.spans().len() < 3 {
                wrong.push(format!("{:?}", story.spans()));
            }
            wrong
        })
    });
}

#[test]
fn errors_are_counted_where_requests_go_and_roll_a_release_back() {
    each(&ALL, |provider| {
        paused(async {
            let story = Story::adopted(1, provider.setting()).await;
            let pods = story.pods();
            story.ship("2.0.0-errors20");
            story.rests().await;
            let mut wrong = rejected(&story, "request-success-rate");
            if story.pods() != pods {
                wrong.push(format!("Pods were {pods:?}, are {:?}", story.pods()));
            }
            wrong
        })
    });
}

#[test]
fn slow_answers_are_counted_where_requests_go_and_roll_a_release_back() {
    each(&ALL, |provider| {
        paused(async {
            let checks = json!({"analysis": {"metrics": both_checks()}});
            let story = Story::adopted(1, provider.setting().with(&checks)).await;
            story.ship("2.0.0-latency900");
            story.rests().await;
            rejected(&story, "request-duration")
        })
    });
}

/// A Canary that goes in the middle of a release takes the canary with it, and nobody else notices.
#[test]
fn a_canary_that_is_deleted_gives_everything_back() {
    each(&ALL, |provider| {
        paused(async {
            let story = Story::adopted(1, provider.setting()).await;
            let pods = story.pods();
            story.ship("2.0.0");
            story.when(When::Weight(50)).await;
            story.delete(&objects::canary_key());
            let gone = |_: &_| story.canary().is_null() && !story.has_canary();
            story.until(gone, Duration::from_secs(600)).await;
            story.quiet(Duration::from_secs(60)).await;
            let mut wrong = story.leftovers();
            let facts = [
                (story.canary().is_null(), "the Canary is still there"),
                (!story.has_canary(), "the canary is still there"),
                (story.lost() == 0, "requests were lost"),
                (story.share_lately("1.0.0", 30) >= 1.0, "not all are back"),
                (story.pods() == pods, "stable's Pods are others"),
            ];
            let broken = facts.iter().filter(|(holds, _)| !holds);
            wrong.extend(broken.map(|(_, what)| (*what).to_owned()));
            wrong.extend(oracle::breaches(&story, false));
            wrong
        })
    });
}

/// Users who mark their requests try a release alone, and are where they were before when it has ended.
#[test]
fn insiders_alone_try_a_release() {
    let able: Vec<_> = ALL.iter().filter(|it| it.matches).copied().collect();
    each(&able, |provider| {
        paused(async {
            let analysis = json!({
                "stepWeights": null, "checks": null, "iterations": 3,
                "match": [{"headers": {MARK.0: {"exact": MARK.1}}}],
            });
            let setting = provider.tried().with(&json!({"analysis": analysis}));
            let story = Story::adopted(1, setting).await;
            story.ship("2.0.0");
            let promoting = |_: &_| story.phase() == "Promoting";
            story.until(promoting, Duration::from_secs(600)).await;
            let mut wrong = Vec::new();
            if story.answered(&insiders(), "2.0.0") < 300 {
                wrong.push("insiders did not try it".to_owned());
            }
            if story.answered(&everybody(), "2.0.0") > 0 {
                wrong.push("others tried it".to_owned());
            }
            story.rests().await;
            wrong.extend(promoted(&story, &[0]));
            wrong.extend(
                story
                    .leftovers()
                    .into_iter()
                    .filter(|it| it.contains(MARK.1)),
            );
            wrong
        })
    });
}

/// The same, while everybody else follows by weight.
#[test]
fn insiders_are_ahead_of_the_weights() {
    let able: Vec<_> = ALL.iter().filter(|it| it.matches).copied().collect();
    each(&able, |provider| {
        paused(async {
            let analysis = json!({"match": [{"headers": {MARK.0: {"exact": MARK.1}}}]});
            let setting = provider.tried().with(&json!({"analysis": analysis}));
            let story = Story::adopted(1, setting).await;
            story.ship("2.0.0");
            story.when(When::Weight(50)).await;
            let before = story.answered(&insiders(), "1.0.0");
            story.quiet(Duration::from_secs(20)).await;
            let mut wrong = Vec::new();
            if story.answered(&insiders(), "1.0.0") > before {
                wrong.push("insiders were sent to stable".to_owned());
            }
            story.rests().await;
            wrong.extend(promoted(&story, &[0, 10, 50, 100, 0]));
            wrong
        })
    });
}

/// Errors that insiders alone see roll a release back, and nobody else saw any.
#[test]
fn errors_that_insiders_alone_see_reject_a_release() {
    let able: Vec<_> = ALL.iter().filter(|it| it.matches).copied().collect();
    each(&able, |provider| {
        paused(async {
            let analysis = json!({
                "stepWeights": null, "checks": null, "iterations": 3,
                "match": [{"headers": {MARK.0: {"exact": MARK.1}}}],
            });
            let setting = provider.tried().with(&json!({"analysis": analysis}));
            let story = Story::adopted(1, setting).await;
            story.ship("2.0.0-errors50");
            story.rests().await;
            let mut wrong = rejected(&story, "request-success-rate");
            if story.answered(&everybody(), "2.0.0") > 0 {
                wrong.push("others tried it".to_owned());
            }
            wrong
        })
    });
}

/// Before any share the canary answers copies, which nobody waits for.
#[test]
fn copies_are_judged_before_anybody_is_asked_to_wait_for_the_canary() {
    let able = ["istio", "contour", "kuma"];
    let able: Vec<_> = ALL
        .iter()
        .filter(|it| able.contains(&it.name))
        .copied()
        .collect();
    each(&able, |provider| {
        paused(async {
            let mirror = json!({"analysis": {"mirror": true, "mirrorWeight": 30}});
            let story = Story::adopted(1, provider.setting().with(&mirror)).await;
            story.ship("2.0.0-errors20");
            story.rests().await;
            let mut wrong = rejected(&story, "request-success-rate");
            let copied = story.copied(&everybody(), "2.0.0");
            let answered = story.answered(&everybody(), "2.0.0");
            if copied < 300 || answered > 0 {
                wrong.push(format!("{copied} copies, {answered} answers"));
            }
            wrong
        })
    });
}
