use std::time::Duration;

use super::*;
use crate::sim::prometheus::{Prometheus, Scraping};
use crate::sim::promql::labels::NAME;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn name(name: &str) -> Name {
    Name::new("shop", name)
}

fn pod(pod: &str, image: &str) -> Pod {
    Pod {
        name: name(pod),
        address: format!("{pod}:8080"),
        job: Some("web".to_owned()),
        image: image.to_owned(),
        version: behaviour::version_of_image(image).to_owned(),
        replies: crate::sim::behaviour::Behaviour::of(&serde_json::json!({"image": image})).replies,
        starts: 0,
        answers: true,
        sidecar: None,
    }
}

fn branch(weight: u32, pods: &[&str]) -> Branch {
    Branch {
        weight,
        pods: pods.iter().map(|pod| name(pod)).collect(),
        counted: Labels::of([("service", format!("web-{weight}").as_str())]),
        copies: false,
    }
}

fn by_image(pod: &Pod, _: Timestamp) -> Behaviour {
    pod.replies
}

/// 200 requests a second to two stable Pods and one canary that fails 5 %, at 10 % of the traffic.
fn world(chance: Chance) -> Traffic {
    let mut traffic = Traffic::new(1, chance, second(1000));
    for (pod_name, image) in [
        ("a", "app:1.0.0"),
        ("b", "app:1.0.0"),
        ("c", "app:2.0.0-errors5-latency300p2"),
    ] {
        traffic.pod(pod(pod_name, image));
    }
    traffic.send(&name("web"), Rate::Constant(200.0));
    traffic.route(
        &name("web"),
        vec![branch(90, &["a", "b"]), branch(10, &["c"])],
    );
    traffic
}

fn run(traffic: &mut Traffic, seconds: i64) {
    let start = traffic.now();
    for second in 1..=seconds {
        traffic.advance(start + Duration::from_secs(second as u64), &by_image);
    }
}

#[test]
fn shares_and_errors_are_exact() {
    let mut traffic = world(Chance::Even);
    run(&mut traffic, 600);
    let ledger = traffic.ledger(&name("web")).unwrap();
    let counts = |answered, errors| Counts {
        answered,
        errors,
        ..Counts::default()
    };
    assert_eq!(ledger.counts("1.0.0"), counts(108_000, 0));
    assert_eq!(ledger.counts("2.0.0"), counts(12_000, 600));
    assert_eq!(ledger.share("2.0.0", second(1060), second(1120)), Some(0.1));
    assert_eq!(
        ledger.between("2.0.0", second(1000), second(1001)).answered,
        20
    );
    assert_eq!(ledger.share("2.0.0", second(900), second(1000)), None);
    assert_eq!((ledger.lost(), ledger.losses()), (0, vec![]));
    assert_eq!(traffic.lost(), 0);
}

#[test]
fn chance_is_repeatable_and_about_right() {
    let totals = |seed| {
        let mut traffic = Traffic {
            seed: Seed::new(seed),
            ..world(Chance::Drawn)
        };
        traffic.flows.clear();
        traffic.send(&name("web"), Rate::Constant(200.0));
        traffic.route(
            &name("web"),
            vec![branch(90, &["a", "b"]), branch(10, &["c"])],
        );
        run(&mut traffic, 600);
        let ledger = traffic.ledger(&name("web")).unwrap();
        (ledger.counts("1.0.0"), ledger.counts("2.0.0"))
    };
    assert_eq!(totals(1), totals(1));
    assert_ne!(totals(1), totals(2));
    let (stable, canary) = totals(1);
    assert!(stable.answered.abs_diff(108_000) < 1_700, "{stable:?}");
    assert!(canary.answered.abs_diff(12_000) < 550, "{canary:?}");
    assert!(canary.errors.abs_diff(600) < 125, "{canary:?}");
}

#[test]
fn requests_without_an_answer_are_lost() {
    let mut traffic = world(Chance::Even);
    run(&mut traffic, 10);
    // The canary's process ends, but its endpoint stays for a second.
    traffic.pod(Pod {
        answers: false,
        ..pod("c", "app:2.0.0-errors5-latency300p2")
    });
    run(&mut traffic, 1);
    // No endpoint is left for it.
    traffic.route(&name("web"), vec![branch(90, &["a", "b"]), branch(10, &[])]);
    run(&mut traffic, 1);
    traffic.route(&name("web"), vec![branch(90, &["a", "b"]), branch(0, &[])]);
    run(&mut traffic, 10);
    // No route.
    traffic.route(&name("web"), vec![]);
    run(&mut traffic, 1);
    // A Pod that is gone altogether.
    traffic.pod_gone(&name("c"));
    traffic.route(&name("web"), vec![branch(1, &["c"])]);
    run(&mut traffic, 1);
    let ledger = traffic.ledger(&name("web")).unwrap();
    assert_eq!(ledger.counts("2.0.0").lost, 20);
    assert_eq!(ledger.counts("").lost, 20 + 200 + 200);
    assert_eq!(
        ledger.losses(),
        [
            (second(1011), 20),
            (second(1012), 20),
            (second(1023), 200),
            (second(1024), 200)
        ]
    );
    let Counts { answered, lost, .. } = ledger.total();
    assert_eq!(answered + lost, 24 * 200);
}

#[test]
fn quiet_users_leave_no_history() {
    let mut traffic = world(Chance::Even);
    traffic.send(&name("web"), Rate::Quiet);
    run(&mut traffic, 100);
    let ledger = traffic.ledger(&name("web")).unwrap();
    assert_eq!(ledger.total(), Counts::default());
    traffic.send(&name("web"), Rate::Constant(0.3));
    run(&mut traffic, 100);
    assert_eq!(traffic.ledger(&name("web")).unwrap().total().answered, 30);
}

/// Scrapes for a time, in steps of the interval.
fn scraped(traffic: &mut Traffic, prometheus: &mut Prometheus, scrapes: usize) {
    for _ in 0..scrapes {
        let at = prometheus.next_scrape();
        traffic.advance(at, &by_image);
        let pages = traffic.pages(|target| prometheus.is_due(target));
        prometheus.scrape(&pages);
    }
}

fn asked(prometheus: &Prometheus, query: &str) -> String {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let (_, reply) = prometheus.answer("/api/v1/query", &format!("query={query}"), "");
    let series = reply["data"]["result"].as_array().unwrap();
    let lines = series
        .iter()
        .map(|series| format!("{} {}", series["metric"], series["value"][1]));
    lines.collect::<Vec<_>>().join("\n").replace('"', "")
}

#[test]
fn prometheus_sees_what_the_pods_and_the_proxy_count() {
    let mut traffic = world(Chance::Even);
    let target = Labels::of([
        ("job", "traefik"),
        ("instance", "t:8082"),
        ("namespace", "traefik"),
        ("pod", "t"),
    ]);
    traffic.count_in_proxy(&families::TRAEFIK, target);
    let mut prometheus = Prometheus::new(Scraping::default(), second(1000));
    scraped(&mut traffic, &mut prometheus, 24);
    let rows = [
        (
            "sum by (status) (http_request_duration_seconds_count)",
            "{status:200} 23880\n{status:500} 120",
        ),
        (
            "http_request_duration_seconds_count{pod=\"a\"}",
            "{__name__:http_request_duration_seconds_count,instance:a:8080,job:web,method:GET,namespace:shop,path:/,pod:a,status:200} 10800",
        ),
        (
            "sum by (pod) (rate(http_request_duration_seconds_count{pod=~\"a|c\"}[1m]))",
            "{pod:a} 90\n{pod:c} 20",
        ),
        (
            "sum(http_request_duration_seconds_bucket{pod=\"c\",le=\"+Inf\"}) - sum(http_request_duration_seconds_bucket{pod=\"c\",le=\"0.25\"})",
            "{} 48",
        ),
        (
            "sum by (service, code) (traefik_service_requests_total)",
            "{code:200,service:web-10} 2280\n{code:200,service:web-90} 21600\n{code:500,service:web-10} 120",
        ),
        (
            "sum(traefik_service_request_duration_seconds_bucket{le=\"+Inf\"}) == sum(traefik_service_requests_total)",
            "{} 24000",
        ),
        ("count(up == 1)", "{} 4"),
        (
            "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{pod=\"a\"}[1m]))) < 0.01 > 0.005",
            "x",
        ),
    ];
    for (query, expected) in rows {
        let found = asked(&prometheus, query);
        let several = expected == "x" && !found.is_empty();
        assert!(several || found == expected, "{query}: {found}");
    }
}

#[test]
fn a_new_process_begins_at_zero_and_a_gone_one_ends() {
    let mut traffic = world(Chance::Even);
    let mut prometheus = Prometheus::new(Scraping::default(), second(1000));
    scraped(&mut traffic, &mut prometheus, 3);
    traffic.pod(Pod {
        starts: 1,
        ..pod("a", "app:1.0.0")
    });
    scraped(&mut traffic, &mut prometheus, 1);
    let query = "sum by (pod) (http_request_duration_seconds_count{pod=~\"a|b\"})";
    assert_eq!(asked(&prometheus, query), "{pod:a} 450\n{pod:b} 1800");
    assert_eq!(
        asked(
            &prometheus,
            "sum by (pod) (resets(http_request_duration_seconds_count{pod=~\"a|b\"}[1m]))"
        ),
        "{pod:a} 1\n{pod:b} 0"
    );
    traffic.pod_gone(&name("b"));
    scraped(&mut traffic, &mut prometheus, 1);
    assert_eq!(asked(&prometheus, query), "{pod:a} 900");
}

#[test]
fn histograms_are_whole() {
    let mut traffic = world(Chance::Drawn);
    run(&mut traffic, 60);
    for page in traffic.pages(|_| true) {
        let values = page.values.unwrap();
        let series = page.columns.iter().zip(values);
        let (mut last, mut infinite) = (0.0, None);
        for (labels, value) in series {
            match (
                labels.get(NAME).rsplit_once('_').unwrap().1,
                labels.get("le"),
            ) {
                ("bucket", "0.005") => last = value,
                ("bucket", le) => {
                    assert!(value >= last && value.fract() == 0.0, "{labels}");
                    last = value;
                    infinite = (le == "+Inf").then_some(value).or(infinite);
                }
                ("count", _) => assert_eq!(Some(value), infinite, "{labels}"),
                _ => assert!(value > 0.0),
            }
        }
    }
}

#[test]
fn moments_are_forgotten_and_sums_are_not() {
    let mut traffic = world(Chance::Even);
    traffic.remember(2);
    run(&mut traffic, 10);
    let ledger = traffic.ledger(&name("web")).unwrap();
    assert_eq!(ledger.total().answered, 2000);
    let last = ledger.between("1.0.0", second(1009), second(1010));
    assert_eq!(last.answered, 180);
    assert_eq!(ledger.share("1.0.0", second(1000), second(1008)), None);
}

/// A canary that gets a fifth of the requests as copies.
#[test]
fn copies_are_answered_and_seen_by_nobody() {
    let mut traffic = world(Chance::Even);
    let copies = Branch {
        copies: true,
        ..branch(20, &["c"])
    };
    traffic.route(&name("web"), vec![branch(1, &["a", "b"]), copies.clone()]);
    run(&mut traffic, 60);
    let ledger = traffic.ledger(&name("web")).unwrap();
    let copied = Counts {
        copied: 2400,
        ..Counts::default()
    };
    assert_eq!(ledger.counts("2.0.0"), copied);
    assert_eq!(ledger.counts("1.0.0").answered, 12_000);
    // Nobody misses a copy.
    traffic.pod_gone(&name("c"));
    run(&mut traffic, 60);
    assert_eq!(traffic.lost(), 0);
}

/// A sidecar counts what its application does, under its own names, and goes by other labels when it is told to.
#[test]
fn a_sidecar_counts_beside_the_application() {
    let mut traffic = world(Chance::Even);
    let sidecar = |service: &str| Sidecar {
        family: &families::ENVOY,
        target: Labels::of([("instance", "c:9901"), ("pod", "c"), ("service", service)]),
        labels: Labels::of([("envoy_cluster_name", "inbound"), ("pod", "own")]),
    };
    let with = |service: &str| Pod {
        sidecar: Some(sidecar(service)),
        ..pod("c", "app:2.0.0-errors5")
    };
    traffic.pod(Pod {
        starts: 1,
        ..with("unknown")
    });
    let mut prometheus = Prometheus::new(Scraping::default(), second(1000));
    scraped(&mut traffic, &mut prometheus, 2);
    traffic.pod(Pod {
        starts: 1,
        ..with("web-canary")
    });
    scraped(&mut traffic, &mut prometheus, 2);
    let rows = [
        (
            "envoy_cluster_upstream_rq{envoy_response_code=\"500\",service=\"web-canary\"}",
            "{__name__:envoy_cluster_upstream_rq,envoy_cluster_name:inbound,envoy_response_code:500,exported_pod:own,instance:c:9901,pod:c,service:web-canary} 20",
        ),
        (
            "sum(envoy_cluster_upstream_rq_time_bucket{le=\"+Inf\"}) - sum(http_request_duration_seconds_count{pod=\"c\"})",
            "{} 0",
        ),
    ];
    for (query, expected) in rows {
        assert_eq!(asked(&prometheus, query), expected, "{query}");
    }
}

/// A proxy that counts by the Pods that it sends to.
#[test]
fn a_proxy_may_count_by_address() {
    let mut traffic = world(Chance::Even);
    let target = Labels::of([("instance", "apisix:9091"), ("namespace", "apisix")]);
    traffic.count_in_proxy(&families::APISIX, target);
    let mut prometheus = Prometheus::new(Scraping::default(), second(1000));
    scraped(&mut traffic, &mut prometheus, 2);
    let query = "sum by (node, code) (apisix_http_status)";
    let expected =
        "{code:200,node:a} 900\n{code:200,node:b} 900\n{code:200,node:c} 190\n{code:500,node:c} 10";
    assert_eq!(asked(&prometheus, query), expected);
}
