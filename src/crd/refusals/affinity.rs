//! What is wrong with the cookie that keeps users where they are, and with the way back in steps.

use crate::crd::affinity::{SameSite, SessionAffinity};
use crate::crd::analysis::Analysis;
use crate::crd::refusals::Findings;

/// A rule of the Gateway API has 16 backends: the canary, stable for each later share, and stable for those whom none reaches.
const SHARES: usize = 15;

/// Adds what is wrong with `spec.analysis.sessionAffinity` and `stepWeightPromotion`.
pub(super) fn check(analysis: &Analysis, found: &mut Findings) {
    if let Some(affinity) = &analysis.session_affinity {
        cookie(affinity, found);
        found.refuse_if(
            has_no_share(analysis),
            "analysis.sessionAffinity",
            "the canary gets no share of the users here, of whom some could be kept; state weights in stepWeights, or take it out",
        );
        found.refuse_if(
            shares(analysis) > SHARES,
            "analysis.sessionAffinity",
            "needs a plan of at most 15 weights below 100, since a route names each of them; take greater steps",
        );
    }
    let back = analysis.step_weight_promotion;
    found.refuse_if(
        back.is_some_and(|percent| !(1..=100).contains(&percent)),
        "analysis.stepWeightPromotion",
        "must be 1 to 100",
    );
    found.refuse_if(
        back.is_some() && has_no_share(analysis),
        "analysis.stepWeightPromotion",
        "the canary gets no share that could be given back in steps; state weights in stepWeights, or take it out",
    );
}

fn cookie(affinity: &SessionAffinity, found: &mut Findings) {
    const FIELD: &str = "analysis.sessionAffinity";
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let name = &affinity.cookie_name;
    found.refuse_if(
        name.is_empty() || !name.chars().all(letter),
        &format!("{FIELD}.cookieName"),
        "names no cookie; it is made of letters, digits, - and _, for instance canary-user",
    );
    let attributes = [&affinity.path, &affinity.domain];
    found.refuse_if(
        attributes.into_iter().flatten().any(|text| text.contains([';', ',', ' '])),
        FIELD,
        "path and domain are one attribute of the cookie each: no semicolon, comma or blank in them",
    );
    found.refuse_if(
        affinity.primary_cookie_name.is_some(),
        &format!("{FIELD}.primaryCookieName"),
        "one cookie keeps users on the canary and on stable; take it out",
    );
    let needs_tls =
        affinity.same_site == Some(SameSite::None) || affinity.partitioned == Some(true);
    found.refuse_if(
        needs_tls && affinity.secure != Some(true),
        &format!("{FIELD}.secure"),
        "browsers drop a cookie with sameSite: None, or partitioned, unless it is secure; set secure: true",
    );
}

fn has_no_share(analysis: &Analysis) -> bool {
    let by_weights = !analysis.step_weights.is_empty() || analysis.step_weight.is_some();
    let by_steps = analysis
        .steps
        .iter()
        .any(|step| step.set_weight.is_some_and(|weight| weight > 0));
    let by_default =
        analysis.matches.is_empty() && analysis.iterations.is_none() && analysis.steps.is_empty();
    !by_weights && !by_steps && !by_default
}

/// Weights of the plan below 100.
fn shares(analysis: &Analysis) -> usize {
    let listed = analysis.step_weights.iter().copied();
    let stepped = analysis.steps.iter().filter_map(|step| step.set_weight);
    let stated = listed
        .chain(stepped)
        .filter(|weight| (1..100).contains(weight));
    let by = analysis.step_weight.filter(|by| *by > 0);
    let most = analysis.max_weight.unwrap_or(100).min(99);
    let equal = by.map_or(0, |by| usize::try_from(most / by).unwrap_or(0));
    stated.count() + equal
}
