//! Questions to the API server about people: whose token it is, and what somebody may do.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{
    SelfSubjectReview, TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo,
};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;

use crate::cluster::{Cluster, ClusterError, limited};

/// Somebody whom the API server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Name of the user or service account.
    pub name: String,
    /// Identity behind the name.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What the authenticator says besides.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Something that somebody may do with Canaries, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deed<'a> {
    /// `get`, `list` or `update`.
    pub verb: &'a str,
    /// Subresource; empty: none.
    pub subresource: &'a str,
    /// Namespace; empty: all.
    pub namespace: &'a str,
    /// Name; empty: all.
    pub name: &'a str,
}

impl Cluster {
    /// Whose token this is. It has to be meant for one of these audiences; if there are none, for the API server itself.
    ///
    /// # Errors
    /// When the API server does not answer, or does not let Serin ask.
    pub async fn identify(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<Option<Subject>, ClusterError> {
        let api: Api<TokenReview> = Api::all(self.client());
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: (!audiences.is_empty()).then(|| audiences.to_vec()),
            },
            ..TokenReview::default()
        };
        let params = PostParams::default();
        let answer = limited("review", &"a token", api.create(&params, &review)).await?;
        Ok(answer.status.and_then(|status| subject(status, audiences)))
    }

    /// Whether somebody may do this.
    ///
    /// # Errors
    /// As for `identify`.
    pub async fn may(&self, subject: &Subject, deed: Deed<'_>) -> Result<bool, ClusterError> {
        let api: Api<SubjectAccessReview> = Api::all(self.client());
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let Subject {
            name,
            uid,
            groups,
            extra,
        } = subject.clone();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(name),
                uid: some(&uid),
                groups: Some(groups),
                extra: (!extra.is_empty()).then_some(extra),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("serin.dev".to_owned()),
                    resource: Some("canaries".to_owned()),
                    verb: some(deed.verb),
                    subresource: some(deed.subresource),
                    namespace: some(deed.namespace),
                    name: some(deed.name),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SubjectAccessReview::default()
        };
        let params = PostParams::default();
        let answer = limited("review", &"an access", api.create(&params, &review)).await?;
        Ok(answer
            .status
            .is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    /// The name of Serin's own account.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn own_name(&self) -> Result<Option<String>, ClusterError> {
        let api: Api<SelfSubjectReview> = Api::all(self.client());
        let params = PostParams::default();
        let review = SelfSubjectReview::default();
        let answer = limited("review", &"myself", api.create(&params, &review)).await?;
        let user = answer.status.and_then(|status| status.user_info);
        Ok(user.and_then(|user| user.username))
    }
}

/// The owner of a token. Where audiences are asked for, one of them has to come back: an authenticator that knows none of
/// them answers as for the API server itself.
fn subject(status: TokenReviewStatus, audiences: &[String]) -> Option<Subject> {
    let good = status.authenticated == Some(true);
    let meant = status.audiences.unwrap_or_default();
    let for_us = audiences.is_empty() || audiences.iter().any(|one| meant.contains(one));
    let UserInfo {
        username,
        uid,
        groups,
        extra,
    } = status.user.filter(|_| good && for_us)?;
    Some(Subject {
        name: username.filter(|name| !name.is_empty())?,
        uid: uid.unwrap_or_default(),
        groups: groups.unwrap_or_default(),
        extra: extra.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_for_its_audience_alone() {
        let ours = ["serin".to_owned()];
        let rows: [(bool, &[&str], &[String], bool); 6] = [
            (true, &[], &[], true),
            (true, &["https://kubernetes.default.svc"], &[], true),
            (true, &["serin"], &ours, true),
            (true, &["other"], &ours, false),
            (true, &[], &ours, false),
            (false, &["serin"], &ours, false),
        ];
        for (authenticated, meant, asked, expected) in rows {
            let status = TokenReviewStatus {
                authenticated: Some(authenticated),
                audiences: Some(meant.iter().map(|&one| one.to_owned()).collect()),
                user: Some(UserInfo {
                    username: Some("ada".to_owned()),
                    ..UserInfo::default()
                }),
                error: None,
            };
            let found = subject(status, asked).map(|subject| subject.name);
            assert_eq!(
                found.is_some(),
                expected,
                "{authenticated} {meant:?} {asked:?}"
            );
        }
    }
}
