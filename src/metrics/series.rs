//! Whose counters are read for the built-in checks, and by which labels an arm is known there (PROVIDERS 2.2).

use crate::metrics::query::{ArmNames, Counts, Subject, one_of, quoted, string};

/// The `controllerName` of Traefik's GatewayClass.
pub(super) const TRAEFIK: &str = "traefik.io/gateway-controller";

/// Milliseconds of a second.
const SECOND: f64 = 1000.0;

/// Who counts the requests of a provider.
pub(super) struct Counted {
    /// The proxy's name; `None`: the application itself does.
    pub(super) by: Option<&'static str>,
    /// The names of its series.
    pub(super) series: &'static Series,
    /// What a process is.
    pub(super) process: Process,
    /// Selectors of an arm, one for each spelling of its labels; none: the arm has no series.
    pub(super) select: fn(&Subject<'_>, &ArmNames) -> Vec<String>,
}

impl Counted {
    /// What people need to know of it.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            by: self.by,
            requests: self.series.requests,
            buckets: self.series.buckets,
        }
    }

    /// Proxies count where they are known by name; elsewhere the application's own series are read, by the names of its Pods. Arms
    /// without a Pod are left out there, since a selector without a name would find other people's series.
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let proxy = |by, series, select| Self {
            by: Some(by),
            series,
            process: Process::Proxy,
            select,
        };
        match (subject.provider, subject.gateway_controller) {
            (_, Some(TRAEFIK)) => proxy("Traefik", &TRAEFIK_SERIES, gateway_selectors),
            ("apisix", _) => Self {
                by: Some("APISIX"),
                series: &APISIX_SERIES,
                process: Process::ProxyOfPod,
                select: apisix_selectors,
            },
            ("contour", _) => proxy("Contour's Envoy", &ENVOY_SERIES, contour_selectors),
            ("gloo", _) => proxy("Gloo's Envoy", &ENVOY_SERIES, gloo_selectors),
            ("kuma", _) => Self {
                by: Some("the sidecar"),
                series: &KUMA_SERIES,
                process: Process::Pod,
                select: kuma_selectors,
            },
            ("linkerd" | "smi:v1alpha1" | "smi:v1alpha2" | "smi:v1alpha3", _) => Self {
                by: Some("the sidecar"),
                series: &LINKERD_SERIES,
                process: Process::Pod,
                select: linkerd_selectors,
            },
            ("nginx", _) => proxy("ingress-nginx", &NGINX_SERIES, nginx_selectors),
            ("skipper", _) => proxy("Skipper", &SKIPPER_SERIES, skipper_selectors),
            ("traefik", _) => proxy("Traefik", &TRAEFIK_SERIES, traefik_selectors),
            ("istio", _) => Self {
                by: Some("the sidecar"),
                series: &ISTIO_SERIES,
                process: Process::Pod,
                select: istio_selectors,
            },
            _ => Self {
                by: None,
                series: &APP_SERIES,
                process: Process::Pod,
                select: pod_selectors,
            },
        }
    }
}

/// What counts the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// The application: a Pod counts for the arm that it belongs to.
    Pod,
    /// A proxy counts for both arms, by label.
    Proxy,
    /// A proxy counts for each Pod, by its address in the label `node`.
    ProxyOfPod,
}

/// The series of one kind of process (PROVIDERS 2.2).
pub(super) struct Series {
    requests: &'static str,
    errors: &'static str,
    buckets: &'static str,
    /// Matcher of the buckets that are of whole requests; empty: all are.
    durations: &'static str,
    /// Labels that name the process, and the job that scraped it.
    by: &'static str,
    /// The unit of the buckets, in milliseconds.
    pub(super) unit_ms: f64,
}

const TRAEFIK_SERIES: Series = Series {
    requests: "traefik_service_requests_total",
    errors: r#"code=~"5..""#,
    buckets: "traefik_service_request_duration_seconds_bucket",
    durations: "",
    by: "job,instance",
    unit_ms: SECOND,
};

const APP_SERIES: Series = Series {
    requests: "http_request_duration_seconds_count",
    errors: r#"status=~"5.*""#,
    buckets: "http_request_duration_seconds_bucket",
    durations: "",
    by: "job,pod,kubernetes_pod_name",
    unit_ms: SECOND,
};

/// Of a sidecar: a Pod's own, and so one arm's.
const ISTIO_SERIES: Series = Series {
    requests: "istio_requests_total",
    errors: r#"response_code=~"5.*""#,
    buckets: "istio_request_duration_milliseconds_bucket",
    durations: "",
    by: "job,pod,kubernetes_pod_name,instance",
    unit_ms: 1.0,
};

/// Of a sidecar: a Pod's own, and so one arm's. Errors of gRPC count as such.
const LINKERD_SERIES: Series = Series {
    requests: "response_total",
    errors: r#"classification="failure""#,
    buckets: "response_latency_ms_bucket",
    durations: "",
    by: "job,pod,kubernetes_pod_name,instance",
    unit_ms: 1.0,
};

const NGINX_SERIES: Series = Series {
    requests: "nginx_ingress_controller_requests",
    errors: r#"status=~"5.*""#,
    buckets: "nginx_ingress_controller_response_duration_seconds_bucket",
    durations: "",
    by: "job,instance",
    unit_ms: SECOND,
};

const ENVOY_SERIES: Series = Series {
    requests: "envoy_cluster_upstream_rq",
    errors: r#"envoy_response_code=~"5.*""#,
    buckets: "envoy_cluster_upstream_rq_time_bucket",
    durations: "",
    by: "job,instance",
    unit_ms: 1.0,
};

/// Of a sidecar: a Pod's own, and so one arm's.
const KUMA_SERIES: Series = Series {
    by: "job,pod,kubernetes_pod_name,instance",
    ..ENVOY_SERIES
};

/// A Pod's address may have been another's before, and its counts go when it does, so each is a process of its own.
const APISIX_SERIES: Series = Series {
    requests: "apisix_http_status",
    errors: r#"code=~"5..""#,
    buckets: "apisix_http_latency_bucket",
    durations: r#"type="request""#,
    by: "job,instance,node",
    unit_ms: 1.0,
};

const SKIPPER_SERIES: Series = Series {
    requests: "skipper_response_duration_seconds_count",
    errors: r#"code=~"5..""#,
    buckets: "skipper_serve_route_duration_seconds_bucket",
    durations: "",
    by: "job,instance",
    unit_ms: SECOND,
};

impl Series {
    /// A bound of the buckets, from one in milliseconds.
    pub(super) fn bound(&self, ms: f64) -> f64 {
        ms / self.unit_ms
    }

    /// What the buckets of an arm gained in an hour.
    pub(super) fn hour(&self, selectors: &[String]) -> String {
        let vectors = vectors(self.buckets, selectors, self.durations);
        let gained: Vec<_> = vectors.map(|it| format!("increase({it}[1h])")).collect();
        format!("sum by (le) ({})", gained.join(" or "))
    }

    /// Requests, and those slower than a bound, of one arm whose durations are native histograms: they have no buckets to be read,
    /// but say themselves which share lies below a bound (ANALYSIS M17). A histogram of nothing has no share, and is left out.
    pub(super) fn native(
        &self,
        selectors: &[String],
        bound: f64,
    ) -> Option<[(&'static str, String); 3]> {
        let by = self.by;
        let name = self.buckets.strip_suffix("_bucket")?;
        let each = |of: &dyn Fn(&str) -> String| {
            let vectors = vectors(name, selectors, self.durations);
            let vectors: Vec<_> = vectors.map(|vector| of(&vector)).collect();
            vectors.join(" or ")
        };
        let all = each(&|vector| format!("histogram_count({vector})"));
        let bad = each(&|vector| {
            let share = format!("(1 - histogram_fraction(0, {bound}, {vector}))");
            format!("({share} * histogram_count({vector}) >= 0)")
        });
        Some([
            ("all", format!("sum by ({by}) ({all})")),
            ("bad", format!("sum by ({by}) ({bad})")),
            ("at", newest(by, name, selectors, self.durations)),
        ])
    }

    /// The vectors of one arm, each with its kind: requests and errors, or buckets; and the times of their samples.
    pub(super) fn kinds(
        &self,
        selectors: &[String],
        buckets: bool,
    ) -> std::vec::IntoIter<(&'static str, String)> {
        let by = self.by;
        let kinds = if buckets {
            let infinite = [self.durations, r#"le="+Inf""#];
            let infinite: Vec<_> = infinite.into_iter().filter(|it| !it.is_empty()).collect();
            let buckets = either(self.buckets, selectors, self.durations);
            vec![
                ("le", format!("sum by ({by},le) ({buckets})")),
                (
                    "at",
                    newest(by, self.buckets, selectors, &infinite.join(",")),
                ),
            ]
        } else {
            vec![
                (
                    "all",
                    format!("sum by ({by}) ({})", either(self.requests, selectors, "")),
                ),
                (
                    "bad",
                    format!(
                        "sum by ({by}) ({})",
                        either(self.requests, selectors, self.errors)
                    ),
                ),
                ("at", newest(by, self.requests, selectors, "")),
            ]
        };
        kinds.into_iter()
    }
}

/// A series by each spelling of its selector; a series that both find is there once.
fn either(series: &str, selectors: &[String], matcher: &str) -> String {
    let vectors: Vec<_> = vectors(series, selectors, matcher).collect();
    vectors.join(" or ")
}

/// Times of the samples. `timestamp` stands around every selector for itself: around anything else it would be the time of
/// the query.
fn newest(by: &str, series: &str, selectors: &[String], matcher: &str) -> String {
    let vectors = vectors(series, selectors, matcher).map(|vector| format!("timestamp({vector})"));
    let vectors: Vec<_> = vectors.collect();
    format!("max by ({by}) ({})", vectors.join(" or "))
}

fn vectors(series: &str, selectors: &[String], matcher: &str) -> impl Iterator<Item = String> {
    let comma = if matcher.is_empty() { "" } else { "," };
    selectors
        .iter()
        .map(move |selector| format!("{series}{{{selector}{comma}{matcher}}}"))
}

/// Selectors of Traefik's series for one backend, in both spellings: a scrape without `honorLabels` renames its `service`.
///
/// Up to 3.7.5 Traefik names a backend of a Gateway route by namespace, Service and port; routes share it. From 3.7.6 on
/// the name begins with the route, its Gateway and entry point, the rule's index and a hash of its match, and ends with the
/// backend's position, so that it can only be matched by pattern. Both forms name namespace and Service in full, and
/// neither pattern of stable finds the canary.
fn gateway_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let (namespace, service) = (quoted(subject.namespace), quoted(&arm.service));
    let routes: Vec<_> = subject
        .routes
        .iter()
        .map(|route| normalized(route))
        .collect();
    let route = match routes.as_slice() {
        [] => ".+".to_owned(),
        routes => format!("({})", one_of(routes)),
    };
    let home = normalized(subject.namespace);
    let old = quoted(&normalized(&format!(
        "{}-{}-http",
        subject.namespace, arm.service
    )));
    let new =
        format!("httproute-{home}-{route}-gw-.+-[0-9a-f]{{20}}-svc-{namespace}-{service}-[0-9]+");
    let pattern = format!("({old}-{}|{new})@kubernetesgateway", subject.port);
    named_service(&format!("=~{}", string(&pattern)))
}

/// A name as Traefik normalises it: parts of letters and digits, joined by `-`.
fn normalized(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_alphanumeric());
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("-")
}

/// Selectors of series of these Pods, by the labels of the Prometheus Operator and of older relabelling.
fn pod_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let pods = &arm.pods;
    if pods.is_empty() {
        return Vec::new();
    }
    let (namespace, pods) = (string(subject.namespace), string(&one_of(pods)));
    vec![
        format!("namespace={namespace},pod=~{pods}"),
        format!("kubernetes_namespace={namespace},kubernetes_pod_name=~{pods}"),
    ]
}

/// Selectors of series of a Service as its proxy calls it, in the proxy's own label and in what a scrape makes of it.
fn named_service(is: &str) -> Vec<String> {
    ["service", "exported_service"]
        .map(|label| format!("{label}{is}"))
        .into()
}

/// Traefik's name of a Service in a route of its own definitions. Exactly this port: a pattern of stable would find the canary.
fn traefik_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let Subject {
        namespace, port, ..
    } = subject;
    let service = string(&format!("{namespace}-{}-{port}@kubernetescrd", arm.service));
    named_service(&format!("={service}"))
}

/// Requests that reached the Pods of a workload, as their sidecars count them.
fn istio_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let (namespace, workload) = (string(subject.namespace), string(&arm.workload));
    vec![format!(
        r#"reporter="destination",destination_workload_namespace={namespace},destination_workload={workload}"#
    )]
}

/// Requests that came in to the Pods of a Deployment.
fn linkerd_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let (namespace, workload) = (string(subject.namespace), string(&arm.workload));
    vec![format!(
        r#"direction="inbound",namespace={namespace},deployment={workload}"#
    )]
}

/// Envoy's name of a Service, as Contour makes it.
fn contour_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let Subject {
        namespace, port, ..
    } = subject;
    let cluster = string(&format!("{namespace}_{}_{port}", arm.service));
    vec![format!("envoy_cluster_name={cluster}")]
}

/// A label as it is shown, and as a scrape renames it whose target has one of that name.
const SPELLED: [&str; 2] = ["", "exported_"];

/// Both arms are counted for the user's Ingress; the label `canary` names the backend of the second one. Other paths of the Ingress
/// lead to other Services. A scrape renames what its target has, too: with annotations the namespace alone, with a monitor both.
fn nginx_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let Subject {
        namespace, port, ..
    } = subject;
    let (home, ingress) = (string(namespace), string(subject.ingress));
    let service = string(&arm.service);
    let arms = if arm.service == subject.canary.service {
        let backend = string(&format!("{namespace}-{}-{port}", arm.service));
        vec![format!("canary={backend}")]
    } else {
        let spelled = |prefix: &str| format!(r#"canary="",{prefix}service={service}"#);
        SPELLED.map(spelled).into()
    };
    let of = |prefix: &str| format!("{prefix}namespace={home},ingress={ingress}");
    let all = SPELLED.map(of).into_iter();
    all.flat_map(|of| arms.iter().map(move |arm| format!("{of},{arm}")))
        .collect()
}

/// Skipper's name of a route: namespace, Ingress, host, path and backend, with `_` for whatever is no letter or digit. Before a canary
/// gets requests stable is counted for the user's Ingress, afterwards for the one beside it.
fn skipper_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let word = |text: &str| -> String {
        let letters = text.chars();
        letters
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect()
    };
    let (namespace, ingress) = (word(subject.namespace), word(subject.ingress));
    let service = word(&arm.service);
    let pattern = format!("kube(ew)?_{namespace}__{ingress}(_canary)?__.*__{service}(_[0-9]+)?");
    vec![format!("route=~{}", string(&pattern))]
}

/// Envoy's name of an Upstream: Serin's own, or the one that Gloo's discovery makes of a Service, in whatever namespace.
fn gloo_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let Subject {
        namespace, port, ..
    } = subject;
    let service = &subject.stable.service;
    let name = if arm.service == subject.canary.service {
        "canary"
    } else {
        "stable"
    };
    let own = string(&format!(
        "{namespace}-{service}-{name}upstream-{port}_{namespace}"
    ));
    let found = quoted(&format!("{namespace}-{}-{port}_", arm.service));
    vec![
        format!("envoy_cluster_name={own}"),
        format!("envoy_cluster_name=~{}", string(&format!("{found}[^_]+"))),
    ]
}

/// Kuma's name of the Service that a sidecar belongs to.
fn kuma_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    let Subject {
        namespace, port, ..
    } = subject;
    let service = string(&format!("{}_{namespace}_svc_{port}", arm.service));
    named_service(&format!("={service}"))
}

/// The routes by name, which both arms share, and the Pods by address. Without one a selector would find other people's series.
fn apisix_selectors(subject: &Subject<'_>, arm: &ArmNames) -> Vec<String> {
    if arm.addresses.is_empty() {
        return Vec::new();
    }
    let namespace = quoted(subject.namespace);
    let routes = string(&format!("{namespace}_({})_.+", one_of(subject.routes)));
    let nodes = string(&one_of(&arm.addresses));
    vec![format!("route=~{routes},node=~{nodes}")]
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(provider: &str, expected: &Expect) {
        let arm = |workload: &str, service: &str| ArmNames {
            workload: workload.to_owned(),
            service: service.to_owned(),
            pods: vec![format!("{workload}-a-1")],
            addresses: vec![
                if workload == "podinfo" {
                    "10.1.0.7"
                } else {
                    "10.1.0.8"
                }
                .to_owned(),
            ],
        };
        let routes = ["web".to_owned(), "web-pod-info-canary".to_owned()];
        let subject = Subject {
            namespace: "shop",
            provider,
            port: 80,
            ingress: "web.v2",
            routes: &routes,
            stable: arm("podinfo", "pod-info"),
            canary: arm("podinfo-canary", "pod-info-canary"),
            ..Subject::default()
        };
        let counted = Counted::of(&subject);
        let mut told = format!("{} {}\n", counted.series.requests, counted.series.buckets);
        for arm in [&subject.canary, &subject.stable] {
            for selector in (counted.select)(&subject, arm) {
                told.push_str(&selector);
                told.push('\n');
            }
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn traefik_knows_a_service_by_name_and_port() {
        check(
            "traefik",
            &expect![[r#"
            traefik_service_requests_total traefik_service_request_duration_seconds_bucket
            service="shop-pod-info-canary-80@kubernetescrd"
            exported_service="shop-pod-info-canary-80@kubernetescrd"
            service="shop-pod-info-80@kubernetescrd"
            exported_service="shop-pod-info-80@kubernetescrd"
        "#]],
        );
    }

    #[test]
    fn contour_knows_a_service_by_name_and_port() {
        check(
            "contour",
            &expect![[r#"
            envoy_cluster_upstream_rq envoy_cluster_upstream_rq_time_bucket
            envoy_cluster_name="shop_pod-info-canary_80"
            envoy_cluster_name="shop_pod-info_80"
        "#]],
        );
    }

    #[test]
    fn nginx_knows_the_canary_by_a_label_of_its_own() {
        check(
            "nginx",
            &expect![[r#"
            nginx_ingress_controller_requests nginx_ingress_controller_response_duration_seconds_bucket
            namespace="shop",ingress="web.v2",canary="shop-pod-info-canary-80"
            exported_namespace="shop",ingress="web.v2",canary="shop-pod-info-canary-80"
            namespace="shop",ingress="web.v2",canary="",service="pod-info"
            namespace="shop",ingress="web.v2",canary="",exported_service="pod-info"
            exported_namespace="shop",ingress="web.v2",canary="",service="pod-info"
            exported_namespace="shop",ingress="web.v2",canary="",exported_service="pod-info"
        "#]],
        );
    }

    #[test]
    fn skipper_knows_the_backend_of_a_route() {
        check(
            "skipper",
            &expect![[r#"
            skipper_response_duration_seconds_count skipper_serve_route_duration_seconds_bucket
            route=~"kube(ew)?_shop__web_v2(_canary)?__.*__pod_info_canary(_[0-9]+)?"
            route=~"kube(ew)?_shop__web_v2(_canary)?__.*__pod_info(_[0-9]+)?"
        "#]],
        );
    }

    #[test]
    fn gloo_knows_upstreams() {
        check(
            "gloo",
            &expect![[r#"
            envoy_cluster_upstream_rq envoy_cluster_upstream_rq_time_bucket
            envoy_cluster_name="shop-pod-info-canaryupstream-80_shop"
            envoy_cluster_name=~"shop-pod-info-canary-80_[^_]+"
            envoy_cluster_name="shop-pod-info-stableupstream-80_shop"
            envoy_cluster_name=~"shop-pod-info-80_[^_]+"
        "#]],
        );
    }

    #[test]
    fn kuma_knows_the_service_of_a_sidecar() {
        check(
            "kuma",
            &expect![[r#"
            envoy_cluster_upstream_rq envoy_cluster_upstream_rq_time_bucket
            service="pod-info-canary_shop_svc_80"
            exported_service="pod-info-canary_shop_svc_80"
            service="pod-info_shop_svc_80"
            exported_service="pod-info_shop_svc_80"
        "#]],
        );
    }

    #[test]
    fn apisix_knows_pods_by_their_addresses() {
        check(
            "apisix",
            &expect![[r#"
            apisix_http_status apisix_http_latency_bucket
            route=~"shop_(web|web-pod-info-canary)_.+",node=~"10\\.1\\.0\\.8"
            route=~"shop_(web|web-pod-info-canary)_.+",node=~"10\\.1\\.0\\.7"
        "#]],
        );
    }

    #[test]
    fn a_traffic_split_is_counted_by_linkerd() {
        check(
            "smi:v1alpha2",
            &expect![[r#"
            response_total response_latency_ms_bucket
            direction="inbound",namespace="shop",deployment="podinfo-canary"
            direction="inbound",namespace="shop",deployment="podinfo"
        "#]],
        );
    }

    #[test]
    fn istio_knows_workloads() {
        check(
            "istio",
            &expect![[r#"
            istio_requests_total istio_request_duration_milliseconds_bucket
            reporter="destination",destination_workload_namespace="shop",destination_workload="podinfo-canary"
            reporter="destination",destination_workload_namespace="shop",destination_workload="podinfo"
        "#]],
        );
    }

    #[test]
    fn linkerd_knows_deployments() {
        check(
            "linkerd",
            &expect![[r#"
            response_total response_latency_ms_bucket
            direction="inbound",namespace="shop",deployment="podinfo-canary"
            direction="inbound",namespace="shop",deployment="podinfo"
        "#]],
        );
    }

    #[test]
    fn applications_are_known_by_their_pods() {
        check(
            "kubernetes",
            &expect![[r#"
            http_request_duration_seconds_count http_request_duration_seconds_bucket
            namespace="shop",pod=~"podinfo-canary-a-1"
            kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-canary-a-1"
            namespace="shop",pod=~"podinfo-a-1"
            kubernetes_namespace="shop",kubernetes_pod_name=~"podinfo-a-1"
        "#]],
        );
    }

    #[test]
    fn a_bound_is_in_the_unit_of_the_series() {
        let is = |series: &Series, bound: f64| (series.bound(250.0) - bound).abs() < 1e-9;
        assert!(is(&ISTIO_SERIES, 250.0) && is(&TRAEFIK_SERIES, 0.25));
    }
}
