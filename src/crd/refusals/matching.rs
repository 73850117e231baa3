//! What is wrong with descriptions of requests, and with copies.

use std::collections::{BTreeMap, BTreeSet};

use crate::crd::analysis::Analysis;
use crate::crd::header_route::MOST;
use crate::crd::matching::TextMatch;
use crate::crd::refusals::Findings;

/// Adds what is wrong with `spec.analysis.match`, steps `setHeaderRoute`, `mirror` and `mirrorWeight`.
pub(super) fn check(analysis: &Analysis, found: &mut Findings) {
    for (index, request) in analysis.matches.iter().enumerate() {
        let field = format!("analysis.match[{index}]");
        found.refuse_if(
            request.headers.is_empty() && request.query_params.is_empty(),
            &field,
            "describes no requests; write for instance headers: {x-canary: {exact: insider}}",
        );
        texts(&format!("{field}.headers"), &request.headers, found);
        texts(
            &format!("{field}.queryParams"),
            &request.query_params,
            found,
        );
    }
    header_routes(analysis, found);
    found.refuse_if(
        analysis.mirror_weight.is_some() && !analysis.mirror,
        "analysis.mirrorWeight",
        "needs analysis.mirror: true",
    );
    found.refuse_if(
        analysis.mirror && !analysis.steps.is_empty(),
        "analysis.mirror",
        "has no place among steps; write setMirror where copies begin, and setMirror: 0 where they end",
    );
}

/// Routes by header are described where they begin, and end by their names.
fn header_routes(analysis: &Analysis, found: &mut Findings) {
    let mut names = BTreeSet::new();
    let mut described = analysis.matches.len();
    for (index, step) in analysis.steps.iter().enumerate() {
        let Some(route) = &step.set_header_route else {
            continue;
        };
        let field = format!("analysis.steps[{index}].setHeaderRoute");
        found.refuse_if(
            route.name.is_empty(),
            &format!("{field}.name"),
            "is empty; a later step ends the route by its name",
        );
        let ends = route.matches.is_empty();
        let known = if ends {
            names.remove(&route.name)
        } else {
            names.insert(&route.name);
            true
        };
        found.refuse_if(
            !known,
            &field,
            "ends a route that no earlier step begins; describe requests in match, for instance [{headerName: x-canary, headerValue: {exact: insider}}]",
        );
        described += route.matches.len();
        for (at, header) in route.matches.iter().enumerate() {
            let field = format!("{field}.match[{at}]");
            found.refuse_if(
                header.header_name.is_empty(),
                &format!("{field}.headerName"),
                "is empty; write the name of a header, for instance x-canary",
            );
            text(&format!("{field}.headerValue"), &header.header_value, found);
        }
    }
    found.refuse_if(
        described > MOST,
        "analysis",
        "describes more than 16 kinds of requests in match and setHeaderRoute, which is more than every gateway takes; write fewer, for instance with one regex",
    );
}

fn texts(field: &str, texts: &BTreeMap<String, TextMatch>, found: &mut Findings) {
    for (name, text) in texts {
        self::text(&format!("{field}.{name}"), text, found);
    }
}

fn text(field: &str, text: &TextMatch, found: &mut Findings) {
    found.refuse_if(
        text.said().len() != 1,
        field,
        "has exactly one of exact, prefix, suffix and regex",
    );
    let pattern = text.regex.as_deref().map(regex::Regex::new);
    found.refuse_if(
        pattern.is_some_and(|pattern| pattern.is_err()),
        &format!("{field}.regex"),
        "is no regular expression; a cookie for instance is ^(.*;\\s*)?group=insider(;.*)?$",
    );
}
