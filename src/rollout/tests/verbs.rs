//! What is offered to people, held against what the core accepts of them: in every state of many releases, every verb.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::crd::status::{Phase, RequestOutcome, Wait};
use crate::rollout::tests::fast;
use crate::rollout::tests::model::Model;
use crate::rollout::verbs::{VERBS, allowed, rollback_to};

/// Refusals that spec and status cannot tell beforehand.
const UNKNOWN: [&str; 2] = ["try again in a few seconds", "revert in git"];

/// Nor can they tell whether the main release rolls already, while promoting; and for the moments between two states what is held now.
const UNTOLD: [(&str, Phase); 6] = [
    ("restart", Phase::Promoting),
    ("restart", Phase::Progressing),
    ("undo", Phase::Progressing),
    ("restart", Phase::Failed),
    ("undo", Phase::Failed),
    ("retry", Phase::Failed),
];

/// Every verb, asked in this state; what was offered has to be accepted, and nothing else.
fn judge(model: &Model, seen: &mut BTreeMap<&'static str, BTreeSet<bool>>) {
    let offered: BTreeSet<_> = allowed(&model.canary)
        .into_iter()
        .map(|offer| offer.verb)
        .collect();
    let phase = model.phase();
    for verb in VERBS {
        let mut model = model.clone();
        // Of its own identity: the same text once more would be the request that was handled last.
        model.ask(&json!({"verb": verb, "id": "judge"}).to_string());
        model.tick();
        let last = model.status().last_request.unwrap();
        let message = last.message.unwrap_or_default();
        let is = last.outcome == RequestOutcome::Accepted;
        seen.entry(verb).or_default().insert(is);
        if offered.contains(verb) {
            let unknown = UNKNOWN.iter().any(|part| message.contains(part));
            assert!(is || unknown, "{verb} is offered in {phase}: {message}");
        } else {
            let untold = UNTOLD.contains(&(verb, phase));
            assert!(!is || untold, "{verb} is not offered in {phase}: {message}");
        }
    }
}

/// Plays until nothing is due, judging each state on the way.
fn play(model: &mut Model, seen: &mut BTreeMap<&'static str, BTreeSet<bool>>) {
    for _ in 0..400 {
        let before = model.status();
        let acted = model.tick();
        if model.status() != before {
            judge(model, seen);
        }
        match (acted, model.next()) {
            (true, _) => model.pass(Duration::from_millis(50)),
            (false, Some(wait)) => model.pass(wait),
            (false, None) => return,
        }
    }
}

fn plans() -> [Value; 4] {
    [
        fast(),
        json!({"interval": "10s", "steps": [{"setWeight": 10}, {"checks": 1}, {"pause": {}}, {"setWeight": 50}, {"checks": 1},
            {"pause": {"duration": "30s"}}]}),
        json!({"interval": "10s", "checks": 2, "stepWeights": [20], "bake": "20s"}),
        json!({"interval": "10s", "checks": 1, "stepWeights": [10, 50], "onFailure": "Pause"}),
    ]
}

#[test]
fn what_is_offered_is_accepted_and_nothing_else() {
    let mut seen = BTreeMap::new();
    for plan in plans() {
        for (errors, asked) in [
            (0.0, None),
            (0.0, Some("promote")),
            (0.0, Some("pause")),
            (0.0, Some("abort")),
            (0.0, Some("undo")),
            (0.2, None),
            (0.2, Some("retry")),
            (0.2, Some("promote-full")),
        ] {
            let mut model = Model::adopted(&plan);
            judge(&model, &mut seen);
            for revision in ["v2", "v3"] {
                model.errors = errors;
                model.ship(revision);
                if let Some(verb) = asked {
                    model.run_until(|model| model.weight() > 0);
                    model.ask(verb);
                    play(&mut model, &mut seen);
                    model.ask(verb);
                }
                play(&mut model, &mut seen);
            }
            model.ask("rollback");
            play(&mut model, &mut seen);
            model.delete();
            play(&mut model, &mut seen);
        }
    }
    for verb in VERBS {
        assert_eq!(seen[verb].len(), 2, "{verb} was always answered alike");
    }
}

#[test]
fn what_waits_for_a_person_is_judged_too() {
    let mut seen = BTreeMap::new();
    for wait in [
        Wait::Approval,
        Wait::Paused,
        Wait::NoEvidence,
        Wait::Contested,
    ] {
        let mut model = Model::adopted(&fast());
        model.ship("v2");
        model.run_to(50);
        let status = model.canary.status.as_mut().unwrap();
        let step = status.step.as_mut().unwrap();
        step.waiting = Some(wait);
        judge(&model, &mut seen);
    }
}

fn effect(model: &Model, verb: &str) -> String {
    let offers = allowed(&model.canary);
    let found = offers.into_iter().find(|offer| offer.verb == verb);
    found.map_or_else(|| "not allowed".to_owned(), |offer| offer.effect)
}

#[test]
fn effects_name_versions_and_numbers() {
    let mut model = Model::adopted(&fast());
    model.ship("v2");
    model.run_to(10);
    let rows = [
        ("promote", "not allowed"),
        (
            "abort",
            "All traffic goes back to app:v1 at once; app:v2 is rejected and its Pods are deleted.",
        ),
        (
            "pause",
            "10 % of the traffic stays with app:v2 until `resume`.",
        ),
        (
            "skip",
            "Step 1 counts as passed without the rest of its checks. Step 2 of 3 begins: 50 % of the traffic goes to app:v2. \
             The history marks it Forced, with your name.",
        ),
    ];
    for (verb, expected) in rows {
        assert_eq!(effect(&model, verb), expected, "{verb}");
    }
    model.run();
    model.ship("v3");
    model.run();
    assert_eq!(
        effect(&model, "rollback"),
        "app:v2, which was promoted before, is put back on Deployment app at once, without analysis."
    );
}

#[test]
fn a_chosen_version_is_put_back_where_it_is_offered() {
    let mut model = Model::adopted(&fast());
    for revision in ["v2", "v3", "v4"] {
        model.ship(revision);
        model.run();
    }
    model.errors = 0.2;
    model.ship("bad");
    model.run_to(10);
    let offered = |model: &Model| {
        let history = model.status().history;
        let offers = history.iter().filter_map(|past| {
            rollback_to(&model.canary, past).map(|effect| (past.revision.clone(), effect))
        });
        offers.collect::<Vec<_>>()
    };
    assert!(offered(&model).is_empty(), "a release is in progress");
    model.run();
    assert_eq!(model.phase(), Phase::Failed);
    let offers = offered(&model);
    let revisions: Vec<_> = offers
        .iter()
        .map(|(revision, _)| revision.as_str())
        .collect();
    assert_eq!(revisions, ["v3", "v2"], "neither stable nor the rejected");
    for (revision, effect) in &offers {
        assert!(effect.starts_with(&format!("app:{revision}, ")), "{effect}");
        let mut model = model.clone();
        let text = json!({"verb": "rollback", "id": "back", "to": revision}).to_string();
        model.ask(&text);
        model.run();
        let last = model.status().last_request.unwrap();
        assert_eq!(last.outcome, RequestOutcome::Accepted, "{:?}", last.message);
        assert_eq!(model.status().stable.unwrap().revision, *revision);
    }
    model.delete();
    assert!(offered(&model).is_empty(), "it is being deleted");
}
