//! Users who stay where they are. A user without the cookie is drawn once: to the canary, or to the first of the plan's later shares
//! that is to reach him. So nobody leaves the canary while it grows, nobody on stable moves before his turn, and of any crowd of
//! users the canary has its share.

use crate::crd::affinity::Cookie;
use crate::crd::canary::Canary;
use crate::rollout::observed::{Routes, Weight};

/// Header of an answer.
pub(super) const SET_COOKIE: &str = "Set-Cookie";

/// The users of one moment, by the share of the canary that reaches them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cohorts<'a> {
    cookie: &'a Cookie,
    share: u8,
}

/// What becomes of some of the users without a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    /// They go to the canary, and not to stable.
    pub(super) canary: bool,
    /// How many of a hundred they are.
    pub(super) weight: u8,
    /// The `Set-Cookie` of their first answer.
    pub(super) cookie: Option<String>,
}

/// The cohorts, where somebody has to be kept: some users go to the canary, and some do not.
pub(super) fn cohorts(canary: &Canary, routes: Routes) -> Option<Cohorts<'_>> {
    let cookie = canary.status.as_ref()?.traffic.cookie.as_ref()?;
    let share = routes.canary.percent();
    (1..100)
        .contains(&share)
        .then_some(Cohorts { cookie, share })
}

/// The draws of a share, stable's first: one for each arm where nobody is kept.
pub(super) fn draws(cohorts: Option<Cohorts<'_>>, share: Weight) -> Vec<Draw> {
    let share = share.percent();
    let plain = |(canary, weight)| Draw {
        canary,
        weight,
        cookie: None,
    };
    let plainly = || [(false, 100 - share), (true, share)].map(plain).to_vec();
    cohorts.map_or_else(plainly, Cohorts::draws)
}

/// Whether Serin would have an answer say this `Set-Cookie`.
pub(super) fn is_ours(canary: &Canary, set_cookie: &str) -> bool {
    let spec = canary.spec.analysis.session_affinity.as_ref();
    let status = canary.status.as_ref();
    let kept = status.and_then(|status| status.traffic.cookie.as_ref());
    let name = set_cookie.split('=').next();
    name == spec.map(|spec| spec.cookie_name.as_str())
        || name == kept.map(|cookie| cookie.name.as_str())
}

impl Cohorts<'_> {
    /// The draws, stable's first. Their weights come to 100.
    fn draws(self) -> Vec<Draw> {
        let mut from = self.share;
        let mut draws: Vec<Draw> = Vec::new();
        for share in self.later() {
            draws.push(Draw {
                canary: false,
                weight: share - from,
                cookie: Some(self.set(share)),
            });
            from = share;
        }
        draws.push(Draw {
            canary: true,
            weight: self.share,
            cookie: Some(self.set(self.share)),
        });
        draws
    }

    /// Those who stay where they are: whether that is the canary, and their header `Cookie` as a regular expression of the whole of it.
    pub(super) fn kept(self) -> [(bool, String); 2] {
        [
            (true, self.stay_on_canary()),
            (false, self.stay_on_stable()),
        ]
    }

    fn stay_on_canary(self) -> String {
        let mut shares: Vec<u8> = self.planned().filter(|it| *it < self.share).collect();
        shares.push(self.share);
        self.pattern(&shares)
    }

    fn stay_on_stable(self) -> String {
        self.pattern(&self.later())
    }

    fn planned(self) -> impl Iterator<Item = u8> {
        self.cookie.shares.iter().copied()
    }

    fn later(self) -> Vec<u8> {
        let later = self.planned().filter(|it| *it > self.share && *it < 100);
        later.chain([100]).collect()
    }

    fn set(self, share: u8) -> String {
        let Cookie {
            name,
            attempt,
            attributes,
            ..
        } = self.cookie;
        format!("{name}={attempt}-{share}; {attributes}")
    }

    /// Anchored, so that no other cookie whose name ends alike is taken for this one (PROVIDERS 1.1).
    fn pattern(self, shares: &[u8]) -> String {
        let Cookie { name, attempt, .. } = self.cookie;
        let shares: Vec<String> = shares.iter().map(u8::to_string).collect();
        format!(r"^(.*;\s*)?{name}={attempt}-({})(;.*)?$", shares.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd::status::{CanaryStatus, TrafficStatus};
    use crate::router::tests::world;

    fn canary() -> Canary {
        let cookie = Cookie {
            name: "arm".to_owned(),
            attempt: "5d4-65".to_owned(),
            attributes: "Max-Age=60".to_owned(),
            shares: vec![10, 50],
        };
        let mut canary = world::canary(json!({}));
        canary.status = Some(CanaryStatus {
            traffic: TrafficStatus {
                cookie: Some(cookie),
                ..TrafficStatus::default()
            },
            ..CanaryStatus::default()
        });
        canary
    }

    /// Share, what is drawn, and the shares whose users stay on canary and stable.
    type Row = (u8, &'static [(u8, u8)], &'static str, &'static str);

    #[test]
    fn a_user_belongs_to_the_first_share_that_is_to_reach_him() {
        let canary = canary();
        let rows: [Row; 4] = [
            (10, &[(40, 50), (50, 100), (10, 10)], "10", "50|100"),
            (50, &[(50, 100), (50, 50)], "10|50", "100"),
            // On the way back in steps.
            (80, &[(20, 100), (80, 80)], "10|50|80", "100"),
            (30, &[(20, 50), (50, 100), (30, 30)], "10|30", "50|100"),
        ];
        for (share, drawn, on_canary, on_stable) in rows {
            let cohorts = cohorts(&canary, Routes::share(share)).unwrap();
            let draws = cohorts.draws();
            assert_eq!(draws.iter().map(|draw| draw.weight).sum::<u8>(), 100);
            let expected: Vec<_> = drawn
                .iter()
                .map(|(weight, to)| (*weight, Some(format!("arm=5d4-65-{to}; Max-Age=60"))))
                .collect();
            let draws: Vec<_> = draws.into_iter().map(|it| (it.weight, it.cookie)).collect();
            assert_eq!(draws, expected, "{share}");
            let pattern = |shares: &str| format!(r"^(.*;\s*)?arm=5d4-65-({shares})(;.*)?$");
            assert_eq!(cohorts.stay_on_canary(), pattern(on_canary), "{share}");
            assert_eq!(cohorts.stay_on_stable(), pattern(on_stable), "{share}");
        }
    }

    #[test]
    fn without_a_choice_nobody_is_kept() {
        let mut canary = canary();
        for share in [0, 100] {
            assert!(cohorts(&canary, Routes::share(share)).is_none(), "{share}");
        }
        canary.status = None;
        assert!(cohorts(&canary, Routes::share(10)).is_none());
    }

    #[test]
    fn other_cookies_are_not_taken_for_it() {
        let canary = canary();
        let pattern = cohorts(&canary, Routes::share(50))
            .unwrap()
            .stay_on_canary();
        let pattern = regex::Regex::new(&pattern).unwrap();
        let rows = [
            ("arm=5d4-65-10", true),
            ("a=b; arm=5d4-65-50; c=d", true),
            ("a=b;arm=5d4-65-50", true),
            ("arm=5d4-65-100", false),
            ("arm=5d4-65-5", false),
            ("charm=5d4-65-50", false),
            ("a=arm=5d4-65-50", false),
            ("arm=older-50", false),
        ];
        for (header, expected) in rows {
            assert_eq!(pattern.is_match(header), expected, "{header}");
        }
    }
}
