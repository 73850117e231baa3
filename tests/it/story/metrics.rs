//! A Prometheus in all its moods: down, late, cut short, endless, or with values that say nothing (SAFETY, faults F10 and F11). None
//! of them is a verdict, so none may end a release or let one pass.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use serin::clock::Clock;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    Well,
    /// 503.
    Down,
    /// After the deadline of any question.
    Late,
    /// A page for people, with status 200.
    Page,
    /// The first half of a reply.
    Cut,
    /// A reply longer than anybody reads.
    Endless,
    /// No series at all.
    Empty,
    /// Every value is not a number.
    NotANumber,
    /// Every value is infinite.
    Infinite,
    /// Every series twice.
    Twice,
}

impl Mood {
    /// Every mood but the good one.
    pub(crate) const BAD: [Self; 9] = [
        Self::Down,
        Self::Late,
        Self::Page,
        Self::Cut,
        Self::Endless,
        Self::Empty,
        Self::NotANumber,
        Self::Infinite,
        Self::Twice,
    ];
}

/// The mood of a Prometheus, which changes.
#[derive(Clone, Debug)]
pub(crate) struct Moods(Arc<Mutex<Mood>>);

impl Moods {
    /// A good one.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Mood::Well)))
    }

    /// From now on it answers like this.
    pub(crate) fn set(&self, mood: Mood) {
        *self.0.lock().unwrap() = mood;
    }

    /// The server in its mood, which says what time it is.
    pub(crate) fn on(&self, router: Router, clock: Clock) -> Router {
        let moods = self.clone();
        router.layer(from_fn(move |request: Request, next: Next| {
            let mood = *moods.0.lock().unwrap();
            async move {
                let mut reply = answer(mood, request, next).await;
                let now = jiff::Zoned::new(clock.now(), jiff::tz::TimeZone::UTC);
                let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                reply
                    .headers_mut()
                    .insert(http::header::DATE, date.parse().unwrap());
                reply
            }
        }))
    }
}

async fn answer(mood: Mood, request: Request, next: Next) -> Response {
    match mood {
        Mood::Well => next.run(request).await,
        Mood::Down => (StatusCode::SERVICE_UNAVAILABLE, "down").into_response(),
        Mood::Late => {
            tokio::time::sleep(Duration::from_secs(120)).await;
            next.run(request).await
        }
        Mood::Page => "<html><body>Sign in</body></html>".into_response(),
        Mood::Endless => vec![b' '; 8 << 20].into_response(),
        Mood::Cut => {
            let (head, body) = whole(next.run(request).await).await;
            let half = body.slice(..body.len() / 2);
            Response::from_parts(head, Body::from(half))
        }
        Mood::Empty | Mood::NotANumber | Mood::Infinite | Mood::Twice => {
            let (head, body) = whole(next.run(request).await).await;
            let Ok(mut reply) = serde_json::from_slice::<Value>(&body) else {
                return Response::from_parts(head, Body::from(body));
            };
            distort(mood, &mut reply);
            (head.status, reply.to_string()).into_response()
        }
    }
}

async fn whole(reply: Response) -> (http::response::Parts, axum::body::Bytes) {
    let (mut head, body) = reply.into_parts();
    head.headers.remove(http::header::CONTENT_LENGTH);
    (head, to_bytes(body, usize::MAX).await.unwrap())
}

fn distort(mood: Mood, reply: &mut Value) {
    let Some(series) = reply
        .pointer_mut("/data/result")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    match mood {
        Mood::Empty => series.clear(),
        Mood::Twice => series.extend(series.clone()),
        Mood::Infinite => value(series, "+Inf"),
        _ => value(series, "NaN"),
    }
}

fn value(series: &mut [Value], text: &str) {
    for one in series {
        if let Some(value) = one.pointer_mut("/value/1") {
            *value = json!(text);
        }
    }
}
