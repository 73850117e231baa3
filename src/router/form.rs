//! How routes list weighted backends: one form for each kind. What a form says is all that is needed to shift weights in a route
//! that is the user's (PROVIDERS 1.2).

use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::objects::Kind;

/// The greatest weight that the Gateway API admits.
pub(super) const MOST: i64 = 1_000_000;

/// How one kind of route lists weighted backends.
#[derive(Debug)]
pub(super) struct Form {
    /// The kind of the route.
    pub(super) kind: Kind,
    /// Where in the spec the lists are; `*` stands for each element of a list.
    lists: &'static [&'static str],
    /// The field by which an element at the first `*` can be chosen (`rule` of a routeRef).
    rule: &'static str,
    /// Pointer to a backend's name in its entry.
    pub(super) name: &'static str,
    /// Pointer to a backend's port in its entry.
    port: &'static str,
    /// An entry as a person would paste it: what stands before the name, before the port (nothing: it has none), and behind.
    paste: (&'static str, &'static str, &'static str),
    /// Fields that make an entry something else than a Service of this namespace, unless they have one of these values.
    usual: &'static [(&'static str, &'static [&'static str])],
    /// The weight of an entry that says none; `None`: 1 if no entry of the list says one, else 0.
    unsaid: Option<i64>,
    /// Weights are written as quantities, `90` or `900m`, and are read in thousandths.
    quantities: bool,
    /// Backends are Gloo's Upstreams.
    upstreams: bool,
}

/// What most forms have in common.
const PLAIN: Form = Form {
    kind: Kind::HttpRoute,
    lists: &[],
    rule: "name",
    name: "/name",
    port: "/port",
    paste: ("{name: ", ", port: ", ", weight: 0}"),
    usual: &[],
    unsaid: None,
    quantities: false,
    upstreams: false,
};

/// Routes of the Gateway API.
pub(super) const GATEWAY_API: [&Form; 4] = [
    &gateway_api(Kind::HttpRoute),
    &gateway_api(Kind::GrpcRoute),
    &gateway_api(Kind::TcpRoute),
    &gateway_api(Kind::TlsRoute),
];

/// Routes of Traefik's own definitions.
pub(super) const TRAEFIK: [&Form; 3] = [
    &traefik(Kind::TraefikService, &["weighted/services"]),
    &traefik(Kind::IngressRoute, &["routes/*/services"]),
    &traefik(Kind::IngressRouteTcp, &["routes/*/services"]),
];

/// Routes of Istio; subsets are not told apart by Services, so entries that name one are left alone.
pub(super) const ISTIO: [&Form; 1] = [&Form {
    kind: Kind::VirtualService,
    lists: &["http/*/route", "tcp/*/route", "tls/*/route"],
    name: "/destination/host",
    port: "/destination/port/number",
    paste: (
        "{destination: {host: ",
        ", port: {number: ",
        "}}, weight: 0}",
    ),
    usual: &[("/destination/subset", &[])],
    ..PLAIN
}];

/// Routes of Contour. A mirror is no backend.
pub(super) const CONTOUR: [&Form; 1] = [&Form {
    kind: Kind::HttpProxy,
    lists: &["routes/*/services", "tcpproxy/services"],
    usual: &[("/mirror", &[])],
    ..PLAIN
}];

/// Routes of Gloo that send to several Upstreams.
pub(super) const GLOO: [&Form; 2] = [
    &gloo(
        Kind::RouteTable,
        &["routes/*/routeAction/multi/destinations"],
    ),
    &gloo(
        Kind::GlooVirtualService,
        &["virtualHost/routes/*/routeAction/multi/destinations"],
    ),
];

/// Routes of Kuma. A backend with tags or labels is a part of a Service, or one that is not told by its name.
pub(super) const KUMA: [&Form; 1] = [&Form {
    kind: Kind::MeshHttpRoute,
    lists: &["to/*/rules/*/default/backendRefs"],
    paste: ("{kind: MeshService, name: ", ", port: ", ", weight: 0}"),
    usual: &[
        ("/kind", &["MeshService"]),
        ("/tags", &[]),
        ("/labels", &[]),
    ],
    unsaid: Some(1),
    ..PLAIN
}];

/// Routes of APISIX.
pub(super) const APISIX: [&Form; 1] = [&Form {
    kind: Kind::ApisixRoute,
    lists: &["http/*/backends"],
    name: "/serviceName",
    port: "/servicePort",
    paste: ("{serviceName: ", ", servicePort: ", ", weight: 0}"),
    usual: &[("/subset", &[])],
    unsaid: Some(100),
    ..PLAIN
}];

/// Routes of the Service Mesh Interface, in the first version with quantities.
pub(super) const SMI: [&Form; 3] = [
    &Form {
        paste: ("{service: ", "", ", weight: \"0\"}"),
        quantities: true,
        ..smi(Kind::TrafficSplitV1Alpha1)
    },
    &smi(Kind::TrafficSplitV1Alpha2),
    &smi(Kind::TrafficSplitV1Alpha3),
];

const fn gateway_api(kind: Kind) -> Form {
    Form {
        kind,
        lists: &["rules/*/backendRefs"],
        usual: &[("/group", &["", "core"]), ("/kind", &["Service"])],
        unsaid: Some(1),
        ..PLAIN
    }
}

const fn traefik(kind: Kind, lists: &'static [&'static str]) -> Form {
    Form {
        kind,
        lists,
        rule: "match",
        usual: &[("/kind", &["Service"])],
        unsaid: Some(1),
        ..PLAIN
    }
}

const fn gloo(kind: Kind, lists: &'static [&'static str]) -> Form {
    Form {
        kind,
        lists,
        name: "/destination/upstream/name",
        port: "",
        paste: (
            "{destination: {upstream: {name: ",
            "",
            ", namespace: gloo-system}}, weight: 0}",
        ),
        upstreams: true,
        ..PLAIN
    }
}

const fn smi(kind: Kind) -> Form {
    Form {
        kind,
        lists: &["backends"],
        name: "/service",
        port: "",
        paste: ("{service: ", "", ", weight: 0}"),
        ..PLAIN
    }
}

/// A list of backends in a route.
#[derive(Clone, Debug)]
pub(super) struct List<'a> {
    /// JSON pointer to it, from the object's root.
    pub(super) path: String,
    /// The name of the rule that it belongs to.
    rule: Option<&'a str>,
    /// Its entries.
    pub(super) entries: &'a [Value],
}

/// A Service of the route's own namespace that a rule sends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backend<'a> {
    /// Name of the Service.
    pub(super) name: &'a str,
    /// Its port; 0 if the entry says none, or names it.
    pub(super) port: i64,
    /// Its weight.
    pub(super) weight: i64,
}

impl Form {
    /// All lists of a route's spec; with a rule's name those of that rule.
    pub(super) fn lists<'a>(&self, spec: &'a Value, rule: Option<&str>) -> Vec<List<'a>> {
        let all = self.lists.iter();
        let all = all.flat_map(|path| self.below("/spec", spec, path, None));
        all.filter(|list| rule.is_none() || list.rule == rule)
            .collect()
    }

    /// The lists at a path below a value; a list belongs to the outermost element above it that has a name.
    fn below<'a>(
        &self,
        above: &str,
        value: &'a Value,
        path: &str,
        rule: Option<&'a str>,
    ) -> Vec<List<'a>> {
        let Some((outer, inner)) = path.split_once("/*/") else {
            return vec![List {
                path: format!("{above}/{path}"),
                rule,
                entries: at(value, path),
            }];
        };
        let elements = at(value, outer).iter().enumerate();
        let lists = elements.flat_map(|(index, element)| {
            let rule = rule.or(element[self.rule].as_str());
            self.below(&format!("{above}/{outer}/{index}"), element, inner, rule)
        });
        lists.collect()
    }

    /// Reads an entry of a list in a route of namespace `home`; `None`: it is another kind of backend, or lies in another
    /// namespace.
    pub(super) fn read<'a>(
        &self,
        list: &[Value],
        entry: &'a Value,
        home: &str,
    ) -> Option<Backend<'a>> {
        let said = |value: &&Value| !value.is_null() && **value != Value::Bool(false);
        let text = |pointer: &str| entry.pointer(pointer).filter(said);
        let usual = self.usual.iter().all(|(pointer, values)| {
            let value = text(pointer);
            value.is_none_or(|value| value.as_str().is_some_and(|it| values.contains(&it)))
        });
        let local = entry["namespace"].as_str().is_none_or(|it| it == home);
        if !usual || !local {
            return None;
        }
        Some(Backend {
            name: self.service(text(self.name)?.as_str()?, home)?,
            port: text(self.port).and_then(Value::as_i64).unwrap_or_default(),
            weight: self.weight(list, entry),
        })
    }

    fn weight(&self, list: &[Value], entry: &Value) -> i64 {
        let alone = || i64::from(!list.iter().any(|other| self.said(other).is_some()));
        self.said(entry)
            .unwrap_or_else(|| self.unsaid.unwrap_or_else(alone) * self.unit())
            .clamp(0, MOST * self.unit())
    }

    /// A weight of 1, as it is read.
    pub(super) fn unit(&self) -> i64 {
        if self.quantities { 1000 } else { 1 }
    }

    /// The weight that an entry says.
    pub(super) fn said(&self, entry: &Value) -> Option<i64> {
        match &entry["weight"] {
            Value::String(quantity) if self.quantities => thousandths(quantity),
            number => number.as_i64().map(|number| number * self.unit()),
        }
    }

    /// A weight as an entry says it.
    pub(super) fn written(&self, weight: i64) -> Value {
        match weight {
            weight if !self.quantities => json!(weight),
            weight if weight % 1000 == 0 => json!((weight / 1000).to_string()),
            weight => json!(format!("{weight}m")),
        }
    }

    /// The Service that a name means. Istio's hosts may be written out with namespace and domain, and Kuma's with namespace and
    /// port.
    fn service<'a>(&self, name: &'a str, home: &str) -> Option<&'a str> {
        match self.kind {
            Kind::VirtualService => {}
            Kind::MeshHttpRoute => return service_of_tag(name, home),
            _ => return Some(name),
        }
        let (service, rest) = name.split_once('.').unwrap_or((name, home));
        let (namespace, rest) = rest.split_once('.').unwrap_or((rest, "svc.cluster.local"));
        (namespace == home && ["svc", "svc.cluster.local"].contains(&rest)).then_some(service)
    }

    /// Whether an entry takes a share of the requests. A mirror of Contour takes none.
    pub(super) fn shares(entry: &Value) -> bool {
        entry["mirror"] != Value::Bool(true)
    }

    /// Sets the backend of an entry.
    pub(super) fn rename(&self, entry: &mut Value, name: &str) {
        let Some(field) = entry.pointer_mut(self.name) else {
            return;
        };
        let tag = field.as_str().filter(|_| self.kind == Kind::MeshHttpRoute);
        *field = match tag.and_then(|tag| tag.split_once('_')) {
            Some((_, rest)) => json!(format!("{name}_{rest}")),
            None => json!(name),
        };
    }

    /// What the backend of a Service is called in a route of the user's: Gloo's discovery makes an Upstream for each port.
    pub(super) fn backend(&self, canary: &Canary, service: &str) -> String {
        let port = canary.spec.service.as_ref().map(|service| service.port);
        match port.filter(|_| self.upstreams) {
            Some(port) => format!("{}-{service}-{port}", canary.home()),
            None => service.to_owned(),
        }
    }

    /// What a backend is.
    pub(super) fn backend_kind(&self) -> &'static str {
        if self.upstreams {
            "Upstream"
        } else {
            "Service"
        }
    }

    /// What people call a list of backends.
    pub(super) fn list(&self) -> &'static str {
        self.lists[0].rsplit('/').next().unwrap_or_default()
    }

    /// The entry that a person would add for a backend.
    pub(super) fn paste(&self, name: &str, port: i64) -> String {
        match self.paste {
            (begin, "", end) => format!("{begin}{name}{end}"),
            (begin, middle, end) => format!("{begin}{name}{middle}{port}{end}"),
        }
    }
}

/// The Service in a value of Kuma's tag `kuma.io/service`, or the name itself if it is none.
fn service_of_tag<'a>(name: &'a str, home: &str) -> Option<&'a str> {
    let Some((service, rest)) = name.split_once('_') else {
        return Some(name);
    };
    let is_here = rest.strip_prefix(home)?.starts_with("_svc_");
    is_here.then_some(service)
}

/// A quantity in thousandths, if it is a number with at most three decimals, or of thousandths.
fn thousandths(quantity: &str) -> Option<i64> {
    if let Some(number) = quantity.strip_suffix('m') {
        return number.parse().ok();
    }
    let (whole, decimals) = quantity.split_once('.').unwrap_or((quantity, ""));
    let whole: i64 = whole.parse().ok()?;
    let decimals = Some(decimals).filter(|decimals| decimals.len() <= 3)?;
    let decimals: i64 = format!("{decimals:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(decimals)
}

fn at<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value
        .pointer(&format!("/{path}"))
        .map(elements)
        .unwrap_or_default()
}

/// The elements of a list; none if it is no list.
pub(super) fn elements(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_thousandths_and_written_short() {
        let rows = [
            ("90", Some(90_000)),
            ("900m", Some(900)),
            ("0.5", Some(500)),
            ("1.125", Some(1125)),
            ("1.0001", None),
            ("much", None),
            ("", None),
        ];
        for (quantity, expected) in rows {
            assert_eq!(
                SMI[0].said(&json!({"weight": quantity})),
                expected,
                "{quantity}"
            );
        }
        assert_eq!(SMI[0].said(&json!({"weight": 90})), Some(90_000));
        assert_eq!(SMI[1].said(&json!({"weight": "90"})), None);
        let written = [90_000, 900].map(|weight| SMI[0].written(weight));
        assert_eq!(written, [json!("90"), json!("900m")]);
    }

    #[test]
    fn a_tag_of_kuma_names_a_service_of_its_namespace() {
        let rows = [
            ("web", Some("web")),
            ("web_shop_svc_80", Some("web")),
            ("web_market_svc_80", None),
            ("web_shopping_svc_80", None),
        ];
        for (tag, expected) in rows {
            assert_eq!(service_of_tag(tag, "shop"), expected, "{tag}");
        }
    }
}
