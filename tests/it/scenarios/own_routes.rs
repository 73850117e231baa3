//! Routes that stay the team's (`spec.routeRefs`): weights in them, and nothing left behind in the end. Row 6 is Istio's.

use std::time::Duration;

use serde_json::{Value, json};
use serin::sim::store::Key;

use crate::scenarios::everywhere::each;
use crate::scenarios::measured::promoted;
use crate::scenarios::providers::{HOST, Provider, ROUTES, ingress_route, key, provider};
use crate::story::objects::{self, APP, HOME};
use crate::story::tale::paused;
use crate::story::{Story, setting::Setting};

/// A provider, and the team's route for it, with the canary's backend or without it.
struct Own {
    provider: &'static str,
    route: fn(bool) -> Value,
    /// What leads to the route, or is needed by it.
    beside: fn() -> Vec<Value>,
    /// Where the backends are.
    backends: &'static str,
}

static OWN: [Own; 9] = [
    Own {
        provider: "gatewayapi:v1",
        route: |both| {
            let mut route = objects::own_route();
            route["spec"]["rules"][0]["backendRefs"] =
                entries(both, |name| json!({"name": name, "port": 80}));
            route
        },
        beside: Vec::new,
        backends: "/spec/rules/0/backendRefs",
    },
    Own {
        provider: "istio",
        route: |both| {
            let to = entries(both, |name| json!({"destination": {"host": name}}));
            let spec = json!({"hosts": [APP], "http": [{"name": "main", "retries": {"attempts": 2}, "route": to}]});
            object("networking.istio.io/v1", "VirtualService", &spec)
        },
        beside: Vec::new,
        backends: "/spec/http/0/route",
    },
    Own {
        provider: "linkerd",
        route: |both| {
            let parent = json!({"group": "", "kind": "Service", "name": APP, "port": 80});
            let to = entries(both, |name| json!({"name": name, "port": 80}));
            let spec = json!({"parentRefs": [parent], "rules": [{"backendRefs": to}]});
            object("gateway.networking.k8s.io/v1", "HTTPRoute", &spec)
        },
        beside: Vec::new,
        backends: "/spec/rules/0/backendRefs",
    },
    Own {
        provider: "kuma",
        route: |both| {
            let to = entries(
                both,
                |name| json!({"kind": "MeshService", "name": name, "port": 80}),
            );
            let rule = json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "default": {"backendRefs": to}});
            let service = json!({"kind": "MeshService", "name": APP});
            let spec = json!({"targetRef": {"kind": "Mesh"}, "to": [{"targetRef": service, "rules": [rule]}]});
            object("kuma.io/v1alpha1", "MeshHTTPRoute", &spec)
        },
        beside: Vec::new,
        backends: "/spec/to/0/rules/0/default/backendRefs",
    },
    Own {
        provider: "smi:v1alpha2",
        route: |both| {
            let to = entries(both, |name| json!({"service": name}));
            object(
                "split.smi-spec.io/v1alpha2",
                "TrafficSplit",
                &json!({"service": APP, "backends": to}),
            )
        },
        beside: Vec::new,
        backends: "/spec/backends",
    },
    Own {
        provider: "contour",
        route: |both| {
            let to = entries(both, |name| json!({"name": name, "port": 80}));
            let routes = json!([{"conditions": [{"prefix": "/"}], "services": to}]);
            object(
                "projectcontour.io/v1",
                "HTTPProxy",
                &json!({"virtualhost": {"fqdn": HOST}, "routes": routes}),
            )
        },
        beside: Vec::new,
        backends: "/spec/routes/0/services",
    },
    Own {
        provider: "traefik",
        route: |both| {
            let mut route = ingress_route("Service");
            route["spec"]["routes"][0]["services"] =
                entries(both, |name| json!({"name": name, "port": 80}));
            route
        },
        beside: Vec::new,
        backends: "/spec/routes/0/services",
    },
    Own {
        provider: "gloo",
        route: |both| {
            let to = entries(
                both,
                |name| json!({"destination": {"upstream": {"name": format!("{HOME}-{name}-80"), "namespace": "default"}}}),
            );
            let route = json!({"matchers": [{"prefix": "/"}], "routeAction": {"multi": {"destinations": to}}});
            let spec = json!({"virtualHost": {"domains": [HOST], "routes": [route]}});
            object("gateway.solo.io/v1", "VirtualService", &spec)
        },
        beside: || [APP, "app-canary"].map(discovered).into(),
        backends: "/spec/virtualHost/routes/0/routeAction/multi/destinations",
    },
    Own {
        provider: "apisix",
        route: |both| {
            let to = entries(both, |name| json!({"serviceName": name, "servicePort": 80}));
            let rule = json!({"name": "main", "match": {"hosts": [HOST], "paths": ["/*"]}, "backends": to});
            object(
                "apisix.apache.org/v2",
                "ApisixRoute",
                &json!({"http": [rule]}),
            )
        },
        beside: Vec::new,
        backends: "/spec/http/0/backends",
    },
];

/// Stable with all of a hundred, and the canary with nothing; or stable alone, which some take for nothing without a weight.
fn entries(both: bool, entry: impl Fn(&str) -> Value) -> Value {
    let weighted = |name: &str, weight: i64| {
        let mut entry = entry(name);
        entry["weight"] = json!(weight);
        entry
    };
    match both {
        true => json!([weighted(APP, 100), weighted("app-canary", 0)]),
        false => json!([weighted(APP, 1)]),
    }
}

fn object(version: &str, kind: &str, spec: &Value) -> Value {
    let metadata = json!({
        "name": "web", "namespace": HOME, "labels": {"team": "checkout"}, "annotations": {"meta.helm.sh/release-name": "web"},
    });
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

/// An Upstream that Gloo's discovery made of a Service.
fn discovered(service: &str) -> Value {
    json!({
        "apiVersion": "gloo.solo.io/v1", "kind": "Upstream", "metadata": {"name": format!("{HOME}-{service}-80"), "namespace": "default"},
        "spec": {"kube": {"serviceName": service, "serviceNamespace": HOME, "servicePort": 80}},
    })
}

impl Own {
    fn setting(&self, both: bool) -> (Setting, Key) {
        let provider = provider(self.provider);
        let route = (self.route)(both);
        let mut reference = json!({
            "apiVersion": route["apiVersion"], "kind": route["kind"], "name": route["metadata"]["name"],
        });
        if !both {
            reference["insertCanary"] = json!(true);
        }
        let patch = json!({"routeRefs": [reference], "routeRef": null, "service": {"hosts": null, "gatewayRefs": null}});
        let mut setting = Provider {
            objects: Vec::new,
            ..provider
        }
        .setting()
        .with(&patch);
        let plural = ROUTES.iter().find(|(group, plural)| {
            let version = route["apiVersion"].as_str().unwrap_or_default();
            let kind = route["kind"].as_str().unwrap_or_default().to_lowercase();
            version.starts_with(group) && plural.starts_with(&kind[..kind.len() - 1])
        });
        let name = route["metadata"]["name"].as_str().unwrap_or_default();
        let key = key(*plural.unwrap(), name);
        setting.objects.extend((self.beside)());
        setting.objects.push(route);
        (setting, key)
    }
}

fn own(provider: &Provider) -> &'static Own {
    OWN.iter().find(|it| it.provider == provider.name).unwrap()
}

fn all() -> Vec<Provider> {
    OWN.iter().map(|it| provider(it.provider)).collect()
}

/// The spec without weights.
fn weightless(own: &Own, mut told: Value) -> Value {
    let backends = told.pointer_mut(own.backends).and_then(Value::as_array_mut);
    for entry in backends.into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("weight");
        }
    }
    told
}

/// What stands in an object that its team would miss.
fn told(story: &Story, key: &Key) -> Value {
    let object = story.world.api.get(key).unwrap();
    let metadata = &object["metadata"];
    json!({"spec": object["spec"], "labels": metadata["labels"], "annotations": metadata["annotations"]})
}

fn is_traced(story: &Story, key: &Key) -> bool {
    let object = story.world.api.get(key).unwrap();
    object["metadata"]["managedFields"]
        .to_string()
        .contains("serin")
}

/// Deletes the Canary, and waits.
async fn end(story: &Story) {
    story.delete(&objects::canary_key());
    let gone = |_: &_| story.canary().is_null();
    story.until(gone, Duration::from_secs(600)).await;
    story.quiet(Duration::from_secs(30)).await;
}

/// A release by weights in it, and in the end it is what it was: no weight, no label, no manager of Serin's.
#[test]
fn a_route_with_both_backends_is_given_back_without_a_trace() {
    // Traefik drops a route whose canary has no Service any more: there the team takes its entry out first.
    let able: Vec<_> = all()
        .into_iter()
        .filter(|it| it.name != "traefik")
        .collect();
    each(&able, |provider| {
        paused(async {
            let (setting, key) = own(provider).setting(true);
            let mut story = Story::new(1, setting);
            story.quiet(Duration::from_secs(10)).await;
            let (route, service) = (told(&story, &key), told(&story, &objects::service_key()));
            story.start(None, Duration::ZERO);
            story.becomes("Initialized").await;
            story.quiet(Duration::from_secs(120)).await;
            story.ship("2.0.0");
            story.rests().await;
            let mut wrong = promoted(&story, &[0, 10, 50, 100, 0]);
            end(&story).await;
            for (before, key) in [(route, &key), (service, &objects::service_key())] {
                let after = told(&story, key);
                if after != before {
                    wrong.push(format!("{key:?} was {before}, is {after}"));
                }
                if is_traced(&story, key) {
                    wrong.push(format!("{key:?} has a manager of Serin's"));
                }
            }
            if story.lost() > 0 {
                wrong.push(format!("{} requests lost", story.lost()));
            }
            wrong
        })
    });
}

/// The same where the canary's backend is Serin's to insert; stable's says all of a hundred then.
#[test]
fn a_backend_that_was_inserted_is_taken_out() {
    each(&all(), |provider| {
        paused(async {
            let own = own(provider);
            let (setting, key) = own.setting(false);
            let story = Story::adopted(1, setting).await;
            let before = weightless(own, told(&story, &key));
            story.ship("2.0.0");
            story.rests().await;
            let mut wrong = promoted(&story, &[0, 10, 50, 100, 0]);
            end(&story).await;
            let after = weightless(own, told(&story, &key));
            if after != before || is_traced(&story, &key) {
                wrong.push(format!("{key:?} was {before}, is {after}"));
            }
            if story.lost() > 0 {
                wrong.push(format!("{} requests lost", story.lost()));
            }
            wrong
        })
    });
}
