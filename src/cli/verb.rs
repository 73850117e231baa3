//! Verbs: a request is written to the Canary, and the controller's answer is waited for.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cli::args::{Command, ShortVerbArgs, VerbArgs};
use crate::cli::connect::{MANAGER, Session};
use crate::cli::exit::Exit;
use crate::cli::request::request;
use crate::cli::verdict::{Goal, called_off, verdict};
use crate::cli::wait::{self, Judge};
use crate::cli::{find, screen};
use crate::crd::canary::Canary;
use crate::crd::request::{Request, clean};
use crate::crd::status::{RequestOutcome, RequestStatus};
use crate::objects::mark;

/// How long the controller may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Time between two looks for the answer.
const LOOK: Duration = Duration::from_millis(250);

/// A verb, as it is meant.
struct Verb {
    name: String,
    request: Request,
    /// How long to wait for the end, and who judges it; `None`: do not wait.
    end: Option<(Duration, Judge)>,
}

/// Asks for a verb.
pub(super) async fn run(session: &Session, command: Command) -> Result<Exit> {
    let Some(verb) = meant(command) else {
        return Ok(Exit::Usage);
    };
    ask(session, verb).await
}

/// What the command line means; `None`: it is no verb.
fn meant(command: Command) -> Option<Verb> {
    Some(match command {
        Command::Promote(args) => {
            let verb = if args.full { "promote-full" } else { "promote" };
            long(verb, args.verb, verdict)
        }
        Command::Abort(args) => long("abort", args, called_off),
        Command::Pause(args) => short("pause", args),
        Command::Resume(args) => long("resume", args, verdict),
        Command::Retry(args) => long("retry", args, verdict),
        Command::Skip(args) => long("skip", args, verdict),
        Command::Restart(args) => long("restart", args, verdict),
        Command::Rollback(args) => {
            let mut verb = long("rollback", args.verb, called_off);
            verb.request.to = args.to.as_deref().map(clean);
            verb
        }
        _ => return None,
    })
}

fn short(verb: &'static str, args: ShortVerbArgs) -> Verb {
    let mut request = request(verb);
    request.reason = args
        .reason
        .as_deref()
        .map(clean)
        .filter(|reason| !reason.is_empty());
    request.revision = args.revision.as_deref().map(clean);
    Verb {
        name: args.name,
        request,
        end: None,
    }
}

fn long(verb: &'static str, args: VerbArgs, judge: Judge) -> Verb {
    let mut verb = short(verb, args.common);
    verb.end = args.wait.then_some((args.timeout, judge));
    verb
}

async fn ask(session: &Session, mut verb: Verb) -> Result<Exit> {
    let canary = find::canary(session, &verb.name).await?;
    let name = canary.name_any();
    complete(&mut verb.request, &canary);
    if let Some(other) = canary.annotations().get(mark::REQUEST) {
        screen::complain(&format!(
            "this takes the place of a request that was not handled yet: {other}"
        ));
    }
    write(session, &name, &verb.request).await?;
    let Some(answer) = answer(session, &name, &verb.request.id).await? else {
        screen::complain(&format!(
            "the controller has not answered within {} s. The request stays, and is handled when the controller is back; \
             see `kubectl -n serin-system get pods`, or take it back with `kubectl -n {} annotate canary {name} {}-`",
            ANSWER.as_secs(),
            session.namespace,
            mark::REQUEST
        ));
        return Ok(Exit::TimedOut);
    };
    let exit = say(&answer)?;
    match verb.end.filter(|_| exit == Exit::Done) {
        None => Ok(exit),
        Some((timeout, judge)) => {
            wait::until(session, &name, Goal::default(), judge, timeout).await
        }
    }
}

/// The beginning of the candidate's hash stands for the whole, which is what the controller compares.
fn complete(request: &mut Request, canary: &Canary) {
    let candidate = canary
        .status
        .as_ref()
        .and_then(|status| status.candidate.as_ref());
    let (Some(revision), Some(candidate)) = (&mut request.revision, candidate) else {
        return;
    };
    if revision.len() >= 6 && candidate.revision.starts_with(revision.as_str()) {
        revision.clone_from(&candidate.revision);
    }
}

async fn write(session: &Session, name: &str, request: &Request) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {mark::REQUEST: request.text()}}});
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = session.api::<Canary>();
    api.patch(name, &params, &Patch::Merge(patch))
        .await
        .with_context(|| format!("ask canary/{name} to {}", request.verb))?;
    Ok(())
}

async fn answer(session: &Session, name: &str, id: &str) -> Result<Option<RequestStatus>> {
    let looking = async {
        loop {
            let canary = session
                .api::<Canary>()
                .get(name)
                .await
                .context("read the answer")?;
            let last = canary.status.and_then(|status| status.last_request);
            if let Some(answer) = last.filter(|last| last.id == id) {
                return Ok(Some(answer));
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(ANSWER, looking)
        .await
        .unwrap_or(Ok(None))
}

fn say(answer: &RequestStatus) -> Result<Exit> {
    let message = answer.message.as_deref().unwrap_or(&answer.verb);
    match answer.outcome {
        RequestOutcome::Accepted => {
            screen::line(&format!("Accepted: {message}"))?;
            Ok(Exit::Done)
        }
        RequestOutcome::Refused => {
            screen::complain(&format!("Refused: {message}"));
            Ok(Exit::Failed)
        }
    }
}
