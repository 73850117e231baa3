//! Routes that stay the user's (`spec.routeRefs`): nothing but the weights of the two named backends is changed.
//!
//! The original weights are not remembered. A route that was never written keeps them; afterwards it says all of the sum for
//! stable and 0 for the canary, which routes alike whatever the numbers were.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use crate::crd::canary::{Canary, RouteRef};
use crate::objects::{Change, Live, ObjectKey, Seen};
use crate::rollout::observed::{Acceptance, Problem, Routes, Split, Weight};
use crate::router::acceptance::worst;
use crate::router::form::{Form, List, MOST};
use crate::router::{
    RouterError, accepted, editor, missing, patch, planned_weights, refusal, spoken,
};

/// Weights of a plan that the spec does not state; 100 has a number in every sum.
const DEFAULT_WEIGHTS: [i32; 2] = [10, 50];

/// Forms of the routes that a provider can write.
pub(super) type Forms = &'static [&'static Form];

/// The routes that can be read; references to other kinds are told by `problems`.
pub(super) fn keys(forms: Forms, canary: &Canary) -> Vec<ObjectKey> {
    let references = canary.spec.route_refs.iter();
    references
        .filter_map(|reference| Some(key(form(forms, reference)?, canary, reference)))
        .collect()
}

fn key(form: &Form, canary: &Canary, reference: &RouteRef) -> ObjectKey {
    ObjectKey::new(form.kind, &canary.home(), &reference.name)
}

/// The form of a route, whatever version of its group is named.
fn form(forms: Forms, reference: &RouteRef) -> Option<&'static Form> {
    let (group, _) = reference.api_version.split_once('/')?;
    let is = |form: &&Form| {
        let resource = form.kind.api_resource();
        resource.group == group && resource.kind == reference.kind
    };
    forms.iter().copied().find(is)
}

/// What is wrong with the references, and with the routes that they name.
pub(super) fn problems(forms: Forms, canary: &Canary, seen: &Seen) -> Vec<Problem> {
    let references = canary.spec.route_refs.iter();
    references
        .flat_map(|reference| reference_problems(forms, canary, reference, seen))
        .collect()
}

fn reference_problems(
    forms: Forms,
    canary: &Canary,
    reference: &RouteRef,
    seen: &Seen,
) -> Vec<Problem> {
    let named = match Named::new(forms, canary, reference) {
        Ok(named) => named,
        Err(problem) => return vec![problem],
    };
    if let Some(missing) = missing(named.key.kind, seen) {
        let message = format!("spec.routeRefs: {missing}");
        return vec![refusal("ProviderUnavailable", message)];
    }
    let Some(route) = seen.routes.get(&named.key) else {
        return vec![named.missing()];
    };
    match named.pairs(route) {
        Err(problem) => vec![problem],
        Ok(pairs) => named.too_coarse(&pairs, canary).into_iter().collect(),
    }
}

/// The split that all routes agree on, and the worst word of their controllers. `None`: not one of them exists.
pub(super) fn observe(forms: Forms, canary: &Canary, seen: &Seen) -> Option<Split> {
    let mut weights = Vec::new();
    let mut words = Vec::new();
    let mut editors = Vec::new();
    for reference in &canary.spec.route_refs {
        let Ok(named) = Named::new(forms, canary, reference) else {
            weights.push(None);
            continue;
        };
        let Some(route) = seen.routes.get(&named.key) else {
            weights.push(None);
            let message = format!("{} does not exist", spoken(&named.key));
            words.push(Acceptance::Pending(message));
            continue;
        };
        weights.push(named.read(route));
        words.push(accepted(&named.key, route, seen));
        editors.push(editor(route));
    }
    if editors.is_empty() {
        return None;
    }
    Some(Split {
        routes: agreed(&weights).map(|weight| Routes::share(weight.percent())),
        acceptance: worst(words),
        editor: editors.into_iter().flatten().next(),
    })
}

/// The weight that all say; `None` if one says none, or another one.
fn agreed(weights: &[Option<Weight>]) -> Option<Weight> {
    let first = (*weights.first()?)?;
    let agrees = |weight: &Option<Weight>| *weight == Some(first);
    weights.iter().all(agrees).then_some(first)
}

/// Patches of the routes that do not say this split. Without a canary backend nothing reaches the canary, so weight 0 never
/// fails for the want of one.
pub(super) fn render(
    forms: Forms,
    canary: &Canary,
    live: &Live,
    routes: Routes,
) -> Result<Vec<Change>, RouterError> {
    let mut changes = Vec::new();
    for reference in &canary.spec.route_refs {
        let written = Named::new(forms, canary, reference).and_then(|named| {
            let route = live.get(&named.key).ok_or_else(|| named.missing())?;
            let pairs = named.pairs(route)?;
            let writes = named.writes(&pairs, routes.canary)?;
            Ok((named.key, route, writes))
        });
        match written {
            Ok((_, _, writes)) if writes.is_empty() => {}
            Ok((key, route, writes)) => changes.push(patch(&key, route, writes)?),
            Err(_) if routes.canary == Weight::ZERO => {}
            Err(problem) => return Err(RouterError::Refused(problem)),
        }
    }
    Ok(changes)
}

/// Patches that leave stable everything, and take out the canary backends that Serin inserts.
pub(super) fn finalize(
    forms: Forms,
    canary: &Canary,
    live: &Live,
) -> Result<Vec<Change>, RouterError> {
    let mut changes = Vec::new();
    for reference in &canary.spec.route_refs {
        let Ok(named) = Named::new(forms, canary, reference) else {
            continue;
        };
        let Some(route) = live.get(&named.key) else {
            continue;
        };
        let pairs = named.pairs(route).unwrap_or_default();
        let writes = named.releases(&pairs);
        if !writes.is_empty() {
            changes.push(patch(&named.key, route, writes)?);
        }
    }
    Ok(changes)
}

/// One reference, with its names filled in.
struct Named<'a> {
    form: &'static Form,
    key: ObjectKey,
    rule: Option<&'a str>,
    stable: String,
    canary: String,
    insert: bool,
}

/// The two backends in one list.
struct Pair<'a> {
    list: List<'a>,
    port: i64,
    stable: Place,
    /// `None`: it has to be inserted.
    canary: Option<Place>,
    /// The list has more backends, whose share must not change.
    others: bool,
}

/// Where a backend stands in its list, and its weight.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    weight: i64,
}

impl Pair<'_> {
    fn sum(&self) -> i64 {
        self.stable.weight + self.canary.map_or(0, |canary| canary.weight)
    }

    /// The canary's weight in percent of both, if it is a whole number.
    fn percent(&self) -> Option<Weight> {
        let canary = self.canary.map_or(0, |canary| canary.weight);
        let sum = self.sum();
        let whole = sum > 0 && canary >= 0 && (canary * 100) % sum == 0;
        let percent = whole.then(|| canary * 100 / sum)?;
        u8::try_from(percent).ok().map(Weight::new)
    }

    /// The weights of stable and canary for this share; `None`: the sum of both has no whole number for it. Without other
    /// backends the sum is free: the old one, rounded up to hundreds, so that every percentage has its number.
    fn shares(&self, weight: Weight) -> Option<(i64, i64)> {
        let sum = match self.sum() {
            sum if self.others => sum,
            sum => ((sum.max(1) + 99) / 100 * 100).min(MOST),
        };
        let canary = sum * i64::from(weight.percent());
        (sum > 0 && canary % 100 == 0).then_some((sum - canary / 100, canary / 100))
    }

    /// On the way down the next lower share that can be read back will do: a retreat must not wait for a number that there
    /// is not.
    fn lower_shares(&self, weight: Weight) -> Option<(i64, i64)> {
        let sum = self.sum();
        let now = self.canary.map_or(0, |canary| canary.weight);
        let wanted = sum * i64::from(weight.percent());
        let readable = sum / common_divisor(sum, 100).max(1);
        (wanted < now * 100).then(|| {
            let canary = wanted / 100 / readable * readable;
            (sum - canary, canary)
        })
    }
}

fn common_divisor(one: i64, other: i64) -> i64 {
    if other == 0 {
        one
    } else {
        common_divisor(other, one % other)
    }
}

impl<'a> Named<'a> {
    fn new(forms: Forms, canary: &Canary, reference: &'a RouteRef) -> Result<Self, Problem> {
        let form = form(forms, reference).ok_or_else(|| {
            let RouteRef { api_version, kind, name, .. } = reference;
            let provider = canary.spec.provider.as_deref().unwrap_or_default();
            let writes: Vec<_> = forms.iter().map(|form| form.kind.spoken()).collect();
            let writes = writes.join(", ");
            let message = format!(
                "spec.routeRefs: provider {provider} cannot write {kind} {name} of {api_version}; it writes {writes}"
            );
            refusal("ProviderUnavailable", message)
        })?;
        let or = |name: &Option<String>, default: String| name.clone().unwrap_or(default);
        Ok(Self {
            form,
            key: key(form, canary, reference),
            rule: reference.rule.as_deref(),
            stable: or(
                &reference.stable,
                form.backend(canary, canary.service_name()),
            ),
            canary: or(
                &reference.canary,
                form.backend(canary, &canary.canary_service_name()),
            ),
            insert: reference.insert_canary,
        })
    }

    fn missing(&self) -> Problem {
        let message = format!(
            "spec.routeRefs: {} does not exist: create it, or take it off the list",
            spoken(&self.key)
        );
        refusal("RouteNotReady", message)
    }

    /// The pairs to write; never none. A rule with stable alone counts only if the canary may be inserted.
    fn pairs<'r>(&self, route: &'r DynamicObject) -> Result<Vec<Pair<'r>>, Problem> {
        let lists = self.form.lists(&route.data["spec"], self.rule);
        if lists.is_empty() {
            return Err(self.without_rule());
        }
        let all: Vec<Pair<'_>> = lists.iter().flat_map(|list| self.pairs_of(list)).collect();
        let port = all.first().map(|pair| pair.port);
        let usable = |pair: &Pair<'_>| self.insert || pair.canary.is_some();
        let pairs: Vec<Pair<'_>> = all.into_iter().filter(usable).collect();
        if pairs.is_empty() {
            return Err(self.without_backend(port));
        }
        Ok(pairs)
    }

    fn pairs_of<'r>(&self, list: &List<'r>) -> Vec<Pair<'r>> {
        let places = |name: &str| -> Vec<(i64, Place)> {
            let entries = list.entries.iter().enumerate();
            let read = entries.filter_map(|(index, entry)| {
                let backend = self.form.read(list.entries, entry, &self.key.namespace)?;
                let weight = backend.weight;
                (backend.name == name).then_some((backend.port, Place { index, weight }))
            });
            read.collect()
        };
        let canaries = places(&self.canary);
        let pair = |(port, stable): (i64, Place)| {
            let canary = canaries.iter().find(|(other, _)| *other == port);
            let canary = canary.map(|(_, place)| *place);
            let shares = list.entries.iter().filter(|entry| Form::shares(entry));
            let others = shares.count() > 1 + usize::from(canary.is_some());
            Pair {
                list: list.clone(),
                port,
                stable,
                canary,
                others,
            }
        };
        places(&self.stable).into_iter().map(pair).collect()
    }

    fn without_rule(&self) -> Problem {
        let route = spoken(&self.key);
        let message = match self.rule {
            Some(rule) => {
                format!("{route} has no rule named {rule}: correct spec.routeRefs or the route")
            }
            None => format!("{route} has no rules"),
        };
        refusal("CanaryBackendMissing", message)
    }

    /// `port`: of stable's backend, if there is one.
    fn without_backend(&self, port: Option<i64>) -> Problem {
        let Self {
            key,
            stable,
            canary,
            ..
        } = self;
        let route = spoken(key);
        let place = match self.rule {
            Some(rule) => format!("rule {rule} of {route}"),
            None => route,
        };
        let message = match port {
            Some(port) => {
                let (entry, list) = (self.form.paste(canary, port), self.form.list());
                format!(
                    "{place} sends to {stable}, but not to {canary}: add the line `- {entry}` to its {list}, or set insertCanary in spec.routeRefs"
                )
            }
            None => format!(
                "{place} does not send to {} {stable}: correct `stable` in spec.routeRefs, or the route",
                self.form.backend_kind()
            ),
        };
        refusal("CanaryBackendMissing", message)
    }

    fn coarse(&self, pair: &Pair<'_>, what: &str) -> Problem {
        let Self {
            key,
            stable,
            canary,
            ..
        } = self;
        let message = format!(
            "{}: the weights of {stable} and {canary} sum to {}, which has no whole number for {what}; beside other backends the sum cannot change: multiply all weights of the rule, so that this sum is 100",
            spoken(key),
            self.form.written(pair.sum()),
        );
        refusal("WeightsTooCoarse", message)
    }

    fn too_coarse(&self, pairs: &[Pair<'_>], canary: &Canary) -> Option<Problem> {
        let mut planned = planned_weights(canary);
        if planned.is_empty() {
            planned.extend(DEFAULT_WEIGHTS.map(|weight| ("the default steps".to_owned(), weight)));
        }
        planned.iter().find_map(|(field, weight)| {
            let weight = Weight::new(u8::try_from(*weight).ok()?);
            let pair = pairs.iter().find(|pair| pair.shares(weight).is_none())?;
            Some(self.coarse(pair, &format!("{}% of {field}", weight.percent())))
        })
    }

    fn read(&self, route: &DynamicObject) -> Option<Weight> {
        let pairs = self.pairs(route).ok()?;
        let weights: Vec<_> = pairs.iter().map(Pair::percent).collect();
        agreed(&weights)
    }

    /// The operations of a patch: first the tests that nothing moved, then the weights. Insertions go to the end of a list, so
    /// that they move nothing either.
    fn writes(&self, pairs: &[Pair<'_>], weight: Weight) -> Result<Vec<Value>, Problem> {
        let mut tests = Vec::new();
        let mut writes = Vec::new();
        for pair in pairs {
            if pair.percent() == Some(weight) {
                continue;
            }
            let shares = pair.shares(weight).or_else(|| pair.lower_shares(weight));
            let (stable, canary) =
                shares.ok_or_else(|| self.coarse(pair, &format!("{}%", weight.percent())))?;
            tests.push(self.test(pair, pair.stable));
            writes.push(self.set(pair, pair.stable, stable));
            match pair.canary {
                Some(place) => {
                    tests.push(self.test(pair, place));
                    writes.push(self.set(pair, place, canary));
                }
                None => writes.push(self.insertion(pair, canary)),
            }
        }
        tests.append(&mut writes);
        Ok(tests)
    }

    /// The canary gets all that stable has, filters for instance, so that both are treated alike.
    fn insertion(&self, pair: &Pair<'_>, weight: i64) -> Value {
        let mut entry = pair.list.entries[pair.stable.index].clone();
        self.form.rename(&mut entry, &self.canary);
        entry["weight"] = self.form.written(weight);
        let path = format!("{}/-", pair.list.path);
        json!({"op": "add", "path": path, "value": entry})
    }

    fn releases(&self, pairs: &[Pair<'_>]) -> Vec<Value> {
        let mut tests = Vec::new();
        let mut writes = Vec::new();
        let mut removals = Vec::new();
        for pair in pairs {
            let Some(place) = pair.canary else {
                continue;
            };
            if place.weight == 0 && !self.insert {
                continue;
            }
            tests.push(self.test(pair, pair.stable));
            tests.push(self.test(pair, place));
            let alone = self.insert && !pair.others;
            let weight = if alone { self.form.unit() } else { pair.sum() };
            if self.form.said(&pair.list.entries[pair.stable.index]) != Some(weight) {
                writes.push(self.set(pair, pair.stable, weight));
            }
            if self.insert {
                removals.push((&pair.list.path, place.index));
            } else {
                writes.push(self.set(pair, place, 0));
            }
        }
        // From the end, so that no removal moves the next.
        removals.sort_unstable_by(|one, other| other.cmp(one));
        let removals = removals
            .into_iter()
            .map(|(list, index)| json!({"op": "remove", "path": format!("{list}/{index}")}));
        tests.into_iter().chain(writes).chain(removals).collect()
    }

    /// The backend still stands where it was, under the name by which it is known there.
    fn test(&self, pair: &Pair<'_>, place: Place) -> Value {
        let List { path, entries, .. } = &pair.list;
        let (index, name) = (place.index, self.form.name);
        let value = entries[index].pointer(name);
        json!({"op": "test", "path": format!("{path}/{index}{name}"), "value": value})
    }

    /// `add` sets a weight that stands as well as one that was left to the default.
    fn set(&self, pair: &Pair<'_>, place: Place, weight: i64) -> Value {
        let path = format!("{}/{}/weight", pair.list.path, place.index);
        json!({"op": "add", "path": path, "value": self.form.written(weight)})
    }
}
