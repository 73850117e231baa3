//! `authorizer`, which asks whether the user of a request might do something else.

use std::rc::Rc;

use crate::sim::cel::value::{Fault, Outcome, Val};

/// What the authorizer is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Namespace and name of the ServiceAccount that is asked about, if it is not the user of the request.
    pub account: Option<(String, String)>,
    /// API group.
    pub group: String,
    /// Resource; empty if it is about a path.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Path that belongs to no resource.
    pub path: String,
    /// Verb.
    pub verb: String,
}

/// Who decides what is allowed.
pub trait Authorize {
    /// Whether this is allowed to the user of the request.
    fn allows(&self, ask: &Ask) -> bool;
}

/// A method of the authorizer, or of what it returned.
pub(super) fn call<'a>(
    ask: &Rc<Ask>,
    name: &str,
    arguments: &[Val<'a>],
    authorizer: Option<&dyn Authorize>,
) -> Outcome<'a> {
    let mut texts = arguments.iter().map(Val::as_text);
    let (first, second) = (texts.next().flatten(), texts.next().flatten());
    let mut next = Ask::clone(ask);
    let text = || first.map(str::to_owned).ok_or_else(Fault::no_overload);
    match name {
        "group" => next.group = text()?,
        "resource" => next.resource = text()?,
        "subresource" => next.subresource = text()?,
        "namespace" => next.namespace = text()?,
        "name" => next.name = text()?,
        "path" => next.path = text()?,
        // Rights by label or field do not exist without an authorizer that knows them.
        "fieldSelector" | "labelSelector" => text().map(drop)?,
        "serviceAccount" => {
            next.account = Some((text()?, second.ok_or_else(Fault::no_overload)?.to_owned()))
        }
        "check" => {
            next.verb = text()?;
            return Ok(Val::Decision(
                authorizer.is_some_and(|authorizer| authorizer.allows(&next)),
            ));
        }
        _ => return Err(Fault::no_overload()),
    }
    Ok(Val::Authorizer(next.into()))
}

/// A method of a decision.
pub(super) fn decided<'a>(allowed: bool, name: &str) -> Outcome<'a> {
    match name {
        "allowed" => Ok(Val::Bool(allowed)),
        "errored" => Ok(Val::Bool(false)),
        "reason" | "error" => Ok(Val::text("")),
        _ => Err(Fault::no_overload()),
    }
}
