//! Canaries that cannot work: refused where they are written, or said in a condition, and no other Canary suffers.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::objects;
use crate::record::{Kind, text};
use crate::scenario::{RELEASE, Scenario};

/// This one is about a controller that knows no server: the controller of the run does.
const ELSEWHERE: &str = "no metrics server";

/// A condition has to say it within this time.
const SAID: Duration = Duration::from_secs(15);

/// A manifest, who has to refuse it, and in which words.
struct Broken {
    path: PathBuf,
    text: String,
    words: String,
    by_server: bool,
}

pub(super) async fn every_broken_canary_is_refused_by_name(s: &Scenario) -> Result<()> {
    s.adopt("1.0.0", 1, &objects::quick()).await?;
    let all = manifests(s)?;
    ensure!(all.len() >= 20, "only {} broken manifests", all.len());
    let mut wrong = Vec::new();
    for broken in &all {
        if let Err(error) = refused(s, broken).await {
            wrong.push(format!("{}: {error:#}", broken.path.display()));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {} are not:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n")
    );
    s.ship("2.0.0").await?;
    s.phase("Succeeded", RELEASE).await
}

fn manifests(s: &Scenario) -> Result<Vec<Broken>> {
    let folder = s.world.places.root.join("tests/broken");
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("read {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    let all: Result<Vec<_>> = paths.into_iter().map(read).collect();
    Ok(all?
        .into_iter()
        .filter(|broken| !broken.words.contains(ELSEWHERE))
        .collect())
}

fn read(path: PathBuf) -> Result<Broken> {
    let text = fs::read_to_string(&path)?;
    let comment = |name: &str| {
        let prefix = format!("# {name}: ");
        text.lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .map(str::to_owned)
            .with_context(|| format!("{} has no {prefix:?}", path.display()))
    };
    let by_server = match comment("by")?.trim() {
        "apiserver" => true,
        "condition" => false,
        other => bail!("{}: refused by {other:?}?", path.display()),
    };
    Ok(Broken {
        words: comment("refused")?,
        path,
        text,
        by_server,
    })
}

async fn refused(s: &Scenario, broken: &Broken) -> Result<()> {
    let apply = ["-n", &s.namespace, "apply", "-f", "-"];
    let said = s.world.kubectl_with(&apply, &broken.text).await?;
    let heard = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = broken
        .words
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if broken.by_server {
        ensure!(said.code != 0, "the API server took it");
        ensure!(
            heard.contains(&words),
            "the API server says {heard:?}, not {words:?}"
        );
        return Ok(());
    }
    ensure!(said.code == 0, "the API server refused it: {heard}");
    let result = in_a_condition(s, &words).await;
    let delete = ["-n", &s.namespace, "delete", "--wait=false", "-f", "-"];
    s.world.kubectl_with(&delete, &broken.text).await?;
    result
}

/// Some Canary of the namespace, other than the good one, says these words in a condition that is not good.
async fn in_a_condition(s: &Scenario, words: &str) -> Result<()> {
    let said = s
        .world
        .recorder
        .wait("a condition says so", SAID, |recorder| {
            let canaries = recorder.present(&s.namespace, Kind::Canary);
            let others = canaries.iter().filter(|one| one.name != objects::APP);
            others
                .filter_map(|one| one.object["status"]["conditions"].as_array())
                .flatten()
                .any(|one| text(one, "/message").contains(words))
                .then_some(())
        });
    if said.await.is_ok() {
        return Ok(());
    }
    let canaries = s.world.recorder.present(&s.namespace, Kind::Canary);
    let found: Vec<_> = canaries
        .iter()
        .filter(|one| one.name != objects::APP)
        .map(|one| conditions(&one.object))
        .collect();
    bail!("the conditions say {found:?}, not {words:?}")
}

fn conditions(canary: &Value) -> String {
    canary["status"]["conditions"].to_string()
}
