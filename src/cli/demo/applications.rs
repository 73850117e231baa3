//! The applications of the demo: each is a manifest, what its releases are like, and how its users ask.

use crate::sim::traffic::Name;
use crate::sim::users::Destination;

/// The namespace of all of them.
pub const HOME: &str = "shop";

/// One application.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Application {
    /// The name of its Deployment, of its Canary, and of its Service, if it has one.
    pub name: &'static str,
    /// What is applied before the demo begins, version 1.0.0.
    pub manifest: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    /// What is wrong with every second version, as its tag says it; empty: nothing.
    pub flaw: &'static str,
    /// How users ask.
    pub users: Users,
}

/// How users ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Users {
    /// By its host, through the gateway, so many times a second.
    Gateway(f64),
    /// By its Service, so many times a second.
    Service(f64),
    /// Not at all.
    None,
}

/// What becomes of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is the main release.
    Promoted,
    /// It was rejected.
    Rejected,
    /// Something else came in its place.
    Overtaken,
}

/// The applications, in the order in which they ship.
pub const ALL: [Application; 7] = [
    Application {
        name: "mailer",
        manifest: include_str!("mailer.yaml"),
        about: "a worker without users",
        flaw: "",
        users: Users::None,
    },
    Application {
        name: "storefront",
        manifest: include_str!("storefront.yaml"),
        about: "a good release",
        flaw: "",
        users: Users::Gateway(800.0),
    },
    Application {
        name: "reviews",
        manifest: include_str!("reviews.yaml"),
        about: "the image does not exist",
        flaw: "-missing",
        users: Users::Gateway(300.0),
    },
    Application {
        name: "checkout",
        manifest: include_str!("checkout.yaml"),
        about: "every fifth request fails",
        flaw: "-errors20",
        users: Users::Gateway(800.0),
    },
    Application {
        name: "payments",
        manifest: include_str!("payments.yaml"),
        about: "waits for a person's approval",
        flaw: "",
        users: Users::Gateway(800.0),
    },
    Application {
        name: "search",
        manifest: include_str!("search.yaml"),
        about: "half of the requests take 400 ms longer",
        flaw: "-latency400p50",
        users: Users::Gateway(800.0),
    },
    Application {
        name: "website",
        manifest: include_str!("website.yaml"),
        about: "blue/green: all users switch at once",
        flaw: "",
        users: Users::Service(100.0),
    },
];

impl Application {
    /// The application as traffic names it.
    #[must_use]
    pub fn place(&self) -> Name {
        Name::new(HOME, self.name)
    }

    /// Whom its users ask, and how often in a second; `None`: it has none.
    #[must_use]
    pub fn traffic(&self) -> Option<(Destination, f64)> {
        match self.users {
            Users::Gateway(rate) => {
                let host = format!("{}.example.com", self.name);
                Some((Destination::Host(host, "/".to_owned()), rate))
            }
            Users::Service(rate) => Some((Destination::Service(self.place()), rate)),
            Users::None => None,
        }
    }

    /// After a change of the weight the controller waits until every proxy has it, in seconds; at the beginning too.
    #[must_use]
    pub fn settles(&self) -> i64 {
        match self.users {
            Users::Gateway(_) => 5,
            Users::Service(_) => 30,
            Users::None => 0,
        }
    }

    /// The tag that it ships in a round, from 0: a version that may be flawed, and in the next round one that is not.
    #[must_use]
    pub fn tag(&self, round: u32) -> String {
        let major = 2 + round / 2;
        if round.is_multiple_of(2) {
            format!("{major}.0.0{}", self.flaw)
        } else {
            format!("{major}.0.1")
        }
    }

    /// What has to become of a round's version.
    #[must_use]
    pub fn expected(&self, round: u32) -> End {
        if self.flaw.is_empty() || !round.is_multiple_of(2) {
            End::Promoted
        } else {
            End::Rejected
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_is_shipped_and_then_mended() {
        let checkout = ALL.iter().find(|it| it.name == "checkout").unwrap();
        let rows = [
            (0, "2.0.0-errors20", End::Rejected),
            (1, "2.0.1", End::Promoted),
            (2, "3.0.0-errors20", End::Rejected),
        ];
        for (round, tag, end) in rows {
            assert_eq!(
                (checkout.tag(round).as_str(), checkout.expected(round)),
                (tag, end)
            );
        }
        let mailer = ALL.iter().find(|it| it.name == "mailer").unwrap();
        assert_eq!(
            (mailer.tag(0).as_str(), mailer.expected(0)),
            ("2.0.0", End::Promoted)
        );
    }

    #[test]
    fn a_manifest_is_of_its_application_alone() {
        for application in &ALL {
            for text in application.manifest.split("\n---") {
                let object: serde_json::Value = serde_saphyr::from_str(text).unwrap();
                let metadata = &object["metadata"];
                assert_eq!(metadata["name"], application.name);
                assert_eq!(metadata["namespace"], HOME);
            }
        }
    }
}
