//! Requests with certain headers that go to the canary from one step of the plan to another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::matching::{RequestMatch, TextMatch};

/// Routes of one plan that can be told apart.
pub const MOST: usize = 16;

/// What a step `setHeaderRoute` says: requests that go to the canary from here on, or that they no longer do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderRoute {
    /// What it is called where it ends.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Requests that one of these describes go to the canary; none: the route of this name ends here.
    #[serde(rename = "match", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub matches: Vec<HeaderMatch>,
}

impl HeaderRoute {
    /// The same as descriptions of requests.
    pub fn requests(&self) -> impl Iterator<Item = RequestMatch> + '_ {
        self.matches.iter().map(|header| RequestMatch {
            headers: [(header.header_name.clone(), header.header_value.clone())].into(),
            ..RequestMatch::default()
        })
    }
}

/// One header of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub header_name: String,
    /// How its value has to be.
    pub header_value: TextMatch,
}

/// Which of the status's `headerRoutes` lead to the canary: their positions, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Vec<u8>", into = "Vec<u8>")]
pub struct Standing(u16);

impl Standing {
    /// Whether none does.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These, and one more.
    #[must_use]
    pub fn with(self, position: usize) -> Self {
        Self(self.0 | bit(position))
    }

    /// These, but for one.
    #[must_use]
    pub fn without(self, position: usize) -> Self {
        Self(self.0 & !bit(position))
    }

    /// Those in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those of a list that stand.
    pub fn of(self, routes: &[HeaderRoute]) -> impl Iterator<Item = &HeaderRoute> {
        let numbered = (1..).zip(routes);
        numbered.filter_map(move |(position, route)| (self.0 & bit(position) != 0).then_some(route))
    }
}

/// The place of a position; there is none beyond the last.
fn bit(position: usize) -> u16 {
    match position {
        1..=MOST => 1 << (position - 1),
        _ => 0,
    }
}

impl From<Vec<u8>> for Standing {
    fn from(positions: Vec<u8>) -> Self {
        let positions = positions.into_iter().map(usize::from);
        positions.fold(Self::default(), Self::with)
    }
}

impl From<Standing> for Vec<u8> {
    fn from(standing: Standing) -> Self {
        (1_u8..)
            .take(MOST)
            .filter(|position| standing.0 & bit(usize::from(*position)) != 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_as_a_list_and_read_again() {
        let rows = [
            ("[]", "[]"),
            ("[1]", "[1]"),
            ("[16,2,2]", "[2,16]"),
            ("[0,17,3]", "[3]"),
        ];
        for (read, written) in rows {
            let standing: Standing = serde_json::from_str(read).expect("it is one");
            let again = serde_json::to_string(&standing).expect("it is written");
            assert_eq!(again, written, "{read}");
        }
    }

    #[test]
    fn what_stands_is_taken_from_the_list() {
        let route = |name: &str| HeaderRoute {
            name: name.to_owned(),
            ..HeaderRoute::default()
        };
        let list = [route("a"), route("b"), route("c")];
        let standing = Standing::default().with(1).with(3).with(4).without(1);
        let names: Vec<_> = standing.of(&list).map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["c"]);
    }
}
