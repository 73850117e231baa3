//! What a person sees of `status --watch`, `get` and `wait` on a terminal, and a program through a pipe.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::terminal::{Cluster, Terminal};

const NAME: &str = "checkout-service-for-the-european-market-with-a-long-name";

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A release at a weight, in words that are too long for any line.
fn progressing(weight: u8) -> Value {
    json!({
        "observedGeneration": 1, "phase": "Progressing", "canaryWeight": weight,
        "message": format!("{weight}% → 分析中、数値を集めています: 2 of 3 checks have passed, and the next one is due within a few seconds"),
        "stable": {"revision": "6dd7b68f5c", "images": ["registry.example.com/team/checkout-service:1.24.0-alpine"]},
        "candidate": {"revision": "5c4cdc8ff0", "images": ["registry.example.com/team/イメージ:2.0.0"]},
        "plan": [{"weight": 10, "checks": 3}, {"weight": 50, "checks": 3, "pause": {}}, {"weight": 100, "checks": 3}],
        "step": {"index": 1, "of": 3, "startedAt": "2030-01-01T00:04:00Z", "deadlineAt": "2030-01-01T00:14:00Z", "passed": 2},
        "checks": [{"name": "request-success-rate", "verdict": "Pass", "value": "99.93%", "stable": "99.95%", "limit": ">= 99",
            "samples": 18422, "at": "2030-01-01T00:04:30Z"}],
        "diagnosis": [{"object": "web-canary-b", "container": "app", "reason": "ImagePullBackOff",
            "message": "no such\nimage \u{1b}[31m", "hint": "look at the name of the image"}]
    })
}

fn promoted(revision: &str) -> Value {
    json!({
        "phase": "Succeeded", "canaryWeight": 0, "message": "promoted", "step": null, "checks": [], "diagnosis": [],
        "stable": {"revision": revision, "images": ["app:2"]}, "candidate": null
    })
}

#[test]
fn a_watched_release_is_drawn_until_it_ends() {
    let cluster = Cluster::start("watch", true);
    let revision = cluster.canary(NAME, &progressing(10));
    let watch = cluster.serin("alice", &["status", NAME, "--watch"]);
    let mut terminal = Terminal::run(watch, 80, 24);
    let screen = terminal.see("→ 分析中");
    assert!(screen.contains("try: look"), "{screen}");
    assert!(screen.starts_with(&format!("shop/{NAME}")), "{screen}");

    cluster.tell(NAME, &json!({"message": "short"}));
    let screen = terminal.see("│ short");
    assert!(!screen.contains("due within"), "{screen}");

    terminal.resize(40, 8);
    let screen = terminal.see("more lines");
    assert_eq!(screen.lines().count(), 8, "{screen}");
    terminal.resize(80, 24);
    terminal.see("try: look");
    assert!(!terminal.is_restored());

    cluster.tell(NAME, &promoted(&revision));
    assert_eq!(terminal.end(), Some(0), "{}", terminal.screen());
    let expected = format!("shop/{NAME}  Succeeded\n│ promoted\n└─ stable   {revision}  app:2");
    let screen = terminal.screen();
    assert!(screen.starts_with(&expected), "{screen}");
    assert!(!screen.contains("try: look"), "{screen}");
    assert!(terminal.is_restored());
}

#[test]
fn whoever_stops_watching_gets_the_terminal_back() {
    let cluster = Cluster::start("stop", true);
    cluster.canary("web", &progressing(50));
    for signal in ["-INT", "-TERM"] {
        let watch = cluster.serin("alice", &["status", "web", "--watch"]);
        let mut terminal = Terminal::run(watch, 80, 24);
        terminal.see("next one is due");
        assert!(!terminal.is_restored());
        terminal.signal(signal);
        assert_eq!(terminal.end(), Some(130), "{signal}");
        assert!(terminal.is_restored(), "{signal}");
        assert!(
            terminal.screen().contains("shop/web"),
            "{}",
            terminal.screen()
        );
    }
}

#[test]
fn without_a_screen_there_are_lines_and_no_escape_codes() {
    let cluster = Cluster::start("lines", true);
    let revision = cluster.canary("web", &progressing(50));
    let mut dumb = cluster.serin("alice", &["status", "web", "--watch"]);
    dumb.env("TERM", "dumb");
    let mut terminal = Terminal::run(dumb, 80, 24);
    terminal.see("Progressing 50%, step 2 of 3");
    let mut piped = cluster.serin("alice", &["status", "web", "--watch"]);
    let mut piped = piped.stdout(Stdio::piped()).spawn().expect("the program");
    let mut out = BufReader::new(piped.stdout.take().expect("piped"));
    let mut lines = String::new();
    out.read_line(&mut lines).expect("a line");
    cluster.tell("web", &promoted(&revision));
    assert_eq!(terminal.end(), Some(0));
    let written = terminal.written();
    assert!(!written.contains('\u{1b}'), "{written}");
    assert!(terminal.screen().contains("Succeeded: promoted"));
    out.read_to_string(&mut lines).expect("lines");
    assert_eq!(piped.wait().expect("an end").code(), Some(0));
    assert!(lines.ends_with("Succeeded: promoted\n"), "{lines}");
    assert!(
        !lines.contains('\u{1b}') && lines.lines().count() == 2,
        "{lines}"
    );

    let mut plain = cluster.serin("alice", &["status", "web"]);
    plain.env("NO_COLOR", "1");
    let mut terminal = Terminal::run(plain, 40, 24);
    assert_eq!(terminal.end(), Some(0));
    assert!(
        !terminal.written().contains('\u{1b}'),
        "{}",
        terminal.written()
    );
    terminal.screen();
}

#[test]
fn five_hundred_canaries_are_listed_in_any_width() {
    let cluster = Cluster::start("many", true);
    for number in 0..500 {
        cluster.canary(&format!("{NAME}-{number}"), &progressing(50));
    }
    for (columns, arguments) in [
        (80, &["get"][..]),
        (40, &["get", "-A"]),
        (80, &["get", "-A", "-o", "wide"]),
        (200, &["get", "-o", "wide"]),
    ] {
        let mut terminal = Terminal::run(cluster.serin("alice", arguments), columns, 600);
        assert_eq!(terminal.end(), Some(0));
        let screen = terminal.screen();
        assert_eq!(screen.lines().count(), 501, "{arguments:?}");
        assert!(
            screen.contains("Progressing") && screen.contains("50%"),
            "{screen}"
        );
    }
    let piped = said(&cluster.output("alice", &["get"]).stdout);
    assert!(
        piped.contains(&format!("{NAME}-499")),
        "whole names for programs: {piped}"
    );

    for arguments in [&["get"][..], &["get", "-o", "yaml"], &["get", "-o", "json"]] {
        let mut command = cluster.serin("alice", arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        drop(out);
        let output = child.wait_with_output().expect("an end");
        let end = (output.status.code(), said(&output.stderr));
        assert_eq!(end, (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_changed_canary_is_listed_again() {
    let cluster = Cluster::start("again", true);
    cluster.canary("web", &progressing(10));
    let terminal = Terminal::run(cluster.serin("alice", &["get", "--watch"]), 80, 24);
    terminal.see("10%");
    cluster.tell("web", &progressing(50));
    terminal.see("50%");
    cluster.ask(
        "DELETE",
        "/apis/serin.dev/v1beta1/namespaces/shop/canaries/web",
        &Value::Null,
    );
    let screen = terminal.see("(deleted)");
    assert_eq!(screen.matches("NAME").count(), 1, "{screen}");
    assert!(!terminal.written().contains('\u{1b}'));
}

#[test]
fn who_waits_is_told_in_lines_that_fit() {
    let cluster = Cluster::start("wait", true);
    let revision = cluster.canary("web", &progressing(10));
    let mut terminal = Terminal::run(cluster.serin("alice", &["wait", "web"]), 60, 24);
    terminal.see("next one is due");
    cluster.tell("web", &promoted(&revision));
    assert_eq!(terminal.end(), Some(0));
    assert!(
        terminal.screen().ends_with("Succeeded: promoted"),
        "{}",
        terminal.screen()
    );

    let output = cluster.output(
        "alice",
        &["wait", "web", "--revision", "later1", "--timeout", "1s"],
    );
    assert_eq!(output.status.code(), Some(3));
    let text = said(&output.stderr);
    assert!(text.contains("`serin -n shop status web`"), "{text}");
}

#[test]
fn an_error_says_what_to_do_next() {
    let (cluster, bare) = (
        Cluster::start("errors", true),
        Cluster::start("bare", false),
    );
    cluster.canary("checkout", &progressing(10));
    let rows: [(&Cluster, &str, &[&str], i32, &str); 6] = [
        (
            &cluster,
            "alice",
            &["status", "chekout"],
            1,
            "did you mean checkout?",
        ),
        (
            &cluster,
            "alice",
            &["status", "checkout", "-n", "mill"],
            1,
            "there is one in namespace shop: pass -n shop",
        ),
        (
            &cluster,
            "expired",
            &["get"],
            1,
            "hint: the credentials of the kubeconfig were not accepted: log in again",
        ),
        (
            &cluster,
            "bob",
            &["get"],
            1,
            "hint: the roles serin-view (reading)",
        ),
        (
            &cluster,
            "alice",
            &["get", "--context", "heer"],
            2,
            "has no context heer; did you mean here?",
        ),
        (
            &bare,
            "alice",
            &["get"],
            1,
            "hint: the cluster does not know Canaries: install them with `serin crd | kubectl apply",
        ),
    ];
    for (cluster, who, arguments, code, expected) in rows {
        let output = cluster.output(who, arguments);
        let text = said(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(
            text.starts_with("error: ") && text.contains(expected),
            "{text}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_kubeconfig_that_is_missing_is_told() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    let output = command
        .args(["get", "--kubeconfig", "/does/not/exist"])
        .output();
    let output = output.expect("the program");
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("is not there: set KUBECONFIG"), "{text}");
}

#[test]
fn a_cluster_that_is_away_is_told() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("away-{}", std::process::id()));
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = nobody.local_addr().expect("bound");
    drop(nobody);
    std::fs::write(&file, serin::sim::listen::kubeconfig(address, "x", "x")).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_serin"));
    let output = command
        .env("KUBECONFIG", &file)
        .arg("get")
        .output()
        .expect("the program");
    std::fs::remove_file(file).expect("a file");
    let text = said(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("Connection refused") && text.contains("hint: the cluster does not answer"),
        "{text}"
    );
}

#[test]
fn help_fits_the_terminal() {
    for command in ["get", "status", "disarm", "migrate"] {
        let mut serin = Command::new(env!("CARGO_BIN_EXE_serin"));
        serin.args([command, "--help"]);
        let mut terminal = Terminal::run(serin, 80, 200);
        assert_eq!(terminal.end(), Some(0));
        assert!(terminal.screen().contains("Usage: serin"), "{command}");
    }
}

#[test]
fn the_plugin_of_kubectl_speaks_of_itself_as_such() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join(format!("plugin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let plugin = folder.join("kubectl-serin");
    symlink(env!("CARGO_BIN_EXE_serin"), &plugin).expect("a link");
    let run = |arguments: &[&str]| {
        let output = Command::new(&plugin).args(arguments).output();
        output.expect("the program")
    };
    assert!(said(&run(&["--help"]).stdout).contains("Usage: kubectl serin "));
    assert!(said(&run(&["wait", "--help"]).stdout).contains("Usage: kubectl serin wait "));
    let wrong = run(&["wait"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        said(&wrong.stderr).contains("Usage: kubectl serin wait "),
        "{}",
        said(&wrong.stderr)
    );
    assert!(said(&run(&["completion", "bash"]).stdout).contains("kubectl-serin"));
    std::fs::remove_dir_all(folder).expect("a folder");
}
