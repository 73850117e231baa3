//! The authorizer of expressions.

use crate::sim::admission::review::Review;
use crate::sim::cel::authorizer::{Ask, Authorize};
use crate::sim::rbac::{self, Access};
use crate::sim::store::Store;

/// The rights of the user of a request.
pub(super) struct Rights<'a> {
    pub(super) store: &'a Store,
    pub(super) user: &'a str,
    pub(super) groups: &'a [String],
}

impl<'a> Rights<'a> {
    pub(super) fn of(store: &'a Store, review: &Review<'a>) -> Self {
        Self {
            store,
            user: review.user,
            groups: review.groups,
        }
    }
}

impl Authorize for Rights<'_> {
    fn allows(&self, ask: &Ask) -> bool {
        let access = Access {
            user: self.user,
            groups: self.groups,
            verb: &ask.verb,
            group: &ask.group,
            resource: &ask.resource,
            subresource: &ask.subresource,
            namespace: &ask.namespace,
            name: &ask.name,
            path: &ask.path,
        };
        let Some((namespace, name)) = &ask.account else {
            return rbac::allows(self.store, &access);
        };
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let groups = [
            "system:authenticated".to_owned(),
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
        rbac::allows(
            self.store,
            &Access {
                user: &user,
                groups: &groups,
                ..access
            },
        )
    }
}
