//! What is wrong with descriptions of requests, and with copies.

use std::collections::BTreeMap;

use crate::crd::analysis::Analysis;
use crate::crd::matching::TextMatch;
use crate::crd::refusals::Findings;

/// Adds what is wrong with `spec.analysis.match`, `mirror` and `mirrorWeight`.
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

fn texts(field: &str, texts: &BTreeMap<String, TextMatch>, found: &mut Findings) {
    for (name, text) in texts {
        found.refuse_if(
            text.said().len() != 1,
            &format!("{field}.{name}"),
            "has exactly one of exact, prefix, suffix and regex",
        );
        let pattern = text.regex.as_deref().map(regex::Regex::new);
        found.refuse_if(
            pattern.is_some_and(|pattern| pattern.is_err()),
            &format!("{field}.{name}.regex"),
            "is no regular expression; a cookie for instance is ^(.*;\\s*)?group=insider(;.*)?$",
        );
    }
}
