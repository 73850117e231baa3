//! Real sockets on loopback, and a clock that stands still while anything can run: no test waits or is late.

use std::future::{pending, ready};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nx-version: 2.0.0\r\ncontent-length: 2\r\n\r\nok";

/// What a server does with each request that it has read.
#[derive(Clone, Copy)]
enum Does {
    Reply(&'static str),
    /// Closes the connection without a byte.
    Close,
    /// Replies once and closes the connection 5 ms later.
    CloseWhenIdle,
    /// Replies once and closes the connection when the second request is there.
    CloseOnSecond,
    /// Replies to nothing between 200 and 700 ms from its start.
    Stall,
}

async fn serve(does: Does) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let start = Instant::now();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, does, start));
        }
    });
    address
}

async fn connection(mut stream: TcpStream, does: Does, start: Instant) -> Option<()> {
    let mut bytes = [0; 1024];
    for number in 0.. {
        let read = stream.read(&mut bytes).await.ok()?;
        if read == 0 {
            return None;
        }
        let text = match does {
            Does::Reply(text) => text,
            Does::Close => return None,
            Does::CloseOnSecond if number > 0 => return None,
            Does::CloseOnSecond | Does::CloseWhenIdle => OK,
            Does::Stall => {
                let from = start + Duration::from_millis(200);
                let until = start + Duration::from_millis(700);
                if (from..until).contains(&Instant::now()) {
                    sleep_until(until).await;
                }
                OK
            }
        };
        stream.write_all(text.as_bytes()).await.ok()?;
        if matches!(does, Does::CloseWhenIdle) {
            sleep(Duration::from_millis(5)).await;
            return None;
        }
    }
    None
}

fn args(address: SocketAddr, more: &[&str]) -> Args {
    let url = format!("http://{address}/");
    let fixed = ["load", "--url", &url, "--duration", "1s"];
    Args::try_parse_from(fixed.iter().chain(more)).expect("valid arguments")
}

async fn load(address: SocketAddr, more: &[&str]) -> Report {
    let ledger = Arc::new(Ledger::new());
    drive(&args(address, more), &ledger, pending()).await;
    ledger.total().0
}

fn replies_over(report: &Report, time: Duration) -> usize {
    let latency = &report.by_version["2.0.0"].latency;
    let parts = (0..100).map(|percent| f64::from(percent + 1) / 100.0);
    parts
        .filter(|part| latency.percentile(*part) > Some(time))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_felt_by_every_request_that_was_due_in_it() {
    let server = serve(Does::Stall).await;
    let report = load(server, &["--rate", "200"]).await;
    assert_eq!((report.sent, report.lost, report.overload), (200, 0, 0));
    // Half of the requests are due in the stall, four fifths of them more than 100 ms before its end. A generator that
    // waited for a reply before it sends again would see one slow request.
    let slow = replies_over(&report, Duration::from_millis(100));
    assert!((30..=50).contains(&slow), "{slow} %");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_counted_as_overload() {
    let server = serve(Does::Stall).await;
    let report = load(server, &["--rate", "200", "--max-in-flight", "4"]).await;
    assert_eq!(report.sent + report.overload, 200);
    assert!((80..=100).contains(&report.overload), "{report:?}");
    assert_eq!(report.lost, 0);
}

#[tokio::test(start_paused = true)]
async fn each_way_to_lose_a_request_has_its_kind() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let free = closed.local_addr().expect("bound");
    drop(closed);
    let lost = async |address, kind: &str| {
        let report = load(address, &["--rate", "100", "--count", "10"]).await;
        assert_eq!((report.sent, report.lost), (10, 10), "{kind}");
        assert_eq!(report.errors, BTreeMap::from([(kind.to_owned(), 10)]));
    };
    lost(free, "refused").await;
    lost(serve(Does::Close).await, "closed").await;
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 0";
    lost(serve(Does::Reply("no HTTP\r\n\r\n")).await, "malformed").await;
    let half = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = half.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = half.accept().await {
            stream.write_all(cut.as_bytes()).await.expect("a client");
            stream.set_zero_linger().expect("a socket");
            sleep(Duration::from_millis(2)).await;
        }
    });
    lost(address, "reset").await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_application_is_not_lost_and_one_of_a_proxy_is() {
    let meant = "HTTP/1.1 500 E\r\nx-version: 2.0.0\r\nx-app-error: 1\r\ncontent-length: 0\r\n\r\n";
    let report = load(serve(Does::Reply(meant)).await, &["--count", "5"]).await;
    assert_eq!((report.sent, report.lost), (5, 0));
    assert_eq!(report.by_version["2.0.0"].app_errors, 5);

    let proxy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let report = load(serve(Does::Reply(proxy)).await, &["--count", "5"]).await;
    assert_eq!((report.sent, report.lost, report.stray), (5, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_while_idle_loses_nothing() {
    let server = serve(Does::CloseWhenIdle).await;
    let report = load(server, &["--rate", "20", "--count", "10"]).await;
    assert_eq!((report.sent, report.lost), (10, 0), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_on_its_way_into_a_closing_connection_is_lost_and_not_sent_again() {
    let server = serve(Does::CloseOnSecond).await;
    let report = load(server, &["--rate", "20", "--count", "10"]).await;
    assert_eq!((report.sent, report.lost), (10, 5), "{report:?}");
    assert_eq!(report.errors["closed-reused"], 5);
    let fresh = ["--rate", "20", "--count", "10", "--no-keep-alive"];
    assert_eq!(load(server, &fresh).await.lost, 0);
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept_and_the_end_is_early_when_told() {
    let server = serve(Does::Reply(OK)).await;
    let begun = Instant::now();
    let report = load(server, &["--rate", "50", "--count", "26"]).await;
    assert_eq!((report.sent, report.by_version["2.0.0"].replies), (26, 26));
    let took = begun.elapsed().as_millis();
    assert!((500..700).contains(&took), "{took} ms");

    let ledger = Arc::new(Ledger::new());
    drive(&args(server, &[]), &ledger, ready(())).await;
    assert_eq!(ledger.total().0, Report::default());
}

#[tokio::test(start_paused = true)]
async fn progress_adds_up_to_the_total() {
    let server = serve(Does::Reply(OK)).await;
    let ledger = Arc::new(Ledger::new());
    let mut sum = BTreeMap::new();
    for _ in 0..2 {
        drive(&args(server, &["--count", "5"]), &ledger, pending()).await;
        let Line::Progress { seconds, .. } = ledger.progress() else {
            unreachable!("progress is progress");
        };
        merge(&mut sum, &seconds);
    }
    let (total, seconds) = ledger.total();
    assert_eq!(sum, seconds);
    assert_eq!(total.sent, 10);
    assert!(as_text(&total).starts_with("10 sent, 0 lost"));
}

#[test]
fn only_addresses_of_the_tests_are_allowed() {
    for allowed in [
        "http://127.0.0.1:8080/",
        "http://127.9.9.9",
        "http://[::1]:80/x?y=z",
        "http://10.244.0.7:8080/a",
        "http://10.96.0.1/",
    ] {
        assert!(target(allowed).is_ok(), "{allowed}");
    }
    for refused in [
        "https://127.0.0.1/",
        "http://localhost/",
        "http://app.example.com/",
        "http://10.97.0.1/",
        "http://10.0.244.96/",
        "http://192.0.2.1/",
        "http://[::ffff:192.0.2.1]/",
        "127.0.0.1:80",
    ] {
        assert!(target(refused).is_err(), "{refused}");
    }
    let parsed = target("http://10.96.0.1/a?b=c").expect("allowed");
    assert_eq!(parsed.address, SocketAddr::from(([10, 96, 0, 1], 80)));
    assert_eq!((&*parsed.authority, &*parsed.path), ("10.96.0.1", "/a?b=c"));
}

#[test]
fn rates_durations_and_headers_are_bounded() {
    assert!(rate("0").is_err() && rate("5001").is_err() && rate("NaN").is_err());
    assert!(duration("61m").is_err() && duration("60m").is_ok());
    assert!(header("x-canary: always").is_ok());
    assert!(header("no colon").is_err() && header("a: b\r\nc: d").is_err());
}
