//! Programs as they are run: the tools of the tests on a real cluster (the application that Pods run, and the load that users make),
//! and the demo.

// Cargo builds examples with the tests, but runs no test in them.
#[expect(dead_code, reason = "only its tests run here")]
#[path = "../../examples/app.rs"]
mod app;
#[path = "../real/load.rs"]
mod load;

mod certificates;
mod demo;
mod screens;
mod terminal;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant, SystemTime};

use crate::load::program::report::Report;
use crate::load::{END, Load, within_sigma};

/// Replies once per connection, one of four as 2.0.0, and fails one of ten without meaning to.
fn server() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let mut stream = stream;
            let version = if number % 4 == 3 { "2.0.0" } else { "1.0.0" };
            let status = if number % 10 == 9 { 502 } else { 200 };
            let _ = stream.read(&mut [0; 1024]);
            let reply = format!(
                "HTTP/1.1 {status} R\r\nx-version: {version}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    address
}

#[test]
fn a_load_is_followed_while_it_runs_and_counted_when_it_ends() {
    let url = format!("http://{}/", server());
    let load = Load::with_arguments(None, &["--url", &url, "--rate", "50", "--count", "100"])
        .expect("the example `load`");
    let begun = SystemTime::now();
    let minute = Duration::from_secs(60);
    // The load ends by itself after 2 s, and then no more lines are waited for.
    let window = load.window(begun - minute, begun + minute);
    let window = window.expect("the load prints");
    assert_eq!((window.sent, window.lost), (100, 10));
    assert_eq!(load.snapshot(), window);
    let before = load.window(begun - minute, begun - minute / 2);
    assert_eq!(before.ok(), Some(Report::default()));

    let lost: u64 = load.losses().into_iter().map(|(_, lost)| lost).sum();
    assert_eq!(lost, 10);

    let total = load.stop().expect("a report");
    assert_eq!(total, window);
    assert!((total.share("2.0.0") - 0.25).abs() < 1e-9, "{total:?}");
    assert_eq!(total.replies(), 100);
    assert!(total.p50("2.0.0") <= total.p99("2.0.0"));
    assert!(total.p50("3.0.0").is_none());
}

#[test]
fn a_load_ends_when_it_is_stopped_and_says_when_it_cannot_run() {
    let url = format!("http://{}/", server());
    let begun = Instant::now();
    let load = Load::start(None, &url, "app.example.com", 20.0).expect("the example `load`");
    let total = load.stop().expect("a report");
    assert_eq!(total.sent, total.replies());
    assert!(begun.elapsed() < END);

    let refused = Load::start(None, "http://192.0.2.1/", "app.example.com", 1.0);
    let error = refused.and_then(Load::stop).expect_err("not for tests");
    assert!(error.to_string().contains("exit status: 2"), "{error}");
}

#[test]
fn a_share_may_differ_by_as_many_sigmas_as_said() {
    // Four sigmas of 4,000 at 10 % are 75.9 replies.
    for (replies, within) in [
        (400, true),
        (324, false),
        (325, true),
        (475, true),
        (476, false),
    ] {
        let share = f64::from(replies) / 4000.0;
        assert_eq!(within_sigma(share, 0.1, 4000, 4.0), within, "{replies}");
    }
    assert!(within_sigma(0.0, 0.0, 10, 4.0) && !within_sigma(0.1, 0.0, 10, 4.0));
    assert!(within_sigma(1.0, 1.0, 10, 4.0));
}
