//! The whole demo in virtual time: what is told of each application, from its first release to the end of that.

use std::collections::BTreeMap;

use futures::stream;
use jiff::SignedDuration;
use serin::cli::demo::applications::ALL;
use serin::cli::demo::schedule::Habits;
use serin::cli::demo::show::{self, Over, Told, Wish};
use serin::cli::demo::stage::Stage;
use serin::clock::Clock;

/// How each line begins that is told of an application, in their order.
const STORIES: [(&str, &[&str]); 7] = [
    (
        "checkout",
        &[
            "somebody ships checkout:2.0.0-errors20",
            "2.0.0-errors20 is held: 1.0.0 stays as it is",
            "10 % of the requests go to 2.0.0-errors20 now",
            "2.0.0-errors20 is REJECTED: request-success-rate ",
            "",
            "all requests go to 1.0.0 again",
        ],
    ),
    (
        "mailer",
        &[
            "somebody ships mailer:2.0.0",
            "2.0.0 is held: 1.0.0 stays as it is",
            "2.0.0 is 25 % of the Pods now",
            "check passed: readiness 1/1 ready",
            "check passed: readiness 1/1 ready",
            "2.0.0 is 50 % of the Pods now",
            "check passed: readiness 2/2 ready",
            "check passed: readiness 2/2 ready",
            "every check passed: the Deployment itself is rolled to 2.0.0 now",
            "2.0.0 is PROMOTED",
        ],
    ),
    (
        "payments",
        &[
            "somebody ships payments:2.0.0",
            "2.0.0 is held: 1.0.0 stays as it is",
            "10 % of the requests go to 2.0.0 now",
            "check passed: request-success-rate 100% (>= 99%)",
            "waits for a person: `serin promote payments` goes on",
            "nobody decided, so the demo approves",
            "demo asked for promote",
            "50 % of the requests go to 2.0.0 now",
            "no verdict yet: comparison 0.00, the limit is <= 4.61: ",
            "check passed: request-success-rate 100% (>= 99%)",
            "every check passed: the Deployment itself is rolled to 2.0.0 now",
            "2.0.0 is PROMOTED",
        ],
    ),
    (
        "reviews",
        &[
            "somebody ships reviews:2.0.0-missing",
            "2.0.0-missing is held: 1.0.0 stays as it is",
            "does not start: ErrImagePull, image reviews:2.0.0-missing was not found",
            "2.0.0-missing is REJECTED: Pod reviews-canary-",
            "no request of a user ever reached 2.0.0",
        ],
    ),
    (
        "search",
        &[
            "somebody ships search:2.0.0-latency400p50",
            "2.0.0-latency400p50 is held: 1.0.0 stays as it is",
            "20 % of the requests go to 2.0.0-latency400p50 now",
            "2.0.0-latency400p50 is REJECTED: request-duration ",
            "",
            "all requests go to 1.0.0 again",
        ],
    ),
    (
        "storefront",
        &[
            "somebody ships storefront:2.0.0",
            "2.0.0 is held: 1.0.0 stays as it is",
            "10 % of the requests go to 2.0.0 now",
            "check passed: request-success-rate 100% (>= 99%)",
            "50 % of the requests go to 2.0.0 now",
            "check passed: request-success-rate 100% (>= 99%)",
            "100 % of the requests go to 2.0.0 now",
            "check passed: request-success-rate 100% (>= 99%)",
            "every check passed: the Deployment itself is rolled to 2.0.0 now",
            "2.0.0 is PROMOTED",
        ],
    ),
    (
        "website",
        &[
            "somebody ships website:2.0.0",
            "2.0.0 is held and started beside 1.0.0, without users at first",
            "check passed, without users: readiness 2/2 ready",
            "check passed, without users: readiness 2/2 ready",
            "every check passed: users are switched to 2.0.0",
            "the Service is switched: all requests go to 2.0.0 now",
            "2.0.0 is PROMOTED",
        ],
    ),
];

/// What was told of each application, without its adoption.
fn by_application(story: &[Told]) -> BTreeMap<&str, Vec<&str>> {
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for one in story {
        if !one.line.text.contains("from now on") {
            let lines = told.entry(one.about.as_str()).or_default();
            lines.push(one.line.text.as_str());
        }
    }
    told
}

fn as_text(story: &[Told]) -> String {
    let lines = story.iter().map(|told| {
        format!(
            "{:>4} s  {:<12} {}\n",
            told.seconds, told.about, told.line.text
        )
    });
    lines.collect()
}

#[tokio::test(start_paused = true)]
async fn every_application_comes_to_its_end() {
    let stage = Stage::set(Clock::simulated(), 1).unwrap();
    let habits = Habits {
        once: true,
        patience: SignedDuration::from_secs(5),
        ..Habits::default()
    };
    let mut story: Vec<Told> = Vec::new();
    let mut losses = Vec::new();
    let mut hear = |told: &Told| {
        story.push(told.clone());
        for application in &ALL {
            let lost = stage.counts(application, None).lost;
            if lost > 0 {
                losses.push(format!("{} s: {} {lost}", told.seconds, application.name));
            }
        }
        Ok(())
    };
    let ended = show::play(&stage, habits, stream::pending(), &mut hear).await;
    let ended = ended.unwrap();
    let text = as_text(&story);
    assert_eq!(ended.over, Over::Complete, "{text}");
    assert_eq!((ended.promoted, ended.rejected), (4, 3), "{text}");
    assert!(losses.is_empty(), "{losses:#?}\n{text}");

    let told = by_application(&story);
    assert_eq!(told.len(), STORIES.len(), "{text}");
    for (application, expected) in STORIES {
        let lines = &told[application];
        assert_eq!(lines.len(), expected.len(), "{application}:\n{text}");
        for (line, begin) in lines.iter().zip(expected) {
            assert!(line.starts_with(begin), "{application}: {begin}:\n{text}");
        }
    }
    let held = story.iter().find(|told| told.line.text.contains("is held"));
    assert!(held.is_some_and(|told| told.seconds <= 9), "{text}");
    let within = |words: &str| {
        let mut all = story.iter().filter(|told| told.line.text.contains(words));
        all.any(|told| told.seconds < 60)
    };
    assert!(within("is PROMOTED") && within("is REJECTED"), "{text}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_ships_and_leaves() {
    let stage = Stage::set(Clock::simulated(), 1).unwrap();
    let habits = Habits {
        ships: false,
        ..Habits::default()
    };
    let wishes = stream::unfold(0, |number| async move {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        Some((if number == 0 { Wish::Ship } else { Wish::End }, number + 1))
    });
    let mut story: Vec<Told> = Vec::new();
    let mut hear = |told: &Told| {
        story.push(told.clone());
        Ok(())
    };
    let ended = show::play(&stage, habits, wishes, &mut hear).await.unwrap();
    let text = as_text(&story);
    assert_eq!((ended.over, ended.seconds), (Over::Asked, 20), "{text}");
    let told = by_application(&story);
    assert_eq!(told.keys().collect::<Vec<_>>(), [&"mailer"], "{text}");
    assert_eq!(told["mailer"][0], "somebody ships mailer:2.0.0");
}
