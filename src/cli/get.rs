//! `serin get`: Canaries in a table, or as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::cli::args::{GetArgs, Output};
use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::cli::table::Table;
use crate::cli::{age, find, screen};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;

/// Time between two looks with `--watch`.
const LOOK: Duration = Duration::from_secs(2);

/// Lists once, or goes on.
pub async fn run(session: &Session, args: &GetArgs) -> Result<Exit> {
    let canaries = read(session, args).await?;
    if canaries.is_empty() && !args.watch && matches!(args.output, Output::Table | Output::Wide) {
        screen::complain(&nothing(session, args));
        return Ok(Exit::Done);
    }
    screen::write(&render(&canaries, args, Clock::System.now())?)?;
    if args.watch {
        watch(session, args, canaries).await
    } else {
        Ok(Exit::Done)
    }
}

/// Until somebody stops it.
async fn watch(session: &Session, args: &GetArgs, mut canaries: Vec<Canary>) -> Result<Exit> {
    loop {
        tokio::time::sleep(LOOK).await;
        let before = versions(&canaries);
        canaries = read(session, args).await?;
        let changed: Vec<_> = (0..canaries.len())
            .filter(|at| is_new(&canaries[*at], &before))
            .collect();
        screen::write(&render_changed(&canaries, &changed, args)?)?;
    }
}

async fn read(session: &Session, args: &GetArgs) -> Result<Vec<Canary>> {
    if let Some(name) = &args.name {
        return Ok(vec![find::canary(session, name).await?]);
    }
    let params = ListParams {
        label_selector: args.selector.clone(),
        ..ListParams::default()
    };
    let list = if args.all_namespaces {
        session.all::<Canary>().list(&params).await
    } else {
        session.api::<Canary>().list(&params).await
    };
    Ok(list.context("list Canaries")?.items)
}

fn nothing(session: &Session, args: &GetArgs) -> String {
    if args.all_namespaces {
        "there are no Canaries in this cluster".to_owned()
    } else {
        format!(
            "there are no Canaries in namespace {}; -A looks everywhere",
            session.namespace
        )
    }
}

/// Version of each Canary, by its UID.
fn versions(canaries: &[Canary]) -> BTreeMap<String, Option<String>> {
    canaries
        .iter()
        .map(|canary| (canary.identity(), canary.resource_version()))
        .collect()
}

fn is_new(canary: &Canary, before: &BTreeMap<String, Option<String>>) -> bool {
    before.get(&canary.identity()) != Some(&canary.resource_version())
}

/// All of them, in the form that was asked for.
pub fn render(canaries: &[Canary], args: &GetArgs, now: Timestamp) -> Result<String> {
    Ok(match args.output {
        Output::Table | Output::Wide => table(canaries, args, now).render(),
        Output::Name => canaries.iter().map(full_name).collect(),
        Output::Json => format!("{:#}\n", objects(canaries, args)?),
        Output::Yaml => screen::yaml(&objects(canaries, args)?)?,
    })
}

fn render_changed(canaries: &[Canary], changed: &[usize], args: &GetArgs) -> Result<String> {
    if matches!(args.output, Output::Table | Output::Wide) {
        return Ok(table(canaries, args, Clock::System.now()).render_rows(changed));
    }
    let separator = if args.output == Output::Yaml {
        "---\n"
    } else {
        ""
    };
    let one = |at: &usize| {
        let canary = &canaries[*at];
        Ok(format!(
            "{separator}{}",
            match args.output {
                Output::Name => full_name(canary),
                Output::Yaml => screen::yaml(canary)?,
                _ => format!("{:#}\n", serde_json::to_value(canary)?),
            }
        ))
    };
    changed.iter().map(one).collect()
}

fn full_name(canary: &Canary) -> String {
    format!("canary.serin.dev/{}\n", canary.name_any())
}

/// One object as it is, several as a list.
fn objects(canaries: &[Canary], args: &GetArgs) -> Result<Value> {
    let mut items = Vec::new();
    for canary in canaries {
        let mut canary = canary.clone();
        canary.metadata.managed_fields = None;
        items.push(serde_json::to_value(canary).context("turn the Canary into JSON")?);
    }
    if args.name.is_some() {
        return Ok(items.pop().unwrap_or(Value::Null));
    }
    Ok(json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}))
}

fn table(canaries: &[Canary], args: &GetArgs, now: Timestamp) -> Table {
    let wide = args.output == Output::Wide;
    let mut heading = vec!["NAME", "PHASE", "WEIGHT", "STEP", "CANDIDATE", "AGE"];
    if args.all_namespaces {
        heading.insert(0, "NAMESPACE");
    }
    if wide {
        heading.extend(["TARGET", "STABLE", "MESSAGE"]);
    }
    let mut table = Table::new(&heading);
    for canary in canaries {
        let mut cells = cells(canary, now);
        if args.all_namespaces {
            cells.insert(0, canary.home());
        }
        if wide {
            cells.extend(wide_cells(canary));
        }
        table.row(cells);
    }
    table
}

fn cells(canary: &Canary, now: Timestamp) -> Vec<String> {
    let status = canary.status.clone().unwrap_or_default();
    let step = status
        .step
        .map(|step| format!("{}/{}", step.index + 1, step.of));
    let image = status
        .candidate
        .and_then(|candidate| candidate.images.into_iter().next());
    let created = canary.creation_timestamp().map(|time| Moment::new(time.0));
    vec![
        canary.name_any(),
        status.phase.to_string(),
        format!("{}%", status.canary_weight),
        step.unwrap_or_default(),
        image.unwrap_or_default(),
        created.map_or_else(String::new, |created| age::since(created, now)),
    ]
}

fn wide_cells(canary: &Canary) -> [String; 3] {
    let status = canary.status.clone().unwrap_or_default();
    let stable = status
        .stable
        .and_then(|stable| stable.images.into_iter().next());
    let target = &canary.spec.target_ref;
    let kind = if target.kind.is_empty() {
        "deployment".to_owned()
    } else {
        target.kind.to_lowercase()
    };
    [
        format!("{kind}/{}", target.name),
        stable.unwrap_or_default(),
        status.message,
    ]
}
