//! `serin status`: one rollout as a tree of target, canary, Pods, steps and checks.

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::cli::args::StatusArgs;
use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::cli::screen::{Colour, Palette};
use crate::cli::tree::Node;
use crate::cli::verdict::{Goal, progress, verdict};
use crate::cli::{age, find, screen, wait};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;
use crate::crd::status::{
    CanaryStatus, CheckStatus, CheckVerdict, Pause, Phase, PlannedStep, RequestOutcome,
};
use crate::digest;
use crate::objects::{Deployment, Kind, Pod, mark};

/// Pods that are shown one by one; of more, those that are not ready come first.
const PODS: usize = 8;

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
        return watch(session, &name, scene).await;
    }
    let tree = tree(&scene, Palette::of_stdout(), Clock::System.now());
    screen::write(&tree.render())?;
    let failed =
        verdict(&scene.canary, scene.target.as_ref(), &Goal::default()) == Some(Exit::Failed);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// Until the release that goes on, or the next one, has ended.
async fn watch(session: &Session, name: &str, mut scene: Scene) -> Result<Exit> {
    let (palette, mut goal, mut shown) = (Palette::of_stdout(), Goal::default(), Shown::default());
    let began = verdict(&scene.canary, scene.target.as_ref(), &goal).is_none();
    if screen::is_terminal() {
        screen::write("\x1b[2J")?;
    }
    loop {
        goal.follow(&scene.canary);
        shown.update(&scene, palette)?;
        let ended = verdict(&scene.canary, scene.target.as_ref(), &goal);
        if let Some(exit) = ended.filter(|_| began || goal.following.is_some()) {
            return Ok(exit);
        }
        tokio::time::sleep(wait::LOOK).await;
        scene = read(session, name).await?;
    }
}

/// What stands on the screen.
#[derive(Debug, Default)]
struct Shown {
    line: String,
}

impl Shown {
    /// Redraws a terminal; for any other reader a line when something changed.
    fn update(&mut self, scene: &Scene, palette: Palette) -> Result<()> {
        let now = Clock::System.now();
        if screen::is_terminal() {
            return screen::redraw(&tree(scene, palette, now).render());
        }
        let line = progress(&scene.canary);
        if line == self.line {
            return Ok(());
        }
        screen::line(&format!("{} {line}", Moment::new(now)))?;
        self.line = line;
        Ok(())
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
pub fn tree(scene: &Scene, palette: Palette, now: Timestamp) -> Node {
    let painter = Painter { palette, now };
    let status = scene.canary.status.clone().unwrap_or_default();
    let mut parts = vec![
        painter.stable(scene, &status),
        painter.canary(scene, &status),
    ];
    parts.extend(painter.steps(&status));
    parts.extend(
        painter.group(
            "checks",
            status
                .checks
                .iter()
                .map(|check| painter.check(check))
                .collect(),
        ),
    );
    parts.extend(painter.diagnosis(&status));
    parts.extend(painter.request(&status));
    Node::with(
        painter.heading(&scene.canary, &status),
        parts.into_iter().flatten().collect(),
    )
}

struct Painter {
    palette: Palette,
    now: Timestamp,
}

impl Painter {
    fn heading(&self, canary: &Canary, status: &CanaryStatus) -> String {
        let name = format!("{}/{}", canary.home(), canary.name_any());
        let phase = self
            .palette
            .paint(colour(status.phase), status.phase.as_str());
        let mut text = format!("{}  {phase}", self.palette.paint(Colour::Strong, &name));
        if canary.spec.suspend {
            text.push_str("  (suspended)");
        }
        if !status.message.is_empty() {
            text.push_str(&format!("  {}", status.message));
        }
        text
    }

    fn stable(&self, scene: &Scene, status: &CanaryStatus) -> Option<Node> {
        let Some(target) = &scene.target else {
            let gone = format!(
                "target   deployment/{} does not exist",
                scene.canary.target_name()
            );
            return Some(Node::leaf(self.palette.paint(Colour::Bad, &gone)));
        };
        let stable = status.stable.clone().unwrap_or_default();
        let mut text = format!(
            "stable   {}  {}",
            version(&stable.revision, &stable.images),
            arm(target)
        );
        text.push_str(&format!("  {}%", 100 - status.canary_weight.min(100)));
        let text = if target.meta.labels.contains_key(mark::HELD) {
            let held = format!("held: {}", target.template.images.join(", "));
            format!("{text}  {}", self.palette.paint(Colour::Busy, &held))
        } else {
            text
        };
        Some(Node::leaf(text))
    }

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

    fn pod(&self, pod: &Pod) -> String {
        let restarts: i32 = pod
            .containers
            .iter()
            .map(|container| container.restarts)
            .sum();
        let waiting = pod
            .containers
            .iter()
            .find_map(|container| container.waiting.as_ref());
        let state = match waiting {
            _ if pod.ready => self.palette.paint(Colour::Good, "ready"),
            Some((reason, _)) => self.palette.paint(Colour::Bad, reason),
            None => self
                .palette
                .paint(Colour::Busy, &format!("{}, not ready", pod.phase)),
        };
        let age = pod
            .meta
            .created
            .map(|created| age::since(Moment::new(created), self.now));
        let restarts = if restarts > 0 {
            format!("  {restarts} restarts")
        } else {
            String::new()
        };
        format!(
            "{}  {state}{restarts}  {}",
            pod.meta.name,
            age.unwrap_or_default()
        )
    }

    fn steps(&self, status: &CanaryStatus) -> Option<Option<Node>> {
        let step = status.step.as_ref().filter(|_| !status.phase.is_idle())?;
        let at = step.index as usize;
        let words = status.plan.iter().enumerate().map(|(index, planned)| {
            let (sign, colour) = match index.cmp(&at) {
                std::cmp::Ordering::Less => ("✓", Colour::Good),
                std::cmp::Ordering::Equal => ("▸", Colour::Busy),
                std::cmp::Ordering::Greater => ("·", Colour::Faint),
            };
            let passed = if index == at {
                format!(" ({}/{})", step.passed, planned.checks)
            } else {
                String::new()
            };
            self.palette
                .paint(colour, &format!("{sign} {}{passed}", step_words(planned)))
        });
        let line = format!("steps    {}", words.collect::<Vec<_>>().join("  "));
        let mut children = Vec::new();
        if let Some(waiting) = step.waiting {
            children.push(Node::leaf(
                self.palette
                    .paint(Colour::Busy, &format!("waits for a person: {waiting:?}")),
            ));
        }
        if let Some(next) = step.next_at {
            let left = age::brief(next.since(Moment::new(self.now)));
            children.push(Node::leaf(format!("next check in {left}")));
        }
        Some(Some(Node::with(line, children)))
    }

    fn group(&self, title: &str, children: Vec<Node>) -> Option<Option<Node>> {
        (!children.is_empty()).then(|| Some(Node::with(title, children)))
    }

    fn check(&self, check: &CheckStatus) -> Node {
        let (sign, colour) = match check.verdict {
            CheckVerdict::Pass => ("✓", Colour::Good),
            CheckVerdict::Fail | CheckVerdict::Invalid => ("✗", Colour::Bad),
            CheckVerdict::Unproven | CheckVerdict::Inconclusive | CheckVerdict::NoData => {
                ("?", Colour::Busy)
            }
        };
        let mut text = format!("{} {}", self.palette.paint(colour, sign), check.name);
        let parts = [
            check.value.clone(),
            check.limit.as_ref().map(|limit| format!("({limit})")),
            check
                .stable
                .as_ref()
                .map(|stable| format!("stable {stable}")),
            check.samples.map(|samples| format!("{samples} samples")),
            check.message.clone(),
        ];
        for part in parts.into_iter().flatten() {
            text.push_str(&format!("  {part}"));
        }
        Node::leaf(text)
    }

    fn diagnosis(&self, status: &CanaryStatus) -> Option<Option<Node>> {
        let one = |trouble: &crate::crd::status::Diagnosis| {
            let container = trouble
                .container
                .as_ref()
                .map(|name| format!(", container {name}"));
            let reason = self.palette.paint(Colour::Bad, &trouble.reason);
            let text = format!(
                "{}{}: {reason}: {}",
                trouble.object,
                container.unwrap_or_default(),
                trouble.message
            );
            Node::with(text, vec![Node::leaf(format!("try: {}", trouble.hint))])
        };
        self.group("diagnosis", status.diagnosis.iter().map(one).collect())
    }

    fn request(&self, status: &CanaryStatus) -> Option<Option<Node>> {
        let request = status.last_request.as_ref()?;
        let by = request.by.as_ref().map(|by| format!(" by {by}"));
        let colour = match request.outcome {
            RequestOutcome::Accepted => Colour::Good,
            RequestOutcome::Refused => Colour::Bad,
        };
        let outcome = self
            .palette
            .paint(colour, &format!("{:?}", request.outcome));
        let message = request.message.as_deref().unwrap_or_default();
        Some(Some(Node::leaf(format!(
            "request  {}{}, {} ago  {outcome}  {message}",
            request.verb,
            by.unwrap_or_default(),
            age::since(request.at, self.now)
        ))))
    }
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
    format!("{}%{pause}", step.weight)
}
