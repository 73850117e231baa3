//! Exit codes, and errors that say what to do next.

use std::io;
use std::process::ExitCode;

use crate::cli::screen;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: rejected, refused or failed.
    Failed,
    /// 2: wrong usage.
    Usage,
    /// 3: timed out.
    TimedOut,
    /// 130: stopped by a signal, as Ctrl-C sends it.
    Stopped,
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::TimedOut => 3,
            Self::Stopped => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A mistake in what was typed that only shows against the cluster.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// Reports what the parser found; help is no error.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if this fails.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Done.into()
    }
}

/// Reports why a command could not be done.
pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    if left(error) {
        return Exit::Done.into();
    }
    screen::complain(&format!("error: {}", words(error)));
    if let Some(hint) = hint(error) {
        screen::complain(&hint);
    }
    if error.is::<Misuse>() {
        Exit::Usage.into()
    } else {
        Exit::Failed.into()
    }
}

/// The reader of our output went away, as `head` does.
fn left(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The chain of causes in one line. Of the API server's errors only its own message: the rest is a dump.
pub fn words(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let api = status(cause);
        let text = api.map_or_else(|| cause.to_string(), |status| status.message.clone());
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        if api.is_some() {
            break;
        }
    }
    parts.join(": ")
}

fn status<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a kube::core::Status> {
    match cause.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// What to try, where the cause says.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    let kube = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<kube::Error>())?;
    let text = match kube {
        kube::Error::Api(status) => match status.code {
            401 => {
                "the credentials of the kubeconfig were not accepted: log in again, or choose another --context"
            }
            403 => {
                "the roles serin-view (reading), serin-operator (verbs) and serin-admin (promote --full) give these rights: have one bound \
                 to you, and see with `kubectl auth can-i get canaries.serin.dev`"
            }
            404 if status
                .details
                .as_ref()
                .is_none_or(|details| details.name.is_empty()) =>
            {
                "the cluster does not know Canaries: install them with `serin crd | kubectl apply -f -`"
            }
            409 => "somebody else wrote at the same time: try again",
            _ => return None,
        },
        kube::Error::Service(_) | kube::Error::HyperError(_) => {
            "the cluster does not answer: see whether `kubectl cluster-info` works with the same --context"
        }
        kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => {
            "say which cluster is meant: set KUBECONFIG, or pass --kubeconfig or --context"
        }
        kube::Error::Auth(_) => {
            "the kubeconfig's credentials could not be made: run its login command, or see what `kubectl get namespaces` says"
        }
        _ => return None,
    };
    Some(format!("hint: {text}"))
}
