//! Who counts requests, and the names of the series in which it shows them: the application, and each kind of proxy.

/// How a kind of process shows its requests.
#[derive(Debug, PartialEq)]
pub struct Family {
    /// The histogram of durations.
    pub durations: &'static str,
    /// A counter of requests beside it.
    pub requests: Option<&'static str>,
    /// The label with the status.
    pub status: &'static str,
    /// The histogram tells statuses apart, too.
    pub durations_by_status: bool,
    /// A label that says whether a request was a success or a failure.
    pub verdict: Option<&'static str>,
    /// A label and its value that the histogram alone has.
    pub of_durations: Option<(&'static str, &'static str)>,
    /// The label with the address of the Pod that answered.
    pub node: Option<&'static str>,
    /// Finite bounds of the buckets, as labels have them, and in seconds.
    pub bounds: &'static [(&'static str, f64)],
    /// The unit of durations: so many of it are a second.
    pub per_second: f64,
}

/// What most of them have in common.
const PLAIN: Family = Family {
    durations: "",
    requests: None,
    status: "code",
    durations_by_status: true,
    verdict: None,
    of_durations: None,
    node: None,
    bounds: &[],
    per_second: 1.0,
};

/// The usual bounds of programs in Go.
const SECONDS: &[(&str, f64)] = &[
    ("0.005", 0.005),
    ("0.01", 0.01),
    ("0.025", 0.025),
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1", 1.0),
    ("2.5", 2.5),
    ("5", 5.0),
    ("10", 10.0),
];

/// Envoy's bounds, and Istio's.
const ENVOY_MILLISECONDS: &[(&str, f64)] = &[
    ("0.5", 0.0005),
    ("1", 0.001),
    ("5", 0.005),
    ("10", 0.01),
    ("25", 0.025),
    ("50", 0.05),
    ("100", 0.1),
    ("250", 0.25),
    ("500", 0.5),
    ("1000", 1.0),
    ("2500", 2.5),
    ("5000", 5.0),
    ("10000", 10.0),
    ("30000", 30.0),
    ("60000", 60.0),
];

/// The test application's.
pub const APPLICATION: Family = Family {
    durations: "http_request_duration_seconds",
    status: "status",
    bounds: &[
        ("0.005", 0.005),
        ("0.01", 0.01),
        ("0.025", 0.025),
        ("0.05", 0.05),
        ("0.1", 0.1),
        ("0.25", 0.25),
        ("0.5", 0.5),
        ("1.0", 1.0),
        ("2.5", 2.5),
        ("5.0", 5.0),
        ("10.0", 10.0),
    ],
    ..PLAIN
};

/// Traefik's, for the services that it routes to.
pub const TRAEFIK: Family = Family {
    durations: "traefik_service_request_duration_seconds",
    requests: Some("traefik_service_requests_total"),
    bounds: &[("0.1", 0.1), ("0.3", 0.3), ("1.2", 1.2), ("5.0", 5.0)],
    ..PLAIN
};

/// Envoy's, for its clusters: durations do not tell codes apart.
pub const ENVOY: Family = Family {
    durations: "envoy_cluster_upstream_rq_time",
    requests: Some("envoy_cluster_upstream_rq"),
    status: "envoy_response_code",
    durations_by_status: false,
    bounds: ENVOY_MILLISECONDS,
    per_second: 1000.0,
    ..PLAIN
};

/// What a sidecar of Istio counts at the end where requests arrive.
pub const ISTIO: Family = Family {
    durations: "istio_request_duration_milliseconds",
    requests: Some("istio_requests_total"),
    status: "response_code",
    bounds: ENVOY_MILLISECONDS,
    per_second: 1000.0,
    ..PLAIN
};

/// What a sidecar of Linkerd counts.
pub const LINKERD: Family = Family {
    durations: "response_latency_ms",
    requests: Some("response_total"),
    status: "status_code",
    verdict: Some("classification"),
    bounds: &[
        ("1", 0.001),
        ("2", 0.002),
        ("3", 0.003),
        ("4", 0.004),
        ("5", 0.005),
        ("10", 0.01),
        ("20", 0.02),
        ("30", 0.03),
        ("40", 0.04),
        ("50", 0.05),
        ("100", 0.1),
        ("200", 0.2),
        ("300", 0.3),
        ("400", 0.4),
        ("500", 0.5),
        ("1000", 1.0),
        ("2000", 2.0),
        ("5000", 5.0),
        ("10000", 10.0),
    ],
    per_second: 1000.0,
    ..PLAIN
};

/// What ingress-nginx counts.
pub const NGINX: Family = Family {
    durations: "nginx_ingress_controller_response_duration_seconds",
    requests: Some("nginx_ingress_controller_requests"),
    status: "status",
    bounds: SECONDS,
    ..PLAIN
};

/// What Skipper counts; its counter of requests is that of another histogram.
pub const SKIPPER: Family = Family {
    durations: "skipper_serve_route_duration_seconds",
    requests: Some("skipper_response_duration_seconds_count"),
    bounds: SECONDS,
    ..PLAIN
};

/// What APISIX counts.
pub const APISIX: Family = Family {
    durations: "apisix_http_latency",
    requests: Some("apisix_http_status"),
    durations_by_status: false,
    of_durations: Some(("type", "request")),
    node: Some("node"),
    bounds: &[
        ("1", 0.001),
        ("2", 0.002),
        ("5", 0.005),
        ("10", 0.01),
        ("20", 0.02),
        ("50", 0.05),
        ("100", 0.1),
        ("200", 0.2),
        ("500", 0.5),
        ("1000", 1.0),
        ("2000", 2.0),
        ("5000", 5.0),
        ("10000", 10.0),
        ("30000", 30.0),
        ("60000", 60.0),
    ],
    per_second: 1000.0,
    ..PLAIN
};
