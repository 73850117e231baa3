//! Plans that come with the version that they are for.

use anyhow::{Result, ensure};

use crate::pipeline::Pipeline;
use crate::record::text;
use crate::scenario::{RELEASE, Scenario};

/// One upgrade brings a version and its plan, as a hotfix with a shorter one does: that plan counts, and not the one before.
pub(super) async fn the_plan_of_an_upgrade_is_that_of_its_version(s: &Scenario) -> Result<()> {
    let pipeline = Pipeline::new(s);
    pipeline.begin("1.0.0").await?;
    for (tag, weights, steps) in [
        ("2.0.0", "canary.stepWeights={100}", 1),
        ("3.0.0", "canary.stepWeights={50,100}", 2),
        ("4.0.0", "canary.stepWeights={100}", 1),
        ("5.0.0", "canary.stepWeights={50,100}", 2),
    ] {
        s.world.images(&[tag]).await?;
        let image = format!("image.tag={tag}");
        let values = [image.as_str(), "canary.enabled=true", weights];
        pipeline.release("upgrade", &values, &[]).await?.fine()?;
        let candidate = format!("app:{tag}");
        s.until("it is promoted", RELEASE, |canary| {
            text(canary, "/status/phase") == "Succeeded"
                && text(canary, "/status/stable/images/0") == candidate
        })
        .await?;
        let plan = s.canary()["status"]["plan"].clone();
        let had = plan.as_array().map_or(0, Vec::len);
        ensure!(had == steps, "{tag} went by {plan}, not by {weights}");
    }
    Ok(())
}
