//! The two backends of a route that Serin makes, as entries of a list.

use serde_json::{Value, json};

use crate::crd::canary::Canary;
use crate::rollout::observed::{Problem, Weight};
use crate::router::form::Form;
use crate::router::refusal;

/// Stable's and the canary's backend, in the form of one kind of route.
pub(super) struct Arms {
    form: &'static Form,
    home: String,
    stable: String,
    canary: String,
    port: i64,
}

impl Arms {
    /// The arms of a Canary.
    pub(super) fn of(form: &'static Form, canary: &Canary) -> Result<Self, Problem> {
        let service = canary.spec.service.as_ref().ok_or_else(|| {
            let kind = form.kind.api_resource().kind;
            let message =
                format!("spec.service is not set: a generated {kind} needs spec.service.port");
            refusal("RouteNotReady", message)
        })?;
        Ok(Self {
            form,
            home: canary.home(),
            stable: canary.service_name().to_owned(),
            canary: canary.canary_service_name(),
            port: i64::from(service.port),
        })
    }

    /// The same arms, by other names of their backends.
    pub(super) fn called(self, stable: String, canary: String) -> Self {
        Self {
            stable,
            canary,
            ..self
        }
    }

    /// Both entries with this weight of the canary; what stands in them besides stays. `new` makes an entry of name and port.
    pub(super) fn entries(
        &self,
        standing: &[Value],
        weight: Weight,
        new: impl Fn(&str, i64) -> Value,
    ) -> Value {
        let share = weight.percent();
        let entry = |canary: bool, weight: u8| self.entry(standing, canary, weight, &new);
        json!([entry(false, 100 - share), entry(true, share)])
    }

    /// An entry of one of them with this weight; what stands in a list for it stays.
    pub(super) fn entry(
        &self,
        standing: &[Value],
        canary: bool,
        weight: u8,
        new: impl Fn(&str, i64) -> Value,
    ) -> Value {
        let name = if canary { &self.canary } else { &self.stable };
        let found = standing.iter().find(|entry| self.is(standing, entry, name));
        let mut entry = found.cloned().unwrap_or_else(|| new(name, self.port));
        entry["weight"] = self.percent(weight);
        entry
    }

    /// A backend by its name, without a weight.
    pub(super) fn named(&self, canary: bool, new: impl Fn(&str, i64) -> Value) -> Value {
        new(if canary { &self.canary } else { &self.stable }, self.port)
    }

    /// An entry of the canary with this weight, for a list without stable.
    pub(super) fn canary_alone(&self, weight: Weight, new: impl Fn(&str, i64) -> Value) -> Value {
        self.entry(&[], true, weight.percent(), new)
    }

    /// The same without the canary's entry.
    pub(super) fn stable_alone(
        &self,
        standing: &[Value],
        new: impl Fn(&str, i64) -> Value,
    ) -> Value {
        let mut entries = self.entries(standing, Weight::ZERO, new);
        self.release(&mut entries);
        entries
    }

    /// The weight of the canary's entry, if it can be a percentage.
    pub(super) fn weight(&self, standing: &[Value]) -> Option<Weight> {
        let is = |entry: &&Value| self.is(standing, entry, &self.canary);
        let entry = standing.iter().find(is)?;
        let weight = self.form.read(standing, entry, &self.home)?.weight;
        let unit = self.form.unit();
        let percent = (weight % unit == 0).then_some(weight / unit)?;
        let percent = u8::try_from(percent).ok();
        percent.filter(|percent| *percent <= 100).map(Weight::new)
    }

    /// Whether a list has both.
    pub(super) fn both(&self, standing: &[Value]) -> bool {
        let has = |name: &str| standing.iter().any(|entry| self.is(standing, entry, name));
        has(&self.stable) && has(&self.canary)
    }

    /// Leaves stable alone in a list.
    pub(super) fn release(&self, list: &mut Value) {
        let Some(entries) = list.as_array_mut() else {
            return;
        };
        let standing = entries.clone();
        entries.retain(|entry| !self.is(&standing, entry, &self.canary));
        if let [only] = entries.as_mut_slice() {
            only["weight"] = self.percent(100);
        }
    }

    fn percent(&self, weight: u8) -> Value {
        self.form.written(i64::from(weight) * self.form.unit())
    }

    fn is(&self, list: &[Value], entry: &Value, name: &str) -> bool {
        let backend = self.form.read(list, entry, &self.home);
        backend.is_some_and(|it| it.name == name && (it.port == self.port || it.port == 0))
    }
}
