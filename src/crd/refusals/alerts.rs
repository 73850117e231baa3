//! What is wrong with alerts.

use std::collections::BTreeSet;

use crate::crd::canary::Canary;
use crate::crd::refusals::Findings;

/// Adds what is wrong with `spec.analysis.alerts`.
pub(super) fn check(canary: &Canary, found: &mut Findings) {
    let mut names = BTreeSet::new();
    // In a file the namespace may be left to whoever applies it.
    let home = canary.metadata.namespace.as_deref();
    for (index, route) in canary.spec.analysis.alerts.iter().enumerate() {
        let field = format!("analysis.alerts[{index}]");
        found.refuse_if(
            !names.insert(&route.name),
            &format!("{field}.name"),
            "is there twice; names are unique",
        );
        let named = route.provider_ref.namespace.as_deref();
        let foreign = named.zip(home).filter(|(named, home)| named != home);
        if let Some((_, home)) = foreign {
            let text = format!("only AlertProviders of {home:?} may be used; put one there");
            found.refuse(&format!("{field}.providerRef.namespace"), &text);
        }
    }
}
