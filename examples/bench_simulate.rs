//! How long a simulated hour of one Canary takes: `cargo run --release --example bench_simulate`.
//!
//! Each case is played for one hour and for five; the difference, divided by four, is an hour without the beginning and the end.

use std::io::Write;
use std::time::{Duration, Instant};

use serin::cli::simulate::files;
use serin::cli::simulate::play::{Report, Rules};
use serin::cli::simulate::played;
use serin::cli::simulate::scenario::{NAMED, Scenario};
use serin::cli::simulate::stage::Script;
use serin::clock::SIMULATED_START;

/// Runs of each case; the fastest counts, since whatever else the machine does only adds.
const RUNS: u32 = 5;

const HEAD: &str = "
apiVersion: serin.dev/v1beta1
kind: Canary
metadata: {name: my-app, namespace: shop}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: my-app}
  service: {port: 80, hosts: [my-app.example.com], gatewayRefs: [{name: gateway, namespace: default}]}
";

/// A name, and what stands in the spec for so many hours.
type Case = (&'static str, fn(u32) -> String);

fn main() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let cases: [Case; 3] = [
        (
            "analysis, 200 requests a second, checks every 60 s",
            |hours| {
                let checks = hours * 60;
                format!("  analysis: {{stepWeights: [50], checks: {checks}}}\n")
            },
        ),
        ("held for approval, checks every 60 s", |hours| {
            format!(
                "  approvalDeadline: {hours}h\n  analysis: {{steps: [{{setWeight: 10}}, {{pause: {{}}}}]}}\n"
            )
        }),
        ("paused for a fixed time, checks every 60 s", |hours| {
            format!(
                "  analysis: {{steps: [{{setWeight: 10}}, {{pause: {{duration: {hours}h}}}}]}}\n"
            )
        }),
    ];
    for (name, spec) in cases {
        let (short, first) = fastest(&spec(1))?;
        let (long, last) = fastest(&spec(5))?;
        let simulated = (hours(&last) - hours(&first)).max(f64::MIN_POSITIVE);
        let hour = (long.as_secs_f64() - short.as_secs_f64()) * 1e3 / simulated;
        writeln!(out, "{name}: {hour:.2} ms a simulated hour")?;
        for (time, report) in [(short, first), (long, last)] {
            let simulated = hours(&report);
            let whole = time.as_secs_f64() * 1e3;
            writeln!(
                out,
                "    {simulated:.2} h simulated in {whole:.1} ms: {:?}",
                report.ending
            )?;
        }
    }
    Ok(())
}

/// Hours from the beginning of the cluster to the end of the release.
fn hours(report: &Report) -> f64 {
    let before = report.shipped.duration_since(SIMULATED_START).as_secs_f64();
    (before + report.lasted.as_secs_f64()) / 3600.0
}

fn fastest(spec: &str) -> anyhow::Result<(Duration, Report)> {
    let manifests = files::manifests(&format!("{HEAD}{spec}"), "bench", None)?;
    let (name, text) = NAMED[0];
    let script = Script {
        manifests,
        canary: None,
        scenario: Scenario::read(text, name)?,
        seed: 1,
    };
    let rules = Rules {
        limit: Duration::from_secs(24 * 3600),
        approve: false,
    };
    let mut best: Option<(Duration, Report)> = None;
    for _ in 0..RUNS {
        let began = Instant::now();
        let report = played(&script, rules)?;
        let time = began.elapsed();
        if best.as_ref().is_none_or(|(fastest, _)| time < *fastest) {
            best = Some((time, report));
        }
    }
    best.ok_or_else(|| anyhow::anyhow!("there was no run"))
}
