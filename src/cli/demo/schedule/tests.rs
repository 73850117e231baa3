//! Rounds of releases, by the second.

use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_893_456_000 + second).unwrap()
}

fn canary(name: &str, status: &serde_json::Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "serin.dev/v1beta1", "kind": "Canary",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"targetRef": {"name": name}},
        "status": status
    }))
    .unwrap()
}

/// All Canaries, idle and settled.
fn all() -> BTreeMap<String, Canary> {
    let status = json!({"phase": "Initialized", "traffic": {"acceptedAt": at(-60)}});
    ALL.iter()
        .map(|it| (it.name.to_owned(), canary(it.name, &status)))
        .collect()
}

/// The same after releases that all came to their ends.
fn ended(round: u32) -> BTreeMap<String, Canary> {
    let of = |application: &Application| {
        let images = json!([format!("{}:{}", application.name, application.tag(round))]);
        let verdict = json!({"outcome": "RolledBack", "reason": "bad", "at": at(0)});
        let traffic = json!({"acceptedAt": at(-60)});
        let status = match application.expected(round) {
            End::Promoted => {
                json!({"phase": "Succeeded", "traffic": traffic, "stable": {"images": images}})
            }
            _ => {
                json!({"phase": "Failed", "traffic": traffic, "candidate": {"images": images, "verdict": verdict}})
            }
        };
        (
            application.name.to_owned(),
            canary(application.name, &status),
        )
    };
    ALL.iter().map(of).collect()
}

/// A schedule by which all applications have shipped once, and the time.
fn shipped(habits: Habits) -> (Schedule, i64) {
    let mut schedule = Schedule::new(habits, at(0));
    let orders: Vec<_> = (0..20)
        .map(|second| schedule.due(at(second), &all()))
        .collect();
    let seconds: Vec<_> = (0..20)
        .filter(|second| !orders[*second].is_empty())
        .collect();
    assert_eq!(seconds, [2, 4, 6, 8, 10, 12, 14]);
    let expected: Vec<_> = ALL
        .iter()
        .map(|it| Order::Ship(it.name, it.tag(0)))
        .collect();
    assert_eq!(orders.concat(), expected);
    (schedule, 20)
}

#[test]
fn a_release_that_ended_is_followed_by_one_that_mends() {
    let (mut schedule, now) = shipped(Habits::default());
    assert_eq!((schedule.verdict(), schedule.missing().len()), (None, 7));
    assert_eq!(schedule.due(at(now), &ended(0)), []);
    assert_eq!(schedule.verdict(), Some(Ok(())));
    assert_eq!(schedule.due(at(now + 29), &ended(0)), []);
    let first = Order::Ship("mailer", "2.0.1".to_owned());
    assert_eq!(schedule.due(at(now + 30), &ended(0)), [first]);
    assert_eq!(schedule.due(at(now + 31), &ended(0)), []);
    let second = Order::Ship("storefront", "2.0.1".to_owned());
    assert_eq!(schedule.due(at(now + 32), &ended(0)), [second]);
}

#[test]
fn once_is_once() {
    let habits = Habits {
        once: true,
        ..Habits::default()
    };
    let (mut schedule, now) = shipped(habits);
    assert_eq!(schedule.due(at(now), &ended(0)), []);
    assert_eq!(schedule.due(at(now + 60), &ended(0)), []);
}

#[test]
fn who_is_busy_or_has_not_settled_ships_later() {
    let mut busy = all();
    let status = json!({"phase": "Initializing", "traffic": {"acceptedAt": at(-60)}});
    busy.insert("mailer".to_owned(), canary("mailer", &status));
    let status = json!({"phase": "Initialized", "traffic": {"acceptedAt": at(0)}});
    busy.insert("storefront".to_owned(), canary("storefront", &status));
    let mut schedule = Schedule::new(Habits::default(), at(0));
    let name = |orders: &[Order]| format!("{orders:?}");
    assert_eq!(
        name(&schedule.due(at(2), &busy)),
        r#"[Ship("reviews", "2.0.0-missing")]"#
    );
    assert_eq!(
        name(&schedule.due(at(5), &busy)),
        r#"[Ship("storefront", "2.0.0")]"#
    );
    assert_eq!(
        name(&schedule.due(at(7), &all())),
        r#"[Ship("mailer", "2.0.0")]"#
    );
}

#[test]
fn an_end_that_was_not_to_be_is_told() {
    let (mut schedule, now) = shipped(Habits::default());
    let mut wrong = ended(0);
    let promoted = json!({"phase": "Succeeded", "stable": {"images": ["checkout:2.0.0-errors20"]}});
    wrong.insert("checkout".to_owned(), canary("checkout", &promoted));
    schedule.due(at(now), &wrong);
    let why = "checkout was to be Rejected and is Promoted".to_owned();
    assert_eq!(schedule.verdict(), Some(Err(why)));
}

#[test]
fn what_a_person_ships_or_deletes_takes_the_place_of_ours() {
    let (mut schedule, now) = shipped(Habits::default());
    let mut others = ended(0);
    others.insert(
        "search".to_owned(),
        canary("search", &json!({"phase": "Succeeded"})),
    );
    others.remove("mailer");
    schedule.due(at(now), &others);
    assert_eq!(schedule.missing(), ["search"], "ours is still to come");
    let release = json!({"revision": "x", "outcome": "Promoted", "endedAt": at(now)});
    let own =
        json!({"phase": "Succeeded", "stable": {"images": ["search:9.9.9"]}, "history": [release]});
    others.insert("search".to_owned(), canary("search", &own));
    schedule.due(at(now), &others);
    let why =
        "mailer was to be Promoted and is Overtaken, search was to be Rejected and is Overtaken";
    assert_eq!(schedule.verdict(), Some(Err(why.to_owned())));
}

#[test]
fn an_end_counts_that_something_else_followed_at_once() {
    let (mut schedule, now) = shipped(Habits::default());
    let mut others = ended(0);
    let release = json!({"revision": "x", "images": ["mailer:2.0.0"], "outcome": "Promoted", "endedAt": at(now)});
    let next = json!({"phase": "Progressing", "history": [release]});
    others.insert("mailer".to_owned(), canary("mailer", &next));
    schedule.due(at(now), &others);
    assert_eq!(schedule.verdict(), Some(Ok(())));
}

#[test]
fn an_approval_is_given_once_and_late() {
    let (mut schedule, now) = shipped(Habits::default());
    let mut canaries = all();
    let step = json!({"index": 0, "of": 2, "startedAt": at(now), "deadlineAt": at(now), "passed": 1,
        "pausedAt": at(now), "waiting": "Approval"});
    let status = json!({"phase": "Progressing", "step": step});
    canaries.insert("payments".to_owned(), canary("payments", &status));
    assert_eq!(schedule.due(at(now + 39), &canaries), []);
    assert_eq!(
        schedule.due(at(now + 40), &canaries),
        [Order::Approve("payments")]
    );
    assert_eq!(schedule.due(at(now + 41), &canaries), []);
}

#[test]
fn who_asks_gets_the_next_release_at_once() {
    let habits = Habits {
        ships: false,
        ..Habits::default()
    };
    let mut schedule = Schedule::new(habits, at(0));
    assert_eq!(schedule.due(at(60), &all()), []);
    for application in &ALL {
        let order = Order::Ship(application.name, application.tag(0));
        assert_eq!(schedule.asked(at(60), &all()), Some(order));
    }
    assert_eq!(schedule.asked(at(61), &all()), None, "all are busy");
    schedule.due(at(62), &ended(0));
    let next = Order::Ship("mailer", "2.0.1".to_owned());
    assert_eq!(schedule.asked(at(62), &ended(0)), Some(next));
}
