//! Puts a release on the stage: the embedded cluster with Serin, the objects of the files, what is made up, and the users.

use serde_json::{Value, json};

use crate::cli::embedded;
use crate::cli::simulate::cast::{self, Cast};
use crate::cli::simulate::files::Manifest;
use crate::cli::simulate::problem::{Broken, Place, Problem};
use crate::cli::simulate::scenario::{Arm, Scenario};
use crate::cli::simulate::{stand_in, strict};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::refusals::refusals;
use crate::sim::api::Part;
use crate::sim::behaviour::{Behaviour, is_app};
use crate::sim::field::{after_ms, list, text};
use crate::sim::nodes::Size;
use crate::sim::refusal::Refusal;
use crate::sim::store::Key;
use crate::sim::traffic::Name;
use crate::sim::traffic::behaviour::version_of_image;
use crate::sim::traffic::rate::Rate;
use crate::sim::users::Destination;
use crate::sim::world::World;
use crate::sim::write::Request;

/// So many requests of users that the Canary's `match` describes come for one of the others.
const TESTERS: f64 = 0.1;

/// Who writes what the files have, and ships the new version.
const SOMEBODY: &str = "somebody";

/// Everything before it comes to life.
pub struct Stage {
    /// The cluster.
    pub world: World,
    /// Its time.
    pub clock: Clock,
    /// The objects.
    pub cast: Cast,
    /// What happens.
    pub scenario: Scenario,
    /// Image of the version that is there.
    pub stable: String,
    /// Image of the new version.
    pub candidate: String,
    /// What was left out of the files, and why.
    pub notes: Vec<String>,
}

/// What a stage is made from.
#[derive(Clone, Debug)]
pub struct Script {
    /// The objects of the files.
    pub manifests: Vec<Manifest>,
    /// The Canary that is meant, if there are several.
    pub canary: Option<String>,
    /// What happens.
    pub scenario: Scenario,
    /// Where chance begins.
    pub seed: u64,
}

impl Stage {
    /// Sets the stage.
    ///
    /// # Errors
    /// Says everything that is wrong with the files.
    pub fn set(script: &Script) -> Result<Self, Broken> {
        let clock = Clock::simulated();
        let installed = embedded::installed().map_err(|refusal| unexpected(&refusal))?;
        let mut world = World::on(installed.copy(clock), script.seed);
        world.nodes = Size {
            nodes: 5,
            cpu: "1000".to_owned(),
            memory: "1000Gi".to_owned(),
        };
        let manifests = script.manifests.clone();
        let (mut manifest, others) = cast::canary(manifests, script.canary.as_deref())?;
        world.api.add_namespace(manifest.namespace());
        let mut canary = understood(&world, &manifest)?;
        let stand_in = stand_in::play(&mut manifest, &mut canary);
        let cast = Cast::new(manifest, canary, others);
        let mut notes = furnish(&world, &cast)?;
        notes.splice(0..0, stand_in);
        let stable = cast.deployment().map(image).unwrap_or_default().to_owned();
        let mut stage = Self {
            candidate: next_image(&stable),
            stable,
            world,
            clock,
            cast,
            scenario: script.scenario.clone(),
            notes,
        };
        stage.send_users();
        stage.say(Arm::Stable, stage.clock.now());
        Ok(stage)
    }

    /// The application, as users know it.
    #[must_use]
    pub fn application(&self) -> Name {
        Name::new(self.cast.namespace(), self.cast.target())
    }

    /// The Canary, as the cluster knows it.
    #[must_use]
    pub fn canary_key(&self) -> Key {
        let namespace = self.cast.namespace();
        Key::new(
            "serin.dev",
            "canaries",
            namespace,
            self.cast.manifest.name(),
        )
    }

    /// The target, as the cluster knows it.
    #[must_use]
    pub fn target_key(&self) -> Key {
        Key::new(
            "apps",
            "deployments",
            self.cast.namespace(),
            self.cast.target(),
        )
    }

    fn send_users(&mut self) {
        let spec = &self.cast.canary.spec;
        let service = spec.service.as_ref();
        let target = self.cast.target();
        let apex = service.and_then(|it| it.name.as_deref()).unwrap_or(target);
        let destination = match spec.provider.as_deref() {
            Some("none") => return,
            Some("kubernetes") => Destination::Service(Name::new(self.cast.namespace(), apex)),
            _ => Destination::Host(self.host(), "/".to_owned()),
        };
        let rate = self.scenario.first_rate();
        self.world
            .send(&self.application(), destination, Rate::Constant(rate));
        if let Some(header) = self.marked() {
            let way = Destination::Marked(self.host(), "/".to_owned(), header);
            self.world
                .send(&self.testers(), way, Rate::Constant(TESTERS * rate));
        }
    }

    /// Users beside the others, whose requests the Canary describes.
    fn testers(&self) -> Name {
        Name::new(self.cast.namespace(), "testers")
    }

    /// A header by which the Canary knows them: of its descriptions the first that one header can meet.
    fn marked(&self) -> Option<(String, String)> {
        let mut matches = self.cast.canary.spec.analysis.matches.iter();
        matches.find_map(|request| {
            let (name, text) = request.headers.first_key_value()?;
            let alone = request.headers.len() == 1 && request.query_params.is_empty();
            let (how, value) = *text.said().first()?;
            (alone && how != "regex").then(|| (name.clone(), value.to_owned()))
        })
    }

    /// A host that the routes of the Canary take.
    fn host(&self) -> String {
        let spec = &self.cast.canary.spec;
        let own = spec.service.iter().flat_map(|service| &service.hosts);
        let named = spec.route_refs.iter().filter_map(|reference| {
            let key = self.route_key(&reference.kind, &reference.name);
            let route = self.world.api.get(&key)?;
            let host = list(&route, "/spec/hostnames").first()?.as_str()?;
            Some(host.to_owned())
        });
        let host = own.cloned().chain(named).next();
        let host = host.unwrap_or_else(|| format!("{}.example", self.cast.target()));
        host.replace("*.", "www.")
    }

    fn route_key(&self, kind: &str, name: &str) -> Key {
        let plural = if kind == "GRPCRoute" {
            "grpcroutes"
        } else {
            "httproutes"
        };
        let group = "gateway.networking.k8s.io";
        Key::new(group, plural, self.cast.namespace(), name)
    }

    /// Says what the Pods of a version do from a moment on, which is the scenario's beginning.
    pub fn say(&self, arm: Arm, begin: jiff::Timestamp) {
        let Some(deployment) = self.cast.deployment() else {
            return;
        };
        let image = match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        };
        let namespace = self.cast.namespace();
        let behaviours = &self.world.behaviours;
        for container in others(deployment) {
            let other = text(container, "/image");
            if other != self.stable && !is_app(other) {
                behaviours.say(namespace, other, begin, Some(Behaviour::new("")));
            }
        }
        let mut does = Behaviour::new(version_of_image(image));
        if is_app(image) {
            does = Behaviour::of(&json!({"image": image}));
        }
        for (at, does) in self.scenario.behaviours(arm, does) {
            let at = after_ms(begin, i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
            behaviours.say(namespace, image, at, Some(does));
        }
    }

    /// Ships the new version, and lets the scenario begin.
    ///
    /// # Errors
    /// As the API server refuses.
    pub fn ship(&self) -> Result<(), Refusal> {
        let now = self.clock.now();
        self.say(Arm::Stable, now);
        self.say(Arm::Candidate, now);
        if self.cast.canary.spec.provider.as_deref() != Some("none") {
            let traffic = &self.world.traffic;
            let mut traffic = traffic
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            traffic.send(&self.application(), self.scenario.rate(1.0));
            if self.marked().is_some() {
                traffic.send(&self.testers(), self.scenario.rate(TESTERS));
            }
        }
        let who = embedded::person(SOMEBODY);
        let revision = self.cast.canary.spec.revision.as_ref();
        let revision = revision.map(|before| format!("{before}-next"));
        if let Some(revision) = &revision {
            self.world
                .api
                .update(&who, &self.canary_key(), Part::Main, |canary| {
                    canary["spec"]["revision"] = json!(revision);
                })?;
        }
        let ship = |deployment: &mut Value| {
            deployment["spec"]["template"]["spec"]["containers"][0]["image"] =
                json!(self.candidate);
            if let Some(revision) = &revision {
                deployment["metadata"]["annotations"]["serin.dev/revision"] = json!(revision);
            }
        };
        self.world
            .api
            .update(&who, &self.target_key(), Part::Main, ship)
            .map(drop)
    }
}

/// The Canary as the API server takes it, with its defaults.
fn understood(world: &World, manifest: &Manifest) -> Result<Canary, Broken> {
    let mut problems = strict::unknown_fields(manifest);
    let key = Key::new(
        "serin.dev",
        "canaries",
        manifest.namespace(),
        manifest.name(),
    );
    let mut request = Request::of(&embedded::person(SOMEBODY));
    request.dry_run = true;
    let taken = world.api.create_as(&request, &key, manifest.object.clone());
    match taken.map(|object| serde_json::from_value::<Canary>(Value::clone(&object))) {
        Err(refusal) => problems.extend(said(manifest, &refusal)),
        Ok(Err(error)) => problems.push(manifest.problem("spec", &error.to_string())),
        Ok(Ok(canary)) => {
            let refused = refusals(&canary).into_iter();
            problems.extend(refused.map(|it| manifest.problem(&it.field, &it.message)));
            if problems.is_empty() {
                return Ok(canary);
            }
        }
    }
    Err(Broken(problems))
}

/// Writes everything into the cluster, the Canary last; says what was left out.
fn furnish(world: &World, cast: &Cast) -> Result<Vec<String>, Broken> {
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    let kinds = world.api.kinds();
    for manifest in &cast.others {
        problems.extend(strict::unknown_fields(manifest));
        let (group, kind) = (manifest.group(), manifest.kind());
        let Some(served) = kinds.iter().find(|it| it.kind == kind && it.group == group) else {
            let name = manifest.name();
            notes.push(format!(
                "{kind} {name} is left out: the simulated cluster does not know {kind}s"
            ));
            continue;
        };
        if served.namespaced {
            world.api.add_namespace(manifest.namespace());
        }
        if let Err(refusal) = world.put(cast.adapted(&manifest.object)) {
            problems.extend(said(manifest, &refusal));
        }
    }
    if !problems.is_empty() {
        return Err(Broken(problems));
    }
    for object in &cast.made_up {
        world.api.add_namespace(text(object, "/metadata/namespace"));
        let put = world.put(cast.adapted(object));
        put.map_err(|refusal| unexpected(&refusal))?;
    }
    let put = world.put(cast.adapted(&cast.manifest.object));
    put.map_err(|refusal| Broken(said(&cast.manifest, &refusal)))?;
    Ok(notes)
}

/// What the API server has against an object.
fn said(manifest: &Manifest, refusal: &Refusal) -> Vec<Problem> {
    if refusal.causes.is_empty() {
        return vec![manifest.problem("", &refusal.message)];
    }
    // What has no field says that more may be wrong.
    let causes = refusal.causes.iter();
    let causes = causes.filter(|cause| cause.field.starts_with(char::is_alphabetic));
    causes
        .map(|cause| manifest.problem(&cause.field, &cause.message))
        .collect()
}

fn unexpected(refusal: &Refusal) -> Broken {
    let message = format!(
        "the simulated cluster cannot be set up: {}",
        refusal.message
    );
    Problem::new("simulate", Place::default(), "", &message).into()
}

fn image(deployment: &Value) -> &str {
    text(deployment, "/spec/template/spec/containers/0/image")
}

/// All containers but the one that is released.
fn others(deployment: &Value) -> impl Iterator<Item = &Value> {
    let containers = list(deployment, "/spec/template/spec/containers");
    let init = list(deployment, "/spec/template/spec/initContainers");
    containers.iter().skip(1).chain(init)
}

/// The image of the next version: the last number of the tag counted up, or `next`.
#[must_use]
pub fn next_image(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name[slash..].find(':') {
        Some(at) => (&name[..slash + at], &name[slash + at + 1..]),
        None => (name, ""),
    };
    let digits = tag.len() - tag.trim_end_matches(|it: char| it.is_ascii_digit()).len();
    let (head, number) = tag.split_at(tag.len() - digits);
    let counted = number
        .parse::<u32>()
        .ok()
        .map(|number| format!("{name}:{head}{}", u64::from(number) + 1));
    let counted = counted.filter(|it| version_of_image(it) != version_of_image(image));
    counted.unwrap_or_else(|| {
        let next = format!("{name}:next");
        if version_of_image(image) == "next" {
            format!("{name}:next2")
        } else {
            next
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_is_another_one() {
        let rows = [
            ("simulated:1.0.0", "simulated:1.0.1"),
            ("registry:5000/team/web:v7", "registry:5000/team/web:v8"),
            ("registry:5000/team/web", "registry:5000/team/web:next"),
            ("web:1.25-alpine", "web:next"),
            ("web:2.0.0-rc1", "web:next"),
            ("web@sha256:ab", "web:next"),
            ("web:next", "web:next2"),
        ];
        for (image, expected) in rows {
            assert_eq!(next_image(image), expected, "{image}");
        }
    }
}
