//! The invariants of SAFETY as functions of what was written: every write of a story is judged by each of them, in code that shares
//! nothing with the controller's.

mod process;
mod release;
pub(crate) mod state;
mod traffic;

use serin::sim::store::Event;

use crate::story::Story;
use crate::story::oracle::state::State;

/// Those that claim something about moments: a fault may make them late.
const PUNCTUAL: [&str; 2] = ["T3", "T5"];

/// Judges one write: the state has it already, and says what there was before.
type Invariant = fn(&State, &Event) -> Option<String>;

/// Every invariant that a single write can break, by its name in SAFETY.
const INVARIANTS: [(&str, Invariant); 14] = [
    ("G1", release::only_what_was_analysed),
    ("G3", release::a_persons_pause),
    ("G12", release::a_template_goes_back_only),
    ("E3", release::every_step_before_promotion),
    ("T1", traffic::weights_add_up),
    ("T2", traffic::one_step_at_a_time),
    ("T2", traffic::never_above_the_plan),
    ("T3", traffic::no_share_without_readiness),
    ("T5", traffic::fail_means_zero),
    ("T6", traffic::confirmed_before_it_shrinks),
    ("T8", traffic::arms_do_not_overlap),
    ("C1", release::stable_is_never_scaled_down),
    ("P3", process::released_once),
    ("P8", process::nothing_hangs_on_an_owner),
];

/// What was broken, with the write that did it. Under faults, what is only late is not counted.
pub(crate) fn breaches(story: &Story, faults: bool) -> Vec<String> {
    let mut state = State::default();
    let mut found = Vec::new();
    for event in story.events() {
        state.take(&event);
        for (id, invariant) in INVARIANTS {
            if faults && PUNCTUAL.contains(&id) {
                continue;
            }
            if let Some(why) = invariant(&state, &event) {
                found.push(format!("{id} at write {}: {why}", event.revision));
            }
        }
    }
    found.extend(process::given_back(&state));
    found.truncate(10);
    found
}

/// The versions that the main release ever ran, in their order.
pub(crate) fn ran(story: &Story) -> Vec<String> {
    let mut state = State::default();
    let mut ran: Vec<String> = Vec::new();
    for event in story.events() {
        state.take(&event);
        if event.key.plural != "pods" || !state.is_of(&event.object, "app") {
            continue;
        }
        let tag = state::tag(&event.object["spec"]);
        if !ran.contains(&tag) {
            ran.push(tag);
        }
    }
    ran
}
