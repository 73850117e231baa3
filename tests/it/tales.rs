//! Whole releases in virtual time: the real controller on the embedded cluster, under the invariants of SAFETY.

use std::time::Duration;

use serde_json::json;

use crate::story::Story;
use crate::story::crash::Crash;
use crate::story::setting::Setting;
use crate::story::tale::When::{After, Now, Phase, Rolling, Waiting, Weight};
use crate::story::tale::{End, Tale, canary_key, route_key, run, target};

const PROMOTED: End = End {
    phase: "Succeeded",
    outcomes: &["Promoted"],
    ran: &["1.0.0", "2.0.0"],
    weights: Some(&[0, 10, 50, 100, 0]),
    losses: false,
};

const REJECTED: End = End {
    phase: "Failed",
    outcomes: &["RolledBack"],
    ran: &["1.0.0"],
    weights: Some(&[0, 10, 0]),
    losses: false,
};

fn ship(story: &Story) {
    story.ship("2.0.0");
}

/// Every tale, the two shortest with their adoption first.
pub(crate) static TALES: [Tale; 22] = [
    Tale {
        name: "a good release",
        setting: Setting::usual,
        deeds: &[(Now, ship)],
        end: PROMOTED,
    },
    Tale {
        name: "errors",
        setting: Setting::usual,
        deeds: &[(Now, |story| story.ship("2.0.0-errors20"))],
        end: REJECTED,
    },
    Tale {
        name: "slow replies",
        setting: || {
            let limit = json!([{"name": "request-duration", "thresholdRange": {"max": 500}}]);
            Setting::usual().with(&json!({"analysis": {"metrics": limit}}))
        },
        deeds: &[(Now, |story| story.ship("2.0.0-latency900"))],
        end: REJECTED,
    },
    Tale {
        name: "a missing image",
        setting: Setting::usual,
        deeds: &[(Now, |story| story.ship("2.0.0-missing"))],
        end: End {
            weights: Some(&[0]),
            ..REJECTED
        },
    },
    Tale {
        name: "never ready",
        setting: || Setting::usual().with(&json!({"progressDeadlineSeconds": 60})),
        deeds: &[(Now, |story| story.ship("2.0.0-unready"))],
        end: End {
            weights: Some(&[0]),
            ..REJECTED
        },
    },
    Tale {
        name: "users stay where they are",
        setting: || {
            let cookie = json!({"cookieName": "arm"});
            Setting::usual().with(&json!({"analysis": {"sessionAffinity": cookie}}))
        },
        deeds: &[(Now, ship)],
        end: PROMOTED,
    },
    Tale {
        name: "a way back in steps",
        setting: || {
            let steps = json!({"stepWeights": [10, 50], "stepWeightPromotion": 20});
            Setting::usual().with(&json!({"analysis": steps}))
        },
        deeds: &[(Now, ship)],
        end: End {
            weights: Some(&[0, 10, 50, 30, 10, 0]),
            ..PROMOTED
        },
    },
    Tale {
        name: "superseded",
        setting: Setting::usual,
        deeds: &[(Now, ship), (Weight(10), |story| story.ship("3.0.0"))],
        end: End {
            outcomes: &["Superseded", "Promoted"],
            ran: &["1.0.0", "3.0.0"],
            weights: Some(&[0, 10, 0, 10, 50, 100, 0]),
            ..PROMOTED
        },
    },
    Tale {
        name: "superseded in promotion",
        setting: Setting::usual,
        deeds: &[(Now, ship), (Rolling, |story| story.ship("3.0.0"))],
        end: End {
            outcomes: &["Promoted", "Promoted"],
            ran: &["1.0.0", "2.0.0", "3.0.0"],
            weights: None,
            ..PROMOTED
        },
    },
    Tale {
        name: "stable put back",
        setting: Setting::usual,
        deeds: &[(Now, ship), (Weight(50), |story| story.ship("1.0.0"))],
        end: End {
            phase: "Initialized",
            outcomes: &["Aborted"],
            weights: Some(&[0, 10, 50, 0]),
            ..REJECTED
        },
    },
    Tale {
        name: "aborted",
        setting: Setting::usual,
        deeds: &[(Now, ship), (Weight(50), |story| story.request("abort"))],
        end: End {
            outcomes: &["Aborted"],
            weights: Some(&[0, 10, 50, 0]),
            ..REJECTED
        },
    },
    Tale {
        name: "aborted in promotion",
        setting: Setting::usual,
        deeds: &[(Now, ship), (Rolling, |story| story.request("abort"))],
        end: End {
            phase: "Initialized",
            outcomes: &["Aborted"],
            weights: None,
            ..PROMOTED
        },
    },
    Tale {
        name: "paused and resumed",
        setting: Setting::usual,
        deeds: &[
            (Now, ship),
            (Weight(10), |story| story.request("pause")),
            (After(300), |story| story.request("resume")),
        ],
        end: PROMOTED,
    },
    Tale {
        name: "approved",
        setting: || {
            let steps = json!([{"setWeight": 20}, {"pause": {}}]);
            Setting::usual().with(&json!({"analysis": {"stepWeights": null, "steps": steps}}))
        },
        deeds: &[(Now, ship), (Waiting, |story| story.request("promote"))],
        end: End {
            weights: None,
            ..PROMOTED
        },
    },
    Tale {
        name: "rejected, then tried again",
        setting: Setting::usual,
        deeds: &[
            (Now, |story| story.ship("2.0.0-errors20")),
            (Phase("Failed"), |_| ()),
            (After(60), |story| story.ship("2.0.1")),
        ],
        end: End {
            outcomes: &["RolledBack", "Promoted"],
            ran: &["1.0.0", "2.0.1"],
            weights: Some(&[0, 10, 0, 10, 50, 100, 0]),
            ..PROMOTED
        },
    },
    Tale {
        name: "the team's own route",
        setting: Setting::own_route,
        deeds: &[(Now, ship)],
        end: PROMOTED,
    },
    Tale {
        name: "blue/green",
        setting: Setting::blue_green,
        deeds: &[(Now, ship)],
        end: End {
            weights: None,
            ..PROMOTED
        },
    },
    Tale {
        name: "a worker",
        setting: Setting::worker,
        deeds: &[(Now, ship)],
        end: End {
            weights: None,
            ..PROMOTED
        },
    },
    Tale {
        name: "the route edited",
        setting: Setting::usual,
        deeds: &[
            (Now, ship),
            (Weight(10), |story| {
                story.edit(&route_key(), |route| {
                    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(20);
                    route["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(80);
                })
            }),
        ],
        end: PROMOTED,
    },
    Tale {
        name: "the route deleted",
        setting: Setting::usual,
        deeds: &[
            (Now, ship),
            (Weight(10), |story| story.delete(&route_key())),
        ],
        end: End {
            losses: true,
            weights: None,
            ..PROMOTED
        },
    },
    Tale {
        name: "the Canary deleted",
        setting: Setting::usual,
        deeds: &[
            (Now, ship),
            (Weight(50), |story| story.delete(&canary_key())),
        ],
        end: End {
            phase: "",
            outcomes: &[],
            weights: None,
            ..REJECTED
        },
    },
    Tale {
        name: "scaled up and down",
        setting: Setting::usual,
        deeds: &[
            (Now, ship),
            (Weight(10), |story| {
                story.edit(&target(), |it| it["spec"]["replicas"] = json!(6))
            }),
            (Weight(50), |story| {
                story.edit(&target(), |it| it["spec"]["replicas"] = json!(2))
            }),
        ],
        end: PROMOTED,
    },
];

#[test]
fn every_tale_ends_as_it_should() {
    let only = std::env::var("TALE").unwrap_or_default();
    let tales = TALES.iter().filter(|tale| tale.name.contains(&only));
    let wrong: Vec<_> = tales
        .filter_map(|tale| {
            let never = Crash::new(usize::MAX, false);
            let wrong = run(tale, &never, Duration::ZERO, true);
            (!wrong.is_empty()).then(|| format!("{}: {}", tale.name, wrong.join("; ")))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn users_of_a_bad_release_are_told_why() {
    let story = crate::story::tale::paused(async {
        let story = Story::adopted(1, Setting::usual()).await;
        story.ship("2.0.0-errors20");
        story.becomes("Failed").await;
        // The target is told right behind the status.
        story.quiet(Duration::from_secs(1)).await;
        story
    });
    let message = story.canary()["status"]["message"].to_string();
    assert!(message.contains("request-success-rate"), "{message}");
    let target = story.world.api.get(&target()).unwrap();
    let conditions = target["status"]["conditions"].as_array().unwrap();
    let mut progressing = conditions.iter().filter(|it| it["type"] == "Progressing");
    assert_eq!(progressing.next().unwrap()["status"], "False");
}
