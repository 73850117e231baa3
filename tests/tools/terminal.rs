//! `serin` on terminals: pseudo-terminals whose escape codes are interpreted, against an API server in this process.

#![expect(
    clippy::panic,
    reason = "a test ends where it cannot go on, also in what tests share"
)]

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Request;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};
use serin::cli::embedded;
use serin::clock::Clock;
use serin::sim::api::Who;
use serin::sim::listen::{self, People};
use serin::sim::requests::answer;
use serin::sim::world::World;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const SERIN: &str = env!("CARGO_BIN_EXE_serin");
/// So long anything may take; what hangs fails.
const LONGEST: Duration = Duration::from_secs(30);
/// The emulator is wider than the terminal says, so that a line that is too long is seen.
const WIDE: u16 = 300;

/// An API server in which nothing happens by itself.
pub(crate) struct Cluster {
    runtime: Runtime,
    world: World,
    who: Who,
    folder: PathBuf,
}

impl Cluster {
    pub(crate) fn start(name: &str, installed: bool) -> Self {
        let who = embedded::person("alice");
        let world = World::new(Clock::System, 0);
        if installed {
            embedded::install(&world).expect("installed");
        }
        let folder = format!("terminal-{name}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("bound");
        let bob = Who {
            user: "bob".to_owned(),
            groups: vec!["system:authenticated".to_owned()],
            manager: String::new(),
        };
        let people = People {
            tokens: [("alice".to_owned(), who.clone()), ("bob".to_owned(), bob)].into(),
            stranger: None,
        };
        let api = world.api.clone();
        runtime.spawn(listen::serve(listener, api, people, std::future::pending()));
        for token in ["alice", "bob", "expired"] {
            let config = listen::kubeconfig(address, token, "here");
            fs::write(folder.join(token), config).expect("a file");
        }
        let cluster = Self {
            runtime,
            world,
            who,
            folder,
        };
        cluster.ask(
            "POST",
            "/api/v1/namespaces",
            &json!({"metadata": {"name": "shop"}}),
        );
        cluster
    }

    /// Writes, and returns what the server says.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("content-type", kind)
            .body(body.to_string().into());
        let reply = answer(&self.world.api, &self.who, request.expect("a request"));
        let reply = self.runtime.block_on(reply);
        let good = reply.status().is_success();
        let body = self
            .runtime
            .block_on(axum::body::to_bytes(reply.into_body(), 1 << 24));
        let value: Value = serde_json::from_slice(&body.expect("a body")).unwrap_or_default();
        assert!(good, "{method} {path}: {value}");
        value
    }

    /// A Deployment and its Canary, with the Deployment's template under test; returns the revision of that.
    pub(crate) fn canary(&self, name: &str, status: &Value) -> String {
        let target = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}}
        });
        let target = self.ask("POST", "/apis/apps/v1/namespaces/shop/deployments", &target);
        let canary = json!({
            "apiVersion": "serin.dev/v1beta1", "kind": "Canary", "metadata": {"name": name},
            "spec": {"provider": "none", "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}}
        });
        let canaries = "/apis/serin.dev/v1beta1/namespaces/shop/canaries";
        self.ask("POST", canaries, &canary);
        let target = serin::digest::deployment(&target).expect("a Deployment");
        let revision = target.template.revision;
        let mut status = status.clone();
        // What is under test is what the target carries.
        status["candidate"]["revision"] = json!(revision);
        self.tell(name, &status);
        revision
    }

    /// The controller's part: a status.
    pub(crate) fn tell(&self, name: &str, status: &Value) {
        let path = format!("/apis/serin.dev/v1beta1/namespaces/shop/canaries/{name}/status");
        self.ask("PATCH", &path, &json!({"status": status}));
    }

    /// `serin` with the rights of somebody.
    pub(crate) fn serin(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(SERIN);
        command.arg("--kubeconfig").arg(self.folder.join(who));
        command.args(["-n", "shop"]).args(arguments);
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
        command
    }

    /// What a command says that is no terminal's.
    pub(crate) fn output(&self, who: &str, arguments: &[&str]) -> Output {
        let mut command = self.serin(who, arguments);
        command.stdin(Stdio::null()).output().expect("the program")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A terminal, and a program on it.
pub(crate) struct Terminal {
    child: Child,
    controller: OwnedFd,
    seen: Arc<Mutex<Seen>>,
    size: (u16, u16),
}

struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Runs a command on a terminal of so many columns and rows.
    pub(crate) fn run(mut command: Command, columns: u16, rows: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).expect("granted");
        unlockpt(&controller).expect("unlocked");
        let path = ptsname(&controller, Vec::new()).expect("a name");
        let path = path.to_str().expect("a name");
        let open = || -> File {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .open(path)
                .expect("a terminal")
        };
        let own = open();
        resize(&controller, columns, rows);
        command.stdin(open()).stdout(open()).stderr(open());
        let child = command.spawn().expect("the program");
        drop(command);
        drop(own);
        let seen = Seen {
            screen: vt100::Parser::new(rows, WIDE, 2_000),
            bytes: Vec::new(),
        };
        let seen = Arc::new(Mutex::new(seen));
        let (shared, reader) = (Arc::clone(&seen), controller.try_clone().expect("a copy"));
        std::thread::spawn(move || {
            let (mut reader, mut bytes) = (File::from(reader), [0; 4096]);
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                let mut seen = shared.lock().expect("no panic");
                seen.screen.process(&bytes[..length]);
                seen.bytes.extend(&bytes[..length]);
            }
        });
        Self {
            child,
            controller,
            seen,
            size: (columns, rows),
        }
    }

    /// The screen as it is now. No line of it is wider than the terminal.
    pub(crate) fn screen(&self) -> String {
        let seen = self.seen.lock().expect("no panic");
        let text = seen.screen.screen().contents();
        for line in text.lines() {
            let width = serin::cli::text::width(line.trim_end());
            assert!(width <= self.size.0.into(), "{width} cells: {line}\n{text}");
        }
        text
    }

    /// All that was written, with its escape codes.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("no panic").bytes).into_owned()
    }

    /// Waits until words are on the screen, and returns it.
    #[track_caller]
    pub(crate) fn see(&self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(words) {
                return screen;
            }
            assert!(
                begun.elapsed() < LONGEST,
                "no {words:?}:\n{screen}\n{}",
                self.written()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Another size, of which the program is told.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.size = (columns, rows);
        {
            let mut seen = self.seen.lock().expect("no panic");
            // What stands there is of the old width until it is drawn anew.
            seen.screen.screen_mut().set_size(rows, WIDE);
            seen.screen.process(b"\x1b[2J");
        }
        resize(&self.controller, columns, rows);
        self.signal("-WINCH");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// The exit code, when it has ended and all is read.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            if let Some(status) = self.child.try_wait().expect("a child") {
                std::thread::sleep(Duration::from_millis(100));
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it goes on:\n{}", self.screen());
    }

    /// Whether the terminal is as a shell needs it.
    pub(crate) fn is_restored(&self) -> bool {
        let seen = self.seen.lock().expect("no panic");
        let screen = seen.screen.screen();
        !screen.hide_cursor() && !screen.alternate_screen()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(controller: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(controller, size).expect("a size");
}
