//! `serin get`: Canaries in a table, or as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::cli::args::{Form, GetArgs, Output};
use crate::cli::connect::Session;
use crate::cli::exit::Exit;
use crate::cli::table::{Column, Fit, Table};
use crate::cli::text::Side;
use crate::cli::wait::Patience;
use crate::cli::{age, find, screen};
use crate::clock::Clock;
use crate::crd::canary::Canary;
use crate::crd::moment::Moment;

/// Time between two looks with `--watch`.
const LOOK: Duration = Duration::from_secs(2);

/// Lists once, or goes on.
pub async fn run(session: &Session, args: &GetArgs) -> Result<Exit> {
    let canaries = read(session, args).await?;
    let mut seen = Seen::default();
    if canaries.is_empty() && args.is_table() {
        screen::complain(&nothing(session, args));
    } else if args.watch {
        screen::write(&seen.news(canaries, args, Clock::System.now(), screen::room())?)?;
    } else {
        let text = render(&canaries, args, Clock::System.now(), screen::room())?;
        return screen::say(&text);
    }
    if args.watch {
        watch(session, args, seen).await
    } else {
        Ok(Exit::Done)
    }
}

/// Until somebody stops it.
async fn watch(session: &Session, args: &GetArgs, mut seen: Seen) -> Result<Exit> {
    let mut patience = Patience::default();
    loop {
        tokio::time::sleep(LOOK).await;
        match read(session, args).await {
            Ok(canaries) => {
                patience = Patience::default();
                let (now, room) = (Clock::System.now(), screen::room());
                screen::write(&seen.news(canaries, args, now, room)?)?;
            }
            Err(error) => screen::complain(&patience.bear(error)?),
        }
    }
}

/// What was shown so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each Canary, by its UID.
    canaries: BTreeMap<String, Canary>,
    fit: Fit,
}

impl Seen {
    /// What is new, in the form that was asked for; in a table also what is gone.
    ///
    /// # Errors
    /// When a Canary cannot be written in that form.
    pub fn news(
        &mut self,
        canaries: Vec<Canary>,
        args: &GetArgs,
        now: Timestamp,
        room: Option<usize>,
    ) -> Result<String> {
        let version = |canary: &Canary| canary.resource_version();
        let mut changed = Vec::new();
        let mut before = std::mem::take(&mut self.canaries);
        for canary in canaries {
            let old = before.remove(&canary.identity());
            if old.is_none_or(|old| version(&old) != version(&canary)) {
                changed.push(canary.clone());
            }
            self.canaries.insert(canary.identity(), canary);
        }
        if !args.is_table() {
            return changed.iter().map(|canary| piece(canary, args)).collect();
        }
        let mut table = table(&changed, args, now);
        for gone in before.values() {
            table.row(row(gone, "(deleted)", args, now));
        }
        Ok(self.rows(&table, room))
    }

    /// The rows under those before; under a new heading where the columns of a terminal stand elsewhere now.
    fn rows(&mut self, table: &Table, room: Option<usize>) -> String {
        let fit = table.fit(room, &self.fit);
        let rows = table.render_rows(&fit);
        if rows.is_empty() {
            return rows;
        }
        let is_first = self.fit == Fit::default();
        let moved = room.is_some() && !fit.is_like(&self.fit);
        let heading = (is_first || moved).then(|| table.heading(&fit));
        self.fit = fit;
        heading.unwrap_or_default() + &rows
    }
}

/// One of those that go by.
fn piece(canary: &Canary, args: &GetArgs) -> Result<String> {
    Ok(match args.output {
        Output::Yaml => format!("---\n{}", screen::yaml(&bare(canary))?),
        Output::Json => format!("{:#}\n", bare(canary)),
        _ => full_name(canary),
    })
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

/// All of them, in the form that was asked for.
///
/// # Errors
/// When a Canary cannot be written in that form.
pub fn render(
    canaries: &[Canary],
    args: &GetArgs,
    now: Timestamp,
    room: Option<usize>,
) -> Result<String> {
    Ok(match args.output {
        Output::Table | Output::Wide => table(canaries, args, now).render(room),
        Output::Name => canaries.iter().map(full_name).collect(),
        Output::Json => Form::Json.render(&objects(canaries, args))?,
        Output::Yaml => Form::Yaml.render(&objects(canaries, args))?,
    })
}

fn full_name(canary: &Canary) -> String {
    format!("canary.serin.dev/{}\n", canary.name_any())
}

/// One object as it is, several as a list.
fn objects(canaries: &[Canary], args: &GetArgs) -> Value {
    let mut items: Vec<_> = canaries.iter().map(bare).collect();
    if args.name.is_some() {
        return items.pop().unwrap_or(Value::Null);
    }
    json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
}

/// A Canary as it is, but for who wrote which field.
#[must_use]
pub fn bare(canary: &Canary) -> Value {
    let mut canary = canary.clone();
    canary.metadata.managed_fields = None;
    json!(canary)
}

fn table(canaries: &[Canary], args: &GetArgs, now: Timestamp) -> Table {
    let home = Column::new("NAMESPACE").cut(Side::Middle);
    let image = |title| Column::new(title).cut(Side::Start);
    let mut columns = vec![
        Column::new("NAME").cut(Side::Middle),
        Column::new("PHASE"),
        Column::new("WEIGHT"),
        Column::new("STEP").less(1),
        image("CANDIDATE").less(2),
        Column::new("AGE").less(3),
    ];
    if args.all_namespaces {
        columns.insert(0, home);
    }
    if args.output == Output::Wide {
        columns.extend([
            Column::new("TARGET").cut(Side::Middle).less(5),
            image("STABLE").less(4),
            Column::new("MESSAGE").cut(Side::End),
        ]);
    }
    let mut table = Table::new(&columns);
    for canary in canaries {
        let phase = canary.status.as_ref().map(|status| status.phase);
        table.row(row(canary, phase.unwrap_or_default().as_str(), args, now));
    }
    table
}

fn row(canary: &Canary, phase: &str, args: &GetArgs, now: Timestamp) -> Vec<String> {
    let status = canary.status.clone().unwrap_or_default();
    let step = status
        .step
        .as_ref()
        .map(|step| format!("{}/{}", step.index + 1, step.of));
    let image = status
        .candidate
        .as_ref()
        .and_then(|candidate| candidate.images.first().cloned());
    let created = canary.creation_timestamp().map(|time| Moment::new(time.0));
    let mut cells = vec![
        canary.name_any(),
        phase.to_owned(),
        format!("{}%", status.canary_weight),
        step.unwrap_or_default(),
        image.unwrap_or_default(),
        created.map_or_else(String::new, |created| age::since(created, now)),
    ];
    if args.all_namespaces {
        cells.insert(0, canary.home());
    }
    if args.output == Output::Wide {
        cells.extend(wide_cells(canary));
    }
    cells
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
