//! How routes list weighted backends: one form for each kind. What a form says is all that is needed to shift weights in a route
//! that is the user's (PROVIDERS 1.2).

use serde_json::Value;

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
    /// An entry that could not be inserted as a copy of stable's, as a person would paste it; `{}` stand for name and port.
    paste: (&'static str, &'static str, &'static str),
    /// Fields that make an entry something else than a Service of this namespace, unless they have one of these values.
    usual: &'static [(&'static str, &'static [&'static str])],
    /// An entry without a weight has one of 1 even beside entries that say theirs; elsewhere it then has none.
    unsaid_is_one: bool,
}

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
    rule: "name",
    name: "/destination/host",
    port: "/destination/port/number",
    paste: (
        "{destination: {host: ",
        ", port: {number: ",
        "}}, weight: 0}",
    ),
    usual: &[("/destination/subset", &[])],
    unsaid_is_one: false,
}];

/// Routes of Contour. A mirror is no backend.
pub(super) const CONTOUR: [&Form; 1] = [&Form {
    kind: Kind::HttpProxy,
    lists: &["routes/*/services", "tcpproxy/services"],
    rule: "name",
    name: "/name",
    port: "/port",
    paste: ("{name: ", ", port: ", ", weight: 0}"),
    usual: &[("/mirror", &[])],
    unsaid_is_one: false,
}];

const fn gateway_api(kind: Kind) -> Form {
    Form {
        kind,
        lists: &["rules/*/backendRefs"],
        rule: "name",
        name: "/name",
        port: "/port",
        paste: ("{name: ", ", port: ", ", weight: 0}"),
        usual: &[("/group", &["", "core"]), ("/kind", &["Service"])],
        unsaid_is_one: true,
    }
}

const fn traefik(kind: Kind, lists: &'static [&'static str]) -> Form {
    Form {
        kind,
        lists,
        rule: "match",
        name: "/name",
        port: "/port",
        paste: ("{name: ", ", port: ", ", weight: 0}"),
        usual: &[("/kind", &["Service"])],
        unsaid_is_one: true,
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
        let all = self.lists.iter().flat_map(|path| self.below(spec, path));
        all.filter(|list| rule.is_none() || list.rule == rule)
            .collect()
    }

    fn below<'a>(&self, spec: &'a Value, path: &str) -> Vec<List<'a>> {
        let Some((outer, inner)) = path.split_once("/*/") else {
            let list = List {
                path: format!("/spec/{path}"),
                rule: None,
                entries: at(spec, path),
            };
            return vec![list];
        };
        let elements = at(spec, outer).iter().enumerate();
        let list = |(index, element): (usize, &'a Value)| List {
            path: format!("/spec/{outer}/{index}/{inner}"),
            rule: element[self.rule].as_str(),
            entries: at(element, inner),
        };
        elements.map(list).collect()
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
        let said = |entry: &Value| entry["weight"].as_i64();
        let alone = || self.unsaid_is_one || !list.iter().any(|other| said(other).is_some());
        said(entry)
            .unwrap_or_else(|| i64::from(alone()))
            .clamp(0, MOST)
    }

    /// The Service that a name means. Istio's hosts may be written out with namespace and domain.
    fn service<'a>(&self, name: &'a str, home: &str) -> Option<&'a str> {
        if self.kind != Kind::VirtualService {
            return Some(name);
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
        if let Some(field) = entry.pointer_mut(self.name) {
            *field = Value::from(name);
        }
    }

    /// What people call a list of backends.
    pub(super) fn list(&self) -> &'static str {
        self.lists[0].rsplit('/').next().unwrap_or_default()
    }

    /// The entry that a person would add for a backend.
    pub(super) fn paste(&self, name: &str, port: i64) -> String {
        let (begin, middle, end) = self.paste;
        format!("{begin}{name}{middle}{port}{end}")
    }
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
