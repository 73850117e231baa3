//! `serin status`: one rollout as a tree of target, canary, Pods, steps and checks.

use std::cmp::Ordering;
use std::pin::pin;

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::cli::args::{Form, StatusArgs};
use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::cli::get::bare;
use crate::cli::live::{Event, Live};
use crate::cli::screen::{Colour, Palette};
use crate::cli::text::{TIGHT, Text};
use crate::cli::tree::Node;
use crate::cli::verdict::{Goal, progress, verdict};
use crate::cli::wait::Patience;
use crate::cli::{age, find, screen, wait};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::{
    CanaryStatus, CheckStatus, CheckVerdict, Diagnosis, Pause, Phase, PlannedStep, RequestOutcome,
    StepStatus,
};
use crate::digest;
use crate::objects::{Deployment, Kind, Pod, mark};
use crate::rollout::observed::Routes;

/// Pods that are shown one by one; of more, those that are not ready come first.
const PODS: usize = 8;
/// Steps of a plan that are shown one by one.
const STEPS: usize = 9;

/// Everything that the tree shows.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The Canary.
    pub canary: Canary,
    /// Its target.
    pub target: Option<Deployment>,
    /// The canary workload.
    pub clone: Option<Deployment>,
    /// The canary's Pods.
    pub pods: Vec<Pod>,
}

/// Shows the rollout, once or until it ends; exits by its outcome.
pub(super) async fn run(session: &Session, args: &StatusArgs) -> Result<Exit> {
    let name = find::canary(session, &args.name).await?.name_any();
    let scene = read(session, &name).await?;
    if args.watch {
        let vigil = Vigil::new(session, name, scene);
        return if screen::is_screen() {
            on_screen(vigil).await
        } else {
            in_lines(vigil).await
        };
    }
    let text = match args.output {
        Form::Text => drawn(&scene, Palette::of_stdout()),
        form => form.render(&bare(&scene.canary))?,
    };
    screen::write(&text)?;
    let failed =
        verdict(&scene.canary, scene.target.as_ref(), &Goal::default()) == Some(Exit::Failed);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// As it fits on the terminal now.
fn drawn(scene: &Scene, palette: Palette) -> String {
    tree(scene, Clock::System.now()).render(palette, screen::room())
}

/// Who looks until the release that goes on, or the next one, has ended.
struct Vigil<'a> {
    session: &'a Session,
    name: String,
    scene: Scene,
    goal: Goal,
    /// A release went on from the beginning.
    began: bool,
    patience: Patience,
    /// What went wrong with the last look.
    trouble: Option<String>,
}

impl<'a> Vigil<'a> {
    fn new(session: &'a Session, name: String, scene: Scene) -> Self {
        let goal = Goal::default();
        let began = verdict(&scene.canary, scene.target.as_ref(), &goal).is_none();
        Self {
            session,
            name,
            scene,
            goal,
            began,
            patience: Patience::default(),
            trouble: None,
        }
    }

    /// How it ended; `None`: not yet.
    fn ended(&mut self) -> Option<Exit> {
        self.goal.follow(&self.scene.canary);
        let ended = verdict(&self.scene.canary, self.scene.target.as_ref(), &self.goal);
        ended.filter(|_| self.began || self.goal.following.is_some())
    }

    /// Takes what a look saw.
    fn take(&mut self, looked: Result<Scene>) -> Result<()> {
        self.trouble = None;
        match looked {
            Ok(scene) => {
                self.patience = Patience::default();
                self.scene = scene;
            }
            Err(error) => self.trouble = Some(self.patience.bear(error)?),
        }
        Ok(())
    }

    /// What there is to say beside the tree.
    fn note(&self) -> Option<String> {
        let idle = "no release goes on: waiting for the next one; Ctrl-C ends";
        let waits = !self.began && self.goal.following.is_none();
        self.trouble
            .clone()
            .or_else(|| waits.then(|| idle.to_owned()))
    }
}

async fn later(session: &Session, name: &str) -> Result<Scene> {
    tokio::time::sleep(wait::LOOK).await;
    read(session, name).await
}

/// A tree that is drawn again and again. The last one stays on the terminal.
async fn on_screen(mut vigil: Vigil<'_>) -> Result<Exit> {
    let (session, name) = (vigil.session, vigil.name.clone());
    let palette = Palette::of_stdout();
    let mut live = Live::enter()?;
    let exit = 'watch: loop {
        if let Some(exit) = vigil.ended() {
            break exit;
        }
        let mut next = pin!(later(session, &name));
        loop {
            live.draw(&framed(&vigil, palette), palette)?;
            tokio::select! {
                looked = &mut next => {
                    vigil.take(looked)?;
                    break;
                }
                event = live.event() => if event? == Event::Stopped {
                    break 'watch Exit::Stopped;
                },
            }
        }
    };
    drop(live);
    screen::write(&drawn(&vigil.scene, palette))?;
    Ok(exit)
}

/// The tree, and what there is to say under it.
fn framed(vigil: &Vigil<'_>, palette: Palette) -> String {
    let mut text = drawn(&vigil.scene, palette);
    if let Some(note) = vigil.note() {
        let note = Node::leaf(Text::new(Colour::Faint, &note));
        text.push_str(&note.render(palette, screen::room()));
    }
    text
}

/// A line for every change, for whoever is no terminal.
async fn in_lines(mut vigil: Vigil<'_>) -> Result<Exit> {
    let (mut shown, mut said) = (String::new(), None);
    loop {
        let ended = vigil.ended();
        let line = progress(&vigil.scene.canary);
        if line != shown {
            let now = Moment::new(Clock::System.now());
            screen::line(&format!("{now} {line}"))?;
            shown = line;
        }
        if let Some(exit) = ended {
            return Ok(exit);
        }
        let note = vigil.note();
        if let Some(note) = note.as_ref().filter(|_| note != said) {
            screen::complain(note);
        }
        said = note;
        let looked = later(vigil.session, &vigil.name).await;
        vigil.take(looked)?;
    }
}

async fn read(session: &Session, name: &str) -> Result<Scene> {
    let (canary, target) = wait::read(session, name).await?;
    let clone = find::deployment(session, &canary.canary_name()).await?;
    let ours =
        clone.filter(|clone| clone.labels().get(mark::CANARY_UID) == Some(&canary.identity()));
    let clone = ours.as_ref().map(find::understand).transpose()?;
    let pods = match &clone {
        Some(clone) => pods(session, clone).await?,
        None => Vec::new(),
    };
    Ok(Scene {
        canary,
        target,
        clone,
        pods,
    })
}

async fn pods(session: &Session, clone: &Deployment) -> Result<Vec<Pod>> {
    let pairs: Vec<_> = clone
        .selector
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let params = ListParams {
        label_selector: Some(pairs.join(",")),
        ..ListParams::default()
    };
    let list = session
        .objects(Kind::Pod)
        .list(&params)
        .await
        .context("list the canary's Pods")?;
    let pod = |object| {
        let value = serde_json::to_value(object).context("read a Pod")?;
        digest::pod(&value).context("read a Pod")
    };
    list.items.into_iter().map(pod).collect()
}

/// The tree of a rollout.
#[must_use]
pub fn tree(scene: &Scene, now: Timestamp) -> Node {
    let painter = Painter { now };
    let status = scene.canary.status.clone().unwrap_or_default();
    let mut parts = vec![stable(scene, &status)];
    parts.extend(painter.canary(scene, &status));
    parts.extend(painter.steps(&status));
    parts.extend(group("checks", status.checks.iter().map(check).collect()));
    parts.extend(group(
        "diagnosis",
        status.diagnosis.iter().map(trouble).collect(),
    ));
    parts.extend(painter.request(&status));
    Node::with(heading(&scene.canary, &status), parts)
}

fn heading(canary: &Canary, status: &CanaryStatus) -> Text {
    let name = format!("{}/{}", canary.home(), canary.name_any());
    let mut text = Text::new(Colour::Strong, &name)
        .plus("  ")
        .and(colour(status.phase), status.phase.as_str());
    if canary.spec.suspend {
        text = text.plus("  (suspended)");
    }
    if !status.message.is_empty() {
        text = text.plus(&format!("  {}", status.message));
    }
    text
}

fn stable(scene: &Scene, status: &CanaryStatus) -> Node {
    let Some(target) = &scene.target else {
        let name = scene.canary.target_name();
        let gone = format!("target   deployment/{name} does not exist");
        return Node::leaf(Text::new(Colour::Bad, &gone));
    };
    let stable = status.stable.clone().unwrap_or_default();
    let text = Text::from(format!(
        "stable   {}  {}  {}%",
        version(&stable.revision, &stable.images),
        arm(target),
        100 - status.canary_weight.min(100)
    ));
    Node::leaf(if target.meta.labels.contains_key(mark::HELD) {
        let held = format!("held: {}", target.template.images.join(", "));
        text.plus("  ").and(Colour::Busy, &held)
    } else {
        text
    })
}

fn group(title: &str, children: Vec<Node>) -> Option<Node> {
    (!children.is_empty()).then(|| Node::with(title, children))
}

fn check(check: &CheckStatus) -> Node {
    let (sign, colour) = match check.verdict {
        CheckVerdict::Pass => ("✓", Colour::Good),
        CheckVerdict::Fail | CheckVerdict::Invalid => ("✗", Colour::Bad),
        CheckVerdict::Unproven | CheckVerdict::Inconclusive | CheckVerdict::NoData => {
            ("?", Colour::Busy)
        }
    };
    let stable = check.stable.as_ref();
    let parts = [
        Some(check.name.clone()),
        check.value.clone(),
        check.limit.as_ref().map(|limit| format!("({limit})")),
        stable.map(|stable| format!("stable {stable}")),
        check.samples.map(|samples| format!("{samples} samples")),
        check.message.clone(),
    ];
    let words: Vec<_> = parts.into_iter().flatten().collect();
    let text = Text::new(colour, sign).plus(TIGHT);
    Node::leaf(text.plus(&words.join("  ")))
}

fn trouble(trouble: &Diagnosis) -> Node {
    let container = trouble.container.as_ref();
    let container = container.map(|name| format!(", container {name}"));
    let text = Text::from(format!(
        "{}{}: ",
        trouble.object,
        container.unwrap_or_default()
    ));
    let text = text
        .and(Colour::Bad, &trouble.reason)
        .plus(&format!(": {}", trouble.message));
    Node::with(text, vec![Node::leaf(format!("try: {}", trouble.hint))])
}

struct Painter {
    now: Timestamp,
}

impl Painter {
    fn canary(&self, scene: &Scene, status: &CanaryStatus) -> Option<Node> {
        let clone = scene.clone.as_ref()?;
        let candidate = status.candidate.clone().unwrap_or_default();
        let text = format!(
            "canary   {}  {}  {}%",
            version(&candidate.revision, &candidate.images),
            arm(clone),
            status.canary_weight
        );
        Some(Node::with(text, self.pods(&scene.pods)))
    }

    fn pods(&self, pods: &[Pod]) -> Vec<Node> {
        let mut sorted: Vec<_> = pods.iter().collect();
        sorted.sort_by_key(|pod| (pod.ready, pod.meta.name.clone()));
        let mut lines: Vec<_> = sorted
            .iter()
            .take(PODS)
            .map(|pod| Node::leaf(self.pod(pod)))
            .collect();
        if sorted.len() > PODS {
            lines.push(Node::leaf(format!("and {} more", sorted.len() - PODS)));
        }
        lines
    }

    fn pod(&self, pod: &Pod) -> Text {
        let restarts = pod.containers.iter().map(|container| container.restarts);
        let restarts: i32 = restarts.sum();
        let mut waiting = pod.containers.iter().filter_map(|it| it.waiting.as_ref());
        let text = Text::from(format!("{}  ", pod.meta.name));
        let text = match waiting.next() {
            _ if pod.ready => text.and(Colour::Good, "ready"),
            Some((reason, _)) => text.and(Colour::Bad, reason),
            None => text.and(Colour::Busy, &format!("{}, not ready", pod.phase)),
        };
        let created = pod.meta.created.map(Moment::new);
        let age = created.map(|created| format!("  {}", age::since(created, self.now)));
        let restarts = match restarts {
            0 => String::new(),
            1 => "  1 restart".to_owned(),
            many => format!("  {many} restarts"),
        };
        text.plus(&restarts).plus(&age.unwrap_or_default())
    }

    fn steps(&self, status: &CanaryStatus) -> Option<Node> {
        let step = status.step.as_ref().filter(|_| !status.phase.is_idle())?;
        let mut children = Vec::new();
        if let Some(waiting) = step.waiting {
            let words = format!("waits for a person: {waiting:?}");
            children.push(Node::leaf(Text::new(Colour::Busy, &words)));
        }
        if let Some(next) = step.next_at {
            let left = age::brief(next.since(Moment::new(self.now)));
            children.push(Node::leaf(format!("next check in {left}")));
        }
        Some(Node::with(plan(&status.plan, step), children))
    }

    fn request(&self, status: &CanaryStatus) -> Option<Node> {
        let request = status.last_request.as_ref()?;
        let by = request.by.as_ref().map(|by| format!(" by {by}"));
        let colour = match request.outcome {
            RequestOutcome::Accepted => Colour::Good,
            RequestOutcome::Refused => Colour::Bad,
        };
        let text = Text::from(format!(
            "request  {}{}, {} ago  ",
            request.verb,
            by.unwrap_or_default(),
            age::since(request.at, self.now)
        ));
        let message = request.message.as_deref().unwrap_or_default();
        let text = text.and(colour, &format!("{:?}", request.outcome));
        Some(Node::leaf(text.plus(&format!("  {message}"))))
    }
}

/// The steps around the one that goes on; of the others how many there are.
fn plan(plan: &[PlannedStep], step: &StepStatus) -> Text {
    let at = step.index as usize;
    let first = if plan.len() > STEPS {
        at.saturating_sub(STEPS / 2).min(plan.len() - STEPS)
    } else {
        0
    };
    let mut words = Vec::new();
    if first > 0 {
        words.push(Text::new(Colour::Good, &tight(&format!("✓ {first} done"))));
    }
    for (index, planned) in plan.iter().enumerate().skip(first).take(STEPS) {
        let (sign, colour) = match index.cmp(&at) {
            Ordering::Less => ("✓", Colour::Good),
            Ordering::Equal => ("▸", Colour::Busy),
            Ordering::Greater => ("·", Colour::Faint),
        };
        let passed = match index == at {
            true => format!(" ({}/{})", step.passed, planned.checks),
            false => String::new(),
        };
        let words_of = format!("{sign} {}{passed}", step_words(planned));
        words.push(Text::new(colour, &tight(&words_of)));
    }
    let left = plan.len().saturating_sub(first + STEPS);
    if let Some(last) = plan.last().filter(|_| left > 0) {
        let more = format!("· {left} more to {}%", last.weight);
        words.push(Text::new(Colour::Faint, &tight(&more)));
    }
    let behind = |line: Text, word| line.plus("  ").with(word);
    words.into_iter().fold(Text::from("steps  "), behind)
}

/// Words that stay in one line.
fn tight(words: &str) -> String {
    words.replace(' ', TIGHT)
}

fn colour(phase: Phase) -> Colour {
    match phase {
        Phase::Initialized | Phase::Succeeded => Colour::Good,
        Phase::Failed => Colour::Bad,
        _ => Colour::Busy,
    }
}

fn version(revision: &str, images: &[String]) -> String {
    if revision.is_empty() {
        "not known yet".to_owned()
    } else {
        format!("{revision}  {}", images.join(", "))
    }
}

fn arm(workload: &Deployment) -> String {
    format!(
        "deployment/{}  {}/{} ready",
        workload.meta.name, workload.ready, workload.replicas
    )
}

fn step_words(step: &PlannedStep) -> String {
    let pause = match step.pause {
        None => String::new(),
        Some(Pause { seconds: None }) => " then approval".to_owned(),
        Some(Pause {
            seconds: Some(seconds),
        }) => {
            format!(
                " then {}",
                age::brief(std::time::Duration::from_secs(seconds.into()))
            )
        }
    };
    let routes = Routes::planned(step).to_string().replace(" %", "%");
    format!("{routes}{pause}")
}
