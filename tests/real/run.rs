//! The run in the cluster's network: together what can run together, alone what cannot.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::FutureExt;
use kube::api::{Api, DeleteParams, DynamicObject};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::arguments::Arguments;
use crate::install;
use crate::prepare::Places;
use crate::report::{self, Outcome};
use crate::scenario::{Scenario, resource};
use crate::scenarios::Case;
use crate::world::World;

/// No scenario takes longer.
const LONGEST: Duration = Duration::from_secs(900);

/// Threads: waiting for a load's report blocks one.
const THREADS: usize = 8;

/// Runs the chosen scenarios.
pub(crate) fn all(arguments: &Arguments, chosen: &[&'static Case]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build();
    let outcomes = runtime
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(scenarios(arguments, chosen)));
    match outcomes {
        Ok((places, outcomes)) => report::end(&places, &outcomes),
        Err(error) => {
            eprintln!("real: {error:#}");
            println!("0 passed, {} failed, 0 skipped", chosen.len());
            ExitCode::FAILURE
        }
    }
}

async fn scenarios(
    arguments: &Arguments,
    chosen: &[&'static Case],
) -> Result<(Places, Vec<Outcome>)> {
    let world = World::new(Places::new()).await?;
    install::serin(&world).await.context("install Serin")?;
    let mut outcomes = Vec::new();
    let (alone, together): (Vec<_>, Vec<_>) = chosen.iter().partition(|case| case.alone);
    for round in 1..=arguments.repeat {
        outcomes.extend(at_once(&world, &together, arguments.jobs, round).await);
        for case in &alone {
            outcomes.push(one(&world, case, round).await);
        }
    }
    Ok((world.places.clone(), outcomes))
}

async fn at_once(
    world: &Arc<World>,
    cases: &[&&'static Case],
    jobs: usize,
    round: usize,
) -> Vec<Outcome> {
    let places = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    for case in cases {
        let (world, places) = (Arc::clone(world), Arc::clone(&places));
        let case: &'static Case = case;
        // Waited for here, and not in the task, so that they begin in the order of the table.
        let place = places.acquire_owned().await;
        running.spawn(async move {
            let outcome = one(&world, case, round).await;
            drop(place);
            outcome
        });
    }
    running.join_all().await
}

/// Runs one scenario in a namespace of its own, keeps what it leaves if it fails, and cleans up.
async fn one(world: &Arc<World>, case: &'static Case, round: usize) -> Outcome {
    let begun = Instant::now();
    let namespace = format!("{}-{round}", case.folder());
    let mut numbers = Vec::new();
    let result = match Scenario::new(world, namespace).await {
        Ok(scenario) => {
            let scenario = Arc::new(scenario);
            let result = bounded(case, &scenario).await;
            numbers = scenario.numbers();
            report::timeline(&scenario, case);
            if let Err(error) = &result
                && let Err(error) = report::dump(&scenario, case, &format!("{error:#}")).await
            {
                eprintln!("real: no dump of {}: {error:#}", case.name);
            }
            clean(&scenario).await;
            result
        }
        Err(error) => Err(error),
    };
    let outcome = Outcome {
        case,
        took: begun.elapsed(),
        failure: result.err().map(|error| format!("{error:#}")),
        numbers,
    };
    report::line(&outcome);
    outcome
}

async fn bounded(case: &'static Case, scenario: &Arc<Scenario>) -> Result<()> {
    let run = (case.run)(Arc::clone(scenario));
    let run = std::panic::AssertUnwindSafe(run).catch_unwind();
    match tokio::time::timeout(LONGEST, run).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(anyhow::anyhow!("the scenario panicked")),
        Err(_) => Err(anyhow::anyhow!("takes longer than {} s", LONGEST.as_secs())),
    }
}

/// Deletes the namespace without waiting: the next scenario has its own.
async fn clean(scenario: &Scenario) {
    let space = json!({"apiVersion": "v1", "kind": "Namespace"});
    let api = Api::<DynamicObject>::all_with(scenario.world.client.clone(), &resource(&space));
    if let Err(error) = api
        .delete(&scenario.namespace, &DeleteParams::default())
        .await
    {
        eprintln!("real: namespace {} stays: {error}", scenario.namespace);
    }
    scenario.world.recorder.forget(&scenario.namespace);
}
