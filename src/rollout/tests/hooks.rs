//! Hooks: what each kind of them may do, and what a slow one may not.

use std::time::Duration;

use serde_json::json;

use crate::crd::hook::HookKind;
use crate::crd::status::{CheckVerdict, Mark, Outcome, Phase};
use crate::rollout::observed::{HookReply, HookVerdict, Readiness};
use crate::rollout::tests::model::Model;
use crate::rollout::tests::outcomes;

const SECOND: Duration = Duration::from_secs(1);

fn reply(verdict: HookVerdict) -> HookReply {
    HookReply {
        verdict,
        reason: format!("{verdict:?}"),
        retry_after: None,
    }
}

/// A held candidate, beside one hook with these answers.
fn hooked(kind: &str, answers: &[HookVerdict]) -> Model {
    let hook = json!({"name": "hook", "type": kind, "url": "http://hook.test/"});
    let mut model = Model::adopted(&json!({
        "interval": "10s", "checks": 1, "stepWeights": [10, 50], "webhooks": [hook],
    }));
    let answers = answers.iter().map(|verdict| reply(*verdict)).collect();
    model.hooks.insert("hook".to_owned(), answers);
    model.ship("v2");
    model
}

fn phase_of_calls(model: &Model) -> Vec<(u32, u32)> {
    model.calls.iter().map(|it| (it.step, it.number)).collect()
}

use HookVerdict::{Abort, Continue, Fail, Refused, Wait};

#[test]
fn each_kind_is_called_where_it_belongs_and_a_yes_changes_nothing() {
    let rows: [(&str, &[(u32, u32)]); 5] = [
        ("confirm-rollout", &[(0, 0)]),
        ("pre-rollout", &[(0, 0)]),
        ("rollout", &[(0, 0), (1, 1)]),
        ("confirm-traffic-increase", &[(0, 0), (1, 0)]),
        ("confirm-promotion", &[(1, 0)]),
    ];
    for (kind, calls) in rows {
        let mut model = hooked(kind, &[Continue]);
        model.run();
        assert_eq!(
            outcomes(&model),
            [Outcome::Promoted],
            "{kind}: {:#?}",
            model.trace
        );
        assert_eq!(phase_of_calls(&model), calls, "{kind}");
        assert_eq!(model.status().history[0].marks, [], "{kind}");
    }
}

/// In rounds without users a test of the canary comes first, too.
#[test]
fn a_test_precedes_rounds_without_a_share() {
    let hook = json!({"name": "hook", "type": "pre-rollout", "url": "http://hook.test/"});
    let mut model =
        Model::adopted(&json!({"interval": "10s", "iterations": 2, "webhooks": [hook]}));
    model
        .hooks
        .insert("hook".to_owned(), vec![reply(Refused), reply(Continue)]);
    model.ship("v2");
    model.run_until(|model| model.calls.len() == 1);
    let passed = model.status().step.map(|step| step.passed);
    assert_eq!(passed, Some(0), "{:#?}", model.trace);
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted]);
    assert_eq!(phase_of_calls(&model), [(0, 0), (0, 1)]);
}

/// Endpoints are not what nodes do: for a moment the canary's Service still leads to stable.
#[test]
fn a_test_waits_until_the_service_has_settled() {
    let mut model = hooked("pre-rollout", &[Continue]);
    model.run_until(|model| model.seen.canary.is_some());
    let placed = model.now;
    model.run_until(|model| !model.calls.is_empty());
    let took = model.now.duration_since(placed).as_secs();
    assert!((5..7).contains(&took), "{took} s");
}

#[test]
fn a_gate_waits_for_its_yes_and_the_world_stands_meanwhile() {
    let rows = [
        ("confirm-rollout", Phase::Waiting, 0, false),
        ("confirm-traffic-increase", Phase::Progressing, 0, true),
        ("confirm-promotion", Phase::WaitingPromotion, 50, true),
    ];
    for (kind, phase, weight, placed) in rows {
        let mut model = hooked(kind, &[Refused, Wait, Refused, Continue]);
        model.run_until(|model| model.calls.len() == 3);
        let stands = (model.phase(), model.weight(), model.seen.canary.is_some());
        assert_eq!(
            stands,
            (phase, weight, placed),
            "{kind}: {:#?}",
            model.trace
        );
        let message = model.status().message;
        assert!(
            message.contains(&format!("{kind} hook \"hook\" is waited for")),
            "{message}"
        );
        assert_eq!(model.status().failed_checks, 0, "{kind}");
        model.run();
        assert_eq!(outcomes(&model), [Outcome::Promoted], "{kind}");
    }
}

#[test]
fn a_gate_is_asked_once_an_interval_or_when_it_says() {
    let mut model = hooked("confirm-rollout", &[Wait, Continue]);
    model.hooks.get_mut("hook").unwrap()[0].retry_after = Some(SECOND * 45);
    model.run_until(|model| model.calls.len() == 1);
    let began = model.now;
    model.run_until(|model| model.calls.len() == 2);
    assert_eq!(model.now.duration_since(began).as_secs(), 45);
    let mut model = hooked("confirm-rollout", &[Wait]);
    model.run_for(SECOND * 300);
    assert!(
        (29..=31).contains(&model.calls.len()),
        "{}",
        model.calls.len()
    );
    assert!(
        model.phase() == Phase::Waiting,
        "a gate waits longer than any deadline"
    );
}

#[test]
fn the_deadline_of_approvals_ends_a_gate() {
    let mut model = hooked("confirm-traffic-increase", &[Refused]);
    model.edit(|spec| spec.approval_deadline = Some((SECOND * 100).into()));
    model.run();
    assert_eq!(outcomes(&model), [Outcome::RolledBack]);
    let reason = &model.status().history[0].reason;
    assert!(
        reason.contains("did not go on within 100 s: Refused"),
        "{reason}"
    );
    assert!(!model.did("Route(Routes { canary: Weight(10) })"));
}

#[test]
fn a_person_goes_on_without_a_gate_and_the_history_says_so() {
    for kind in [
        "confirm-rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
    ] {
        let mut model = hooked(kind, &[Refused]);
        for _ in 0..3 {
            model.run_for(SECOND * 60);
            model.ask("promote");
        }
        model.run();
        assert_eq!(
            outcomes(&model),
            [Outcome::Promoted],
            "{kind}: {:#?}",
            model.trace
        );
        assert_eq!(model.status().history[0].marks, [Mark::Forced], "{kind}");
    }
}

#[test]
fn an_approval_of_a_person_is_not_the_one_of_a_hook() {
    let hook = json!({"name": "hook", "type": "confirm-promotion", "url": "http://hook.test/"});
    let mut model = Model::adopted(&json!({
        "interval": "10s", "steps": [{"setWeight": 20}, {"checks": 1}, {"pause": {}}], "webhooks": [hook],
    }));
    model
        .hooks
        .insert("hook".to_owned(), vec![reply(Refused), reply(Continue)]);
    model.ship("v2");
    model.run_until(|model| model.phase() == Phase::WaitingPromotion);
    model.run_for(SECOND * 60);
    assert_eq!(model.calls.len(), 0, "the person comes first");
    model.ask("promote");
    model.run_until(|model| model.calls.len() == 1);
    assert_eq!(model.phase(), Phase::WaitingPromotion);
    model.run();
    assert_eq!((model.phase(), model.calls.len()), (Phase::Succeeded, 2));
}

#[test]
fn a_refusal_of_a_check_is_a_failed_check() {
    for (kind, verdict) in [
        ("rollout", Refused),
        ("rollout", Fail),
        ("pre-rollout", Refused),
        ("pre-rollout", Fail),
        ("confirm-traffic-increase", Fail),
    ] {
        let mut model = hooked(kind, &[verdict, Continue]);
        model.run();
        assert_eq!(
            outcomes(&model),
            [Outcome::Promoted],
            "{kind} {verdict:?}: one is forgiven"
        );
        let mut model = hooked(kind, &[verdict]);
        model.run();
        assert_eq!(
            outcomes(&model),
            [Outcome::RolledBack],
            "{kind} {verdict:?}"
        );
        assert_eq!(
            model.calls.len(),
            2,
            "{kind} {verdict:?}: as often as `threshold` says"
        );
        let reason = &model.status().history[0].reason;
        assert!(
            reason.contains("hook") && reason.contains("2 of 2"),
            "{reason}"
        );
    }
}

#[test]
fn an_abort_ends_the_release_at_once() {
    for kind in [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "rollback",
    ] {
        let mut model = hooked(kind, &[Abort]);
        model.run();
        assert_eq!(outcomes(&model), [Outcome::RolledBack], "{kind}");
        assert_eq!(model.calls.len(), 1, "{kind}");
        let reason = &model.status().history[0].reason;
        assert!(
            reason.contains("ends the release: Abort"),
            "{kind}: {reason}"
        );
    }
}

#[test]
fn a_check_that_asks_for_time_gets_it_and_at_last_a_person() {
    let mut model = hooked("rollout", &[Wait, Wait, Continue]);
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted]);
    let mut model = hooked("rollout", &[Wait]);
    model.run_for(SECOND * 700);
    let status = model.status();
    assert_eq!((status.phase, model.weight()), (Phase::Progressing, 10));
    assert!(
        status.message.contains("for evidence"),
        "{}",
        status.message
    );
    assert_eq!(status.checks[0].verdict, CheckVerdict::NoData);
}

#[test]
fn a_rollback_hook_is_asked_in_every_state_and_its_other_answers_say_nothing() {
    let mut model = hooked("rollback", &[Continue, Refused, Fail, Wait, Continue]);
    model.run();
    assert_eq!(outcomes(&model), [Outcome::Promoted]);
    assert_eq!(model.status().failed_checks, 0);
    let mut model = hooked("rollback", &[Continue, Continue, Continue, Abort]);
    model.health = Readiness::Progressing("0 of 1 Pods are ready".to_owned());
    model.run();
    assert_eq!(
        outcomes(&model),
        [Outcome::RolledBack],
        "while Pods are not ready"
    );
    assert_eq!(model.calls.len(), 4);
}

#[test]
fn hooks_are_told_once_how_it_ended() {
    for (errors, outcome) in [(0.0, Outcome::Promoted), (0.5, Outcome::RolledBack)] {
        let mut model = hooked("post-rollout", &[Refused]);
        model.errors = errors;
        model.run();
        assert_eq!(outcomes(&model), [outcome]);
        let told: Vec<_> = model.calls.iter().map(|it| (it.kind, it.attempt)).collect();
        assert_eq!(told, [(HookKind::PostRollout, 1)]);
        assert_eq!(model.status().afterwards, None);
        assert!(!model.tick(), "and that is all");
    }
}

#[test]
fn a_slow_hook_holds_up_nothing_else() {
    for kind in ["rollout", "rollback", "confirm-promotion", "post-rollout"] {
        let mut model = hooked(kind, &[Continue]);
        model.hooks_take = SECOND * 60;
        model.run_to(10);
        model.errors = 0.5;
        let began = model.now;
        model.run_until(|model| model.weight() == 0);
        let took = model.now.duration_since(began).as_secs();
        assert!(took < 30, "{kind}: errors took {took} s to end it");
    }
    let mut model = hooked("rollout", &[Continue]);
    model.hooks_take = SECOND * 60;
    model.run_to(10);
    model.run_for(SECOND * 15);
    model.ask("abort");
    model.tick();
    assert_eq!(model.weight(), 0, "a person is not kept waiting");
}

#[test]
fn no_step_passes_before_its_hook_has_answered() {
    let mut model = hooked("rollout", &[Continue]);
    model.hooks_take = SECOND * 60;
    model.run_to(10);
    let began = model.now;
    model.run_to(50);
    assert!(model.now.duration_since(began).as_secs() >= 60);
}

#[test]
fn who_asks_has_written_down_before_what_for() {
    for kind in ["confirm-rollout", "rollback"] {
        let mut model = hooked(kind, &[Continue]);
        model.tick();
        assert!(model.status().candidate.is_some(), "{kind}");
        assert!(
            model.calls.is_empty(),
            "{kind}: it is not in the status yet"
        );
        model.run_until(|model| !model.calls.is_empty());
    }
}

#[test]
fn a_slow_answer_counts_when_it_comes() {
    for kind in [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-promotion",
    ] {
        let mut model = hooked(kind, &[Continue]);
        model.hooks_take = SECOND * 25;
        model.run();
        assert_eq!(outcomes(&model), [Outcome::Promoted], "{kind}");
        let calls = if kind == "rollout" { 2 } else { 1 };
        assert_eq!(
            model.calls.len(),
            calls,
            "{kind}: asked once for each answer"
        );
    }
}

/// The key of a call is in the status before it is made: a controller that dies makes the same call again, and no other.
#[test]
fn a_controller_that_dies_makes_the_same_calls() {
    for kind in [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-promotion",
        "post-rollout",
    ] {
        let alive = {
            let mut model = hooked(kind, &[Refused, Continue]);
            model.run();
            phase_of_calls(&model)
        };
        for writes in 0..40 {
            let mut model = hooked(kind, &[Refused, Continue]);
            model.dies_after = Some(writes);
            model.run();
            assert_eq!(
                outcomes(&model),
                [Outcome::Promoted],
                "{kind} after {writes}"
            );
            assert_eq!(phase_of_calls(&model), alive, "{kind} after {writes}");
        }
    }
}

#[test]
fn without_analysis_no_hook_is_asked() {
    for kind in [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-promotion",
    ] {
        let mut model = hooked(kind, &[Refused]);
        model.edit(|spec| spec.skip_analysis = true);
        model.run();
        assert_eq!(outcomes(&model), [Outcome::Promoted], "{kind}");
        assert_eq!(model.calls.len(), 0, "{kind}");
    }
}
