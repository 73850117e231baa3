//! What is being looked at, on a terminal, if it takes more than a second.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// What is done within this time is not told.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells people what takes time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    /// On a terminal; elsewhere nothing is told.
    #[must_use]
    pub(super) fn of_stderr() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
        }
    }

    /// Nothing is told.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { shown: false }
    }

    /// Waits for an answer.
    pub(super) async fn during<T>(self, what: &str, answer: impl Future<Output = T>) -> T {
        tokio::pin!(answer);
        if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut answer).await {
            return answer;
        }
        self.write(&format!("looking at {what} …"));
        let answer = answer.await;
        self.write("");
        answer
    }

    /// Writes over the line that is there; nobody is left to tell if that fails.
    fn write(self, text: &str) {
        if self.shown {
            let mut out = io::stderr().lock();
            let _ = write!(out, "\r\x1b[K{text}");
            let _ = out.flush();
        }
    }
}
