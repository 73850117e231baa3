//! What the person at the terminal wants: signals end the demo, and Enter ships.

use std::io::{BufRead, IsTerminal, stdin};

use anyhow::{Context, Result};
use futures::stream::{self, Stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::demo::show::Wish;

/// Wishes by signals, and by keys if there is somebody who types.
///
/// # Errors
/// When signals cannot be heard.
pub fn hear(keys: bool) -> Result<impl Stream<Item = Wish> + Send> {
    let (sender, receiver) = mpsc::channel(8);
    // SIGHUP is what a terminal sends that is closed.
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    for kind in kinds {
        let mut signals = signal(kind).context("listen to signals")?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(Wish::End).await.is_ok() {}
        });
    }
    if keys {
        // A thread of its own: reading a terminal cannot be called off, and nobody waits for this thread.
        std::thread::spawn(move || type_into(&sender));
    }
    Ok(stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    }))
}

fn type_into(sender: &mpsc::Sender<Wish>) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        let wish = wish(&line);
        if wish.is_some_and(|wish| sender.blocking_send(wish).is_err()) {
            return;
        }
    }
}

/// What a typed line means.
fn wish(line: &str) -> Option<Wish> {
    match line.trim() {
        "" => Some(Wish::Ship),
        "q" | "quit" | "exit" => Some(Wish::End),
        _ => None,
    }
}

/// Somebody can type: standard input is a terminal, and this process is in its foreground. One in the background would be
/// stopped by reading.
#[must_use]
pub fn somebody_types() -> bool {
    // Where there is no /proc, the terminal alone decides.
    let stat = std::fs::read_to_string("/proc/self/stat").ok();
    stdin().is_terminal() && stat.is_none_or(|stat| in_foreground(&stat))
}

/// Whether the process group of a process is that of its terminal, by its line in /proc.
fn in_foreground(stat: &str) -> bool {
    // The name of the program is in parentheses, and may have any letter in it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<_> = fields.split_whitespace().collect();
    matches!(fields.as_slice(), [_, _, group, _, _, foreground, ..] if group == foreground)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wishes() {
        let rows = [
            ("", Some(Wish::Ship)),
            (" q ", Some(Wish::End)),
            ("hello", None),
        ];
        for (line, expected) in rows {
            assert_eq!(wish(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_process_in_the_background_is_not_typed_to() {
        let rows = [
            ("12 (serin) S 1 12 10 34816 12 4194304 0", true),
            ("12 (a b) c) S 1 12 10 34816 12 4194304 0", true),
            ("12 (serin) S 1 12 10 34816 10 4194304 0", false),
            ("12 (serin) S 1 12 10 0 -1 4194304 0", false),
            ("", false),
        ];
        for (stat, expected) in rows {
            assert_eq!(in_foreground(stat), expected, "{stat:?}");
        }
    }
}
