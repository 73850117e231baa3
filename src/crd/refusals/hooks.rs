//! What is wrong with hooks.

use std::collections::BTreeSet;

use crate::crd::analysis::Analysis;
use crate::crd::refusals::Findings;

/// Adds what is wrong with `spec.analysis.webhooks`.
pub(super) fn check(analysis: &Analysis, found: &mut Findings) {
    let mut names = BTreeSet::new();
    for (index, hook) in analysis.webhooks.iter().enumerate() {
        let field = format!("analysis.webhooks[{index}]");
        found.refuse_if(
            !names.insert(&hook.name),
            &format!("{field}.name"),
            "is there twice; names are unique",
        );
        found.refuse_if(
            !is_address(&hook.url),
            &format!("{field}.url"),
            "is not the address of a hook: write for instance http://flagger-loadtester.test/, without credentials",
        );
        found.later(
            hook.disable_tls,
            &format!("{field}.disableTLS"),
            "calls without a check of the certificate come",
        );
    }
}

/// A URL of http or https with a host, and without credentials or a fragment.
fn is_address(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri
        .authority()
        .is_some_and(|host| !host.as_str().contains('@') && !host.host().is_empty());
    http && host && !url.contains('#')
}
