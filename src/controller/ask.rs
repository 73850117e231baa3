//! Answers to the core's questions: from the API server, and from metrics servers. Questions are sent together.

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::analysis::MetricPlan;
use crate::cluster::webhook::Secret;
use crate::controller::observe::View;
use crate::controller::{Context, Memo, secrets, tokens};
use crate::crd::bound::Keys;
use crate::crd::canary::Canary;
use crate::crd::metric_template::MetricServer;
use crate::crd::moment::Moment;
use crate::http_client::Certificate;
use crate::metrics::batch::Question;
use crate::metrics::history;
use crate::metrics::prometheus;
use crate::metrics::query::{self, Window};
use crate::metrics::store::grant::{self, Grant};
use crate::metrics::store::{Server, Store};
use crate::metrics::{self, MetricError, Source, store};
use crate::objects::{Kind, ObjectKey};
use crate::rollout::observed::{Answer, Check, MetricCheck, Reading};
use crate::workload;

/// Answers every question, or says why it has no answer: a question never stays open.
pub(crate) async fn answer(
    context: &Context,
    canary: &Canary,
    view: &View,
    memo: &mut Memo,
    checks: Vec<Check>,
) -> Vec<(Check, Answer)> {
    let mut answers = Vec::new();
    let mut counters = Vec::new();
    for check in checks {
        if let Some(known) = memo.get(&check) {
            answers.push((check, known.clone()));
            continue;
        }
        let key = ObjectKey::new(Kind::Deployment, &canary.home(), canary.target_name());
        let reply = match &check {
            Check::Gate => gate(context, &key).await,
            Check::Target => target(context, canary, &key).await,
            Check::Metric(metric) if matches!(metric.reading, Reading::Counters(_)) => {
                counters.push(metric.clone());
                continue;
            }
            Check::Metric(metric) => match metric.reading {
                Reading::History { from, to } => {
                    history(context, canary, view, (metric, from, to)).await
                }
                Reading::Usual(at) => usual(context, canary, view, at).await,
                _ => value(context, canary, view, metric).await,
            },
            Check::Hook(call) => context.hooks.answer(canary, call),
            Check::Alert(call) => context.alerts.answer(canary, call),
        };
        answers.push((check, reply));
    }
    answers.extend(count(context, canary, view, counters).await);
    memo.extend(
        answers
            .iter()
            .filter(|(check, reply)| keeps(check, reply))
            .cloned(),
    );
    answers
}

/// Counters of the past do not change; everything else is asked again each time.
fn keeps(check: &Check, reply: &Answer) -> bool {
    matches!(
        (check, reply),
        (Check::Metric(_), Answer::Counters(_) | Answer::Value(_))
    )
}

async fn gate(context: &Context, key: &ObjectKey) -> Answer {
    match context.cluster.probe_gate(key).await {
        Ok(true) => Answer::GateHeld,
        Ok(false) => Answer::GateOpen(
            "a dry run of a changed template came back without being held".to_owned(),
        ),
        Err(error) => Answer::GateOpen(text(&error)),
    }
}

async fn target(context: &Context, canary: &Canary, key: &ObjectKey) -> Answer {
    match context.cluster.read(std::slice::from_ref(key)).await {
        Ok(live) => Answer::Target(workload::live_target(canary, &live)),
        Err(error) => Answer::Unreachable(text(&error)),
    }
}

/// An error with its causes in one line.
pub(crate) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn value(context: &Context, canary: &Canary, view: &View, check: &MetricCheck) -> Answer {
    let (home, name) = names(canary);
    let subject = view.subject(canary, &home, &name);
    let default = context.defaults.metrics_server.as_deref();
    let source = metrics::source(canary, &view.templates, default, &check.name);
    let (Some(source), Some(window)) = (source, Window::of(check.reading)) else {
        return Answer::Rejected(format!("there is no source for metric {}", check.name));
    };
    let asked = async {
        let query = query::value(&source, &subject, window)?;
        let secret = secret(context, &home, &source).await?;
        let key = |name: &str| secret.as_ref()?.data.get(name).cloned();
        let question = store::Question {
            provider: source.provider,
            server: &source.server,
            home: &home,
            query: &query,
            from: window.begin(source.interval),
            to: window.at,
            now: Moment::new(context.clock.now()),
            secret: secret.as_ref().map(|_| &key as Keys<'_>),
            access: None,
        };
        measured(context, source.store, question).await
    };
    match asked.await {
        Ok(value) => Answer::Value(value),
        Err(error) => refused(error),
    }
}

/// Asks a store, and for the token that it wants before.
async fn measured(
    context: &Context,
    store: Store,
    mut question: store::Question<'_>,
) -> Result<Option<f64>, MetricError> {
    let grant = grant::grant(store, &question)?;
    let token = match &grant {
        Some(grant) => Some(lent(context, store, grant, question.now).await?),
        None => None,
    };
    question.access = token.as_deref();
    let request = store::request(store, &question)?;
    let reply = match question.server {
        Server::At(_) => {
            context
                .caller
                .send(store, certificate(question.provider), request)
                .await?
        }
        Server::Cluster => of_cluster(context, &request).await?,
    };
    if let Some(grant) = grant.filter(|_| reply.status() == StatusCode::UNAUTHORIZED) {
        // Somebody took it back before its time: the next question asks for another.
        context.tokens.forget(&grant.id);
    }
    store::value(store, &question, &reply)
}

/// The token for these credentials: the one that is kept, or a new one.
async fn lent(
    context: &Context,
    store: Store,
    grant: &Grant,
    now: Moment,
) -> Result<String, MetricError> {
    if let Some(token) = context.tokens.get(&grant.id, now) {
        return Ok(token);
    }
    let request = grant.request(tokens::signed)?;
    // Whatever the template says: what the key has signed goes to nobody who does not prove who he is.
    let reply = context
        .caller
        .send(store, Certificate::Verified, request)
        .await?;
    let token = grant::token(&reply, now)?;
    let text = token.text.clone();
    context.tokens.keep(&grant.id, token, now);
    Ok(text)
}

/// What the API server says, with Serin's own account.
async fn of_cluster(
    context: &Context,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, MetricError> {
    let reply = context.cluster.external_metrics(request.uri()).await;
    reply.map_err(|error| MetricError::Unreachable(text(&error)))
}

/// The credentials of a template, if it names some.
async fn secret(
    context: &Context,
    home: &str,
    source: &Source<'_>,
) -> Result<Option<Secret>, MetricError> {
    let reference = source.provider.and_then(|it| it.secret_ref.as_ref());
    let Some(reference) = reference else {
        return Ok(None);
    };
    let found = secrets::sendable(&context.cluster, home, &reference.name).await;
    found.map(Some).map_err(MetricError::Unreachable)
}

fn refused(error: MetricError) -> Answer {
    match error {
        MetricError::Rejected(why) => Answer::Rejected(why),
        other => Answer::Unreachable(other.to_string()),
    }
}

/// Whether the server of a template has to prove who it is.
fn certificate(provider: Option<&MetricServer>) -> Certificate {
    if provider.is_some_and(|provider| provider.insecure_skip_verify) {
        Certificate::Unverified
    } else {
        Certificate::Verified
    }
}

/// Counters of several metrics and times, with as few requests as their servers allow.
async fn count(
    context: &Context,
    canary: &Canary,
    view: &View,
    checks: Vec<MetricCheck>,
) -> Vec<(Check, Answer)> {
    let (home, name) = names(canary);
    let subject = view.subject(canary, &home, &name);
    let server = metrics::server(canary, context.defaults.metrics_server.as_deref());
    let server = server.unwrap_or_default();
    let question = |query, at| Question {
        id: (),
        server: server.to_owned(),
        query,
        at,
    };
    let mut answers = Vec::new();
    let (mut asked, mut questions) = (Vec::new(), Vec::new());
    for check in checks {
        let Reading::Counters(at) = check.reading else {
            continue;
        };
        let Some(plan) = plan(view, &check) else {
            continue;
        };
        match query::counters(&subject, plan) {
            Ok(query) => {
                questions.push(question(query, at));
                asked.push((check, plan, at));
            }
            Err(error) => answers.push((Check::Metric(check), refused(error))),
        }
    }
    let mut counted = context.counting.ask(questions).await;
    // Durations without buckets may be native histograms. A server that does not know these has none, and that is no error.
    let silent = asked.iter().zip(&mut counted);
    let silent = silent.filter(|(_, counted)| counted.as_ref().is_ok_and(Vec::is_empty));
    let native = silent.filter_map(|((_, plan, at), counted)| {
        let query = query::native(&subject, plan).filter(|query| !query.is_empty())?;
        Some((counted, question(query, *at)))
    });
    let (places, questions): (Vec<_>, Vec<_>) = native.unzip();
    let replies = context.counting.ask(questions).await;
    for (place, reply) in places.into_iter().zip(replies) {
        if !matches!(reply, Err(MetricError::Rejected(_))) {
            *place = reply;
        }
    }
    let counted = counted.into_iter();
    let counted = counted.map(|counted| counted.map_or_else(refused, Answer::Counters));
    let asked = asked.into_iter().map(|(check, ..)| Check::Metric(check));
    answers.extend(asked.zip(counted));
    answers
}

/// Namespace and name.
fn names(canary: &Canary) -> (String, String) {
    let name = canary.metadata.name.clone();
    (canary.home(), name.unwrap_or_default())
}

/// The metric that is asked for.
fn plan<'a>(view: &'a View, check: &MetricCheck) -> Option<&'a MetricPlan> {
    let mut plans = view.observed.metrics.iter();
    plans.find(|plan| plan.name == check.name)
}

/// How long stable's requests take at most, but for one in a hundred.
async fn usual(context: &Context, canary: &Canary, view: &View, at: Moment) -> Answer {
    let (home, name) = names(canary);
    let subject = view.subject(canary, &home, &name);
    let server = metrics::server(canary, context.defaults.metrics_server.as_deref());
    let (Some(server), Some((query, unit_ms))) = (server, query::durations(&subject)) else {
        return Answer::Value(None);
    };
    let asked = async {
        let request = prometheus::request(server, &query, at)?;
        let (store, certificate) = (Store::Prometheus, Certificate::Verified);
        let reply = context.caller.send(store, certificate, request).await?;
        prometheus::usual(&reply)
    };
    match asked.await {
        Ok(bound) => Answer::Value(bound.map(|bound| bound * unit_ms)),
        Err(error) => refused(error),
    }
}

/// What stable counted between two times.
async fn history(
    context: &Context,
    canary: &Canary,
    view: &View,
    (check, from, to): (&MetricCheck, Moment, Moment),
) -> Answer {
    let (home, name) = names(canary);
    let subject = view.subject(canary, &home, &name);
    let server = metrics::server(canary, context.defaults.metrics_server.as_deref());
    let (Some(server), Some(plan)) = (server, plan(view, check)) else {
        return Answer::Rejected(format!("there is no source for metric {}", check.name));
    };
    let asked = async {
        let query = query::stable(&subject, plan)?;
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let request = history::request(server, &query, (from, to))?;
        let (store, certificate) = (Store::Prometheus, Certificate::Verified);
        let reply = context.caller.send(store, certificate, request).await?;
        history::parse(&reply, &query)
    };
    asked.await.map_or_else(refused, Answer::History)
}
