//! `serin demo` as a program: its ports, its kubeconfig, its end, its first release and its memory.

#![expect(
    clippy::panic,
    reason = "a test ends where it cannot go on, also in what tests share"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const SERIN: &str = env!("CARGO_BIN_EXE_serin");

/// So long anything may take; what hangs fails.
const LONGEST: Duration = Duration::from_secs(30);

/// From its start until the Canaries are listed. Without optimisation, beside other tests, more is allowed.
const LISTED: Duration = Duration::from_secs(if cfg!(debug_assertions) { 8 } else { 3 });
/// From its start until the first release is held: the gate is tried twice before, 5 s apart.
const FIRST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 10 });

/// Resident memory that it may have, in KiB.
const MEMORY: u64 = 150 * 1024;

/// A demo that runs.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    told: String,
    began: Instant,
    kubeconfig: PathBuf,
}

/// A folder of this test alone.
fn folder(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

impl Demo {
    fn start(name: &str, flags: &[&str]) -> Self {
        let kubeconfig = folder(name).join("kubeconfig");
        let mut child = Command::new(SERIN)
            .args(["demo", "--kubeconfig-out"])
            .arg(&kubeconfig)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let began = Instant::now();
        let (sender, lines) = channel();
        let out = child.stdout.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            lines,
            told: String::new(),
            began,
            kubeconfig,
        }
    }

    /// Waits for a line with these words, and says when it came.
    fn hear(&mut self, words: &str) -> Duration {
        loop {
            let left = LONGEST.saturating_sub(self.began.elapsed());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("{words}: {error} after\n{}", self.told));
            self.told.push_str(&line);
            self.told.push('\n');
            if line.contains(words) {
                return self.began.elapsed();
            }
        }
    }

    /// A line of /proc that counts KiB.
    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }

    /// Sends a signal, and waits for the end.
    fn stop(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill").success());
        self.end()
    }

    fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < LONGEST {
            if let Some(status) = self.child.try_wait().expect("a child") {
                self.told.extend(self.lines.iter().map(|line| line + "\n"));
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it goes on after\n{}", self.told);
    }

    /// What a command of `serin` says of this demo.
    fn serin(&self, arguments: &[&str]) -> Output {
        let command = Command::new(SERIN)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .output();
        command.expect("the program")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = self.kubeconfig.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The reply to a GET.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    reply
}

#[test]
fn a_demo_is_quick_small_and_leaves_nothing_behind() {
    let mut demo = Demo::start("run", &["--port", "0", "--api-port", "0"]);
    let listed = demo.hear("curl http://");
    let (_, rest) = demo
        .told
        .split_once("curl http://")
        .expect("it says how to ask");
    let address = rest.split('/').next().expect("an address").to_owned();
    let reply = get(&address, "/api/v1/canaries");
    for name in [
        "checkout",
        "mailer",
        "payments",
        "reviews",
        "search",
        "storefront",
        "website",
    ] {
        assert!(
            reply.contains(&format!("\"name\":\"{name}\"")),
            "{name}: {reply}"
        );
    }
    assert!(listed <= LISTED, "after {listed:?}:\n{}", demo.told);
    let table = demo.serin(&["get"]);
    assert!(table.status.success(), "{}", text(&table.stderr));
    assert!(
        text(&table.stdout).contains("storefront"),
        "{}",
        text(&table.stdout)
    );

    let first = demo.hear("is held");
    assert!(first <= FIRST, "after {first:?}:\n{}", demo.told);
    demo.hear("10 % of the requests go to 2.0.0 now");
    let memory = demo.memory("VmHWM");
    println!("Canaries after {listed:?}, first release after {first:?}, {memory} KiB at most");
    assert!(memory <= MEMORY, "{memory} KiB");

    assert_eq!(demo.stop("-INT"), Some(0), "{}", demo.told);
    assert!(demo.told.contains("Goodbye"), "{}", demo.told);
    assert!(
        !demo.told.contains('\x1b'),
        "colours without a terminal: {:?}",
        demo.told
    );
    assert!(
        !demo.told.contains("Enter"),
        "keys without a terminal:\n{}",
        demo.told
    );
    assert!(!demo.kubeconfig.exists());
    assert!(
        TcpStream::connect(&address).is_err(),
        "the port is still open"
    );
}

#[test]
fn it_ends_when_the_terminal_goes_and_when_it_is_told_so() {
    for signal in ["-TERM", "-HUP"] {
        let flags = ["--port", "0", "--api-port", "0", "--no-releases"];
        let mut demo = Demo::start(signal, &flags);
        demo.hear("from now on, a new version is held");
        assert_eq!(demo.stop(signal), Some(0), "{signal}: {}", demo.told);
        assert!(!demo.kubeconfig.exists(), "{signal}");
        assert!(!demo.told.contains("ships storefront"), "{}", demo.told);
    }
}

#[test]
fn a_named_port_that_is_taken_is_an_error_and_a_usual_one_is_not() {
    let other = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = other.local_addr().expect("bound").port().to_string();
    for flags in [
        ["--port", &port, "--api-port", "0"],
        ["--port", "0", "--api-port", &port],
    ] {
        let folder = folder(&format!("taken{}", flags[1]));
        let kubeconfig = folder.join("kubeconfig");
        let mut command = Command::new(SERIN);
        command
            .args(["demo", "--kubeconfig-out"])
            .arg(&kubeconfig)
            .args(flags);
        let output = command.stdin(Stdio::null()).output().expect("the program");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let flag = if flags[1] == port {
            "--port"
        } else {
            "--api-port"
        };
        let expected = format!(
            "error: port {port} is taken: name another one with {flag}, or 0 for any that is free\n"
        );
        assert_eq!(said, expected);
        assert!(output.stdout.is_empty() && !kubeconfig.exists());
        fs::remove_dir_all(folder).expect("a folder");
    }

    // Whoever has the usual ports: this test, or somebody else on this machine.
    let usual = [8080, 8001].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let mut demo = Demo::start("usual", &["--no-releases"]);
    demo.hear("Port 8080 is taken by somebody else; this uses ");
    demo.hear("Port 8001 is taken by somebody else; this uses ");
    demo.hear("from now on, a new version is held");
    assert_eq!(demo.stop("-INT"), Some(0), "{}", demo.told);
    drop(usual);
}

#[test]
fn a_file_is_not_written_over() {
    let kubeconfig = folder("file").join("kubeconfig");
    fs::write(&kubeconfig, "mine").expect("a file");
    let mut command = Command::new(SERIN);
    command.args(["demo", "--port", "0", "--api-port", "0", "--kubeconfig-out"]);
    let output = command
        .arg(&kubeconfig)
        .stdin(Stdio::null())
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("exists already"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(
        fs::read_to_string(&kubeconfig).expect("it is there"),
        "mine"
    );
}

#[test]
fn a_reader_that_goes_ends_it() {
    let flags = ["--port", "0", "--api-port", "0"];
    let mut child = Command::new(SERIN)
        .args(["demo"])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("KUBECONFIG=") {
        line.clear();
        assert!(out.read_line(&mut line).expect("it says") > 0);
    }
    let (_, path) = line.trim().split_once('=').expect("a path");
    drop(out);
    let output = child.wait_with_output().expect("an end");
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "")
    );
    assert!(!Path::new(path).exists());
}
