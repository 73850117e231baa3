//! `serin wait`: until a release has ended. It asks again and again rather than watch, so nothing that happens to a connection
//! or to the controller can make it miss the end.

use std::time::Duration;

use anyhow::{Context, Result};
use kube::ResourceExt;

use crate::cli::args::WaitArgs;
use crate::cli::connect::Session;
use crate::cli::exit::{self, Exit};
use crate::cli::verdict::{Goal, progress, verdict};
use crate::cli::{find, screen};
use crate::crd::canary::Canary;
use crate::objects::Deployment;

/// Time between two looks.
pub const LOOK: Duration = Duration::from_secs(1);
/// Looks in a row that may fail before the wait gives up: a restart of the API server takes less.
const PATIENCE: u32 = 60;

/// Decides about a Canary and its target.
pub type Judge = fn(&Canary, Option<&Deployment>, &Goal) -> Option<Exit>;

/// Waits, and exits by the outcome.
pub async fn run(session: &Session, args: &WaitArgs) -> Result<Exit> {
    let name = find::canary(session, &args.name).await?.name_any();
    let goal = Goal {
        revision: args.revision.clone(),
        following: None,
    };
    until(session, &name, goal, verdict, args.timeout).await
}

/// Looks until the judge says that it is over, or time is up. What changes is said on stderr.
pub async fn until(
    session: &Session,
    name: &str,
    goal: Goal,
    judge: Judge,
    timeout: Duration,
) -> Result<Exit> {
    let mut watcher = Watcher {
        goal,
        last: String::new(),
        patience: Patience::default(),
    };
    let looking = async {
        loop {
            if let Some(exit) = watcher.look(session, name, judge).await? {
                return Ok(exit);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    if let Ok(result) = tokio::time::timeout(timeout, looking).await {
        return result;
    }
    let limit = humantime::format_duration(timeout);
    screen::complain(&format!(
        "timed out after {limit}; the release goes on. Look with `serin -n {} status {name}`",
        session.namespace
    ));
    Ok(Exit::TimedOut)
}

/// Looks in a row that failed.
#[derive(Debug, Default)]
pub struct Patience {
    failures: u32,
}

impl Patience {
    /// What to say of a failed look, where the next one may succeed.
    ///
    /// # Errors
    /// The same one, where it cannot, or where too many failed.
    pub fn bear(&mut self, error: anyhow::Error) -> Result<String> {
        if !passing(&error) || self.failures >= PATIENCE {
            return Err(error);
        }
        self.failures += 1;
        Ok(format!("cannot look just now: {}", exit::words(&error)))
    }
}

struct Watcher {
    goal: Goal,
    last: String,
    patience: Patience,
}

impl Watcher {
    async fn look(&mut self, session: &Session, name: &str, judge: Judge) -> Result<Option<Exit>> {
        match read(session, name).await {
            Ok((canary, target)) => {
                self.patience = Patience::default();
                Ok(self.judge(&canary, target.as_ref(), judge))
            }
            Err(error) => {
                let trouble = self.patience.bear(error)?;
                self.say(trouble);
                Ok(None)
            }
        }
    }

    fn judge(
        &mut self,
        canary: &Canary,
        target: Option<&Deployment>,
        judge: Judge,
    ) -> Option<Exit> {
        if self.goal.follow(canary) && self.goal.revision.is_none() {
            self.say("another release took its place; waiting for that one".to_owned());
        }
        let verdict = judge(canary, target, &self.goal);
        let line = progress(canary);
        // An idle Canary that does not end the wait has not seen yet what was applied.
        let idle = canary
            .status
            .as_ref()
            .is_some_and(|status| status.phase.is_idle());
        self.say(if verdict.is_none() && idle {
            format!("{line} (the controller has not taken up the change yet)")
        } else {
            line
        });
        verdict
    }

    fn say(&mut self, line: String) {
        if line != self.last {
            screen::complain(&line);
            self.last = line;
        }
    }
}

/// The Canary and its target, both from the API server itself.
pub async fn read(session: &Session, name: &str) -> Result<(Canary, Option<Deployment>)> {
    let canary = session
        .api::<Canary>()
        .get(name)
        .await
        .context("read the Canary")?;
    let target = find::target(session, &canary).await?;
    Ok((canary, target))
}

/// The next look may succeed: the server is away or busy.
fn passing(error: &anyhow::Error) -> bool {
    let kube = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<kube::Error>());
    match kube {
        Some(kube::Error::Api(status)) => status.code == 429 || status.code >= 500,
        Some(kube::Error::Service(_) | kube::Error::HyperError(_)) => true,
        _ => false,
    }
}
