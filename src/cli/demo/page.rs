//! What stands on the screen: the introduction, one line for each thing that happens, and the goodbye.

use std::net::SocketAddr;
use std::path::Path;

use crate::cli::demo::applications::{ALL, HOME};
use crate::cli::demo::show::{Ended, Over, Told};
use crate::cli::screen::{Colour, Palette};
use crate::sim::traffic::ledger::Counts;

/// What a newcomer has to know.
#[derive(Debug)]
pub struct Introduction<'a> {
    /// Where Canaries can be read, and verbs asked for.
    pub reads: SocketAddr,
    /// The token of somebody who may do everything there.
    pub token: &'a str,
    /// The usual ports that somebody else has, and what is there instead.
    pub moved: Vec<(u16, u16)>,
    /// The way to the Kubernetes API.
    pub kubeconfig: &'a Path,
    /// How this program is called.
    pub program: &'a str,
    /// Releases come by themselves.
    pub ships: bool,
    /// Keys are heard.
    pub keys: bool,
}

impl Introduction<'_> {
    /// The text.
    #[must_use]
    pub fn text(&self, palette: Palette) -> String {
        let strong = |text: &str| palette.paint(Colour::Strong, text);
        let mut text = strong("Serin demo");
        text.push_str(": the real controller on a small Kubernetes inside this process. Nothing else is touched.\n");
        for (usual, now) in &self.moved {
            text.push_str(&format!(
                "Port {usual} is taken by somebody else; this uses {now}.\n"
            ));
        }
        text.push('\n');
        text.push_str(&self.applications(palette));
        let page = format!("http://{}/#token={}", self.reads, self.token);
        text.push_str(&format!("In a browser:\n\n  {}\n\n", strong(&page)));
        text.push_str(&self.commands(palette));
        text.push_str(&self.keys());
        text.push('\n');
        text
    }

    fn applications(&self, palette: Palette) -> String {
        let mut text = format!(
            "Applications in the namespace {HOME}, with users who send requests all the time:\n\n"
        );
        for application in &ALL {
            let name = palette.paint(Colour::Strong, &format!("{:<12}", application.name));
            text.push_str(&format!("  {name} {}\n", application.about));
        }
        text.push_str(if self.ships {
            "\nEach ships a new version in a moment, and Serin tries it on a part of the requests first.\n\n"
        } else {
            "\nNone ships by itself; Serin tries every new version on a part of the requests first.\n\n"
        });
        text
    }

    fn commands(&self, palette: Palette) -> String {
        let program = self.program;
        let rows = [
            (
                format!("export KUBECONFIG={}", self.kubeconfig.display()),
                "",
            ),
            (
                "kubectl get canaries -w".to_owned(),
                "every release at a glance",
            ),
            (
                format!("{program} status payments --watch"),
                "one release in full",
            ),
            (
                format!("{program} promote payments"),
                "go on where a person is waited for",
            ),
            (
                "kubectl set image deployment/mailer app=mailer:7.0.0-crash".to_owned(),
                "ship something yourself",
            ),
            (
                format!("curl http://{}/api/v1/canaries", self.reads),
                "the same as JSON",
            ),
        ];
        let width = rows.iter().skip(1).map(|(command, _)| command.len()).max();
        let mut text = "In a second terminal:\n\n".to_owned();
        for (command, what) in &rows {
            let note = palette.paint(Colour::Faint, &format!("# {what}"));
            let row = match what.is_empty() {
                true => format!("  {command}"),
                false => format!(
                    "  {command:<width$}  {note}",
                    width = width.unwrap_or_default()
                ),
            };
            text.push_str(&row);
            text.push('\n');
        }
        text.push_str(
            "\nThe tag of an image says what a version does: -errors20, -latency400p50, -crash, -notready, -missing; any other works.\n",
        );
        text
    }

    fn keys(&self) -> String {
        let keys = if self.keys {
            "Enter ships the next version. "
        } else {
            ""
        };
        format!("{keys}Ctrl-C ends the demo.\n")
    }
}

/// One thing that happened.
#[must_use]
pub fn line(told: &Told, palette: Palette) -> String {
    let time = palette.paint(Colour::Faint, &format!("{:>4} s", told.seconds));
    let about = palette.paint(Colour::Strong, &format!("{:<12}", told.about));
    let text = palette.paint(told.line.tone, &told.line.text);
    format!("{time}  {about}  {text}\n")
}

/// What it all came to.
#[must_use]
pub fn goodbye(ended: &Ended, users: Counts, palette: Palette) -> String {
    let mut text = String::from("\n");
    match &ended.over {
        Over::Asked => {}
        Over::Complete => text.push_str("Every release came to the end that it was to have.\n"),
        Over::Wrong(why) => {
            let why = format!("Not every release came to the end that it was to have: {why}\n");
            text.push_str(&palette.paint(Colour::Bad, &why));
        }
    }
    text.push_str(&format!(
        "In {} s {} promoted and {} rejected. Users sent {}: {} failed by the applications, {} without an answer.\n",
        ended.seconds,
        versions(ended.promoted),
        ended.rejected,
        counted(users.answered + users.lost, "request"),
        thousands(users.errors),
        thousands(users.lost),
    ));
    text.push_str("Goodbye; nothing is left behind.\n");
    text
}

fn versions(number: u32) -> String {
    match number {
        1 => "1 version was".to_owned(),
        number => format!("{number} versions were"),
    }
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", thousands(number))
}

/// A number with commas between its thousands.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::words::Line;

    #[test]
    fn numbers_are_in_thousands() {
        let rows = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, expected) in rows {
            assert_eq!(thousands(number), expected);
        }
    }

    #[test]
    fn a_line_reads_the_same_without_colour() {
        let told = Told {
            seconds: 7,
            about: "checkout".to_owned(),
            line: Line::new(Colour::Bad, "failed"),
        };
        let plain = line(&told, Palette { on: false });
        assert_eq!(plain, "   7 s  checkout      failed\n");
        let coloured = line(&told, Palette { on: true });
        assert!(coloured.contains("\x1b[31mfailed\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn a_port_that_is_taken_is_said() {
        let mut introduction = Introduction {
            reads: SocketAddr::from(([127, 0, 0, 1], 4711)),
            token: "t0ken",
            moved: vec![(8080, 4711)],
            kubeconfig: Path::new("/tmp/k"),
            program: "serin",
            ships: true,
            keys: true,
        };
        let text = introduction.text(Palette { on: false });
        for words in [
            "Port 8080 is taken by somebody else; this uses 4711.",
            "export KUBECONFIG=/tmp/k\n",
            "curl http://127.0.0.1:4711/api/v1/canaries",
            "  http://127.0.0.1:4711/#token=t0ken\n",
            "serin promote payments",
            "Enter ships",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        for application in &ALL {
            assert!(text.contains(application.about), "{text}");
        }
        introduction.keys = false;
        assert!(!introduction.text(Palette { on: false }).contains("Enter"));
    }

    #[test]
    fn the_goodbye_adds_up() {
        let ended = Ended {
            over: Over::Asked,
            seconds: 61,
            promoted: 1,
            rejected: 3,
        };
        let users = Counts {
            answered: 12_000,
            errors: 28,
            lost: 1,
            ..Counts::default()
        };
        assert_eq!(
            goodbye(&ended, users, Palette { on: false }),
            "\nIn 61 s 1 version was promoted and 3 rejected. Users sent 12,001 requests: 28 failed by the applications, 1 without \
             an answer.\nGoodbye; nothing is left behind.\n"
        );
    }
}
