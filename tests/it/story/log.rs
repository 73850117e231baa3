//! What was written in a story, in words for a person who looks for the reason.

use std::time::Duration;

use serde_json::Value;
use serin::sim::store::Event;

use crate::story::oracle::state::by_serin;
use crate::story::{Story, objects};

impl Story {
    /// Every write of this test, oldest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.world.api.since(self.begin).unwrap()
    }

    /// The weights that the Canary has said, in their order.
    pub(crate) fn weights(&self) -> Vec<i64> {
        let events = self.events();
        let said = events
            .iter()
            .filter(|event| *event.key == objects::canary_key());
        let mut weights: Vec<i64> = said
            .filter_map(|event| event.object["status"]["canaryWeight"].as_i64())
            .collect();
        weights.dedup();
        weights
    }

    /// What the Canary said and what the route had, a line for each write.
    pub(crate) fn trace(&self) -> Vec<String> {
        let events = self.events();
        let told = events.iter().filter_map(|event| {
            let object = &event.object;
            match event.key.plural.as_str() {
                "canaries" => {
                    let status = &object["status"];
                    Some(format!(
                        "{} {} accepted {} wanted {} at {}: {}",
                        event.revision,
                        status["phase"],
                        status["canaryWeight"],
                        status["traffic"]["wanted"],
                        status["traffic"]["wantedAt"],
                        status["message"],
                    ))
                }
                "httproutes" => {
                    let weight = &object["spec"]["rules"][0]["backendRefs"][1]["weight"];
                    let seen =
                        &object["status"]["parents"][0]["conditions"][0]["observedGeneration"];
                    Some(format!(
                        "{} route {weight}, accepted {seen} of {}",
                        event.revision, object["metadata"]["generation"]
                    ))
                }
                _ => None,
            }
        });
        told.collect()
    }

    /// Steps up that came too soon after the one before.
    pub(crate) fn hasty_steps(&self, interval: Duration) -> Vec<String> {
        let interval = jiff::SignedDuration::try_from(interval).unwrap();
        let mut steps: Vec<(i64, jiff::Timestamp)> = Vec::new();
        for event in self.events() {
            let Some(weight) = weight(&event).filter(|_| by_serin(&event)) else {
                continue;
            };
            if steps.last().is_none_or(|(last, _)| *last != weight) {
                steps.push((weight, event.signed.at));
            }
        }
        steps
            .windows(2)
            .filter(|pair| pair[0].0 > 0 && pair[1].0 > pair[0].0)
            .filter(|pair| pair[1].1.duration_since(pair[0].1) < interval)
            .map(|pair| format!("{pair:?}"))
            .collect()
    }
}

/// The canary's weight that a write gives to the application's route.
pub(crate) fn weight(event: &Event) -> Option<i64> {
    if event.key.plural != "httproutes" {
        return None;
    }
    canary_weight(&event.object)
}

/// The canary's share in a route, in percent: of the first rule that has the canary's Service.
pub(crate) fn canary_weight(route: &Value) -> Option<i64> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let weight = |backend: &Value| backend["weight"].as_i64().unwrap_or(1);
    rules.into_iter().find_map(|rule| {
        let backends = rule["backendRefs"].as_array()?;
        let canary = backends.iter().find(|it| it["name"] == "app-canary")?;
        let sum: i64 = backends.iter().map(weight).sum();
        Some(weight(canary) * 100 / sum.max(1))
    })
}
