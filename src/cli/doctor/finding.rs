//! What `serin doctor` finds: a sentence about something, and what to do about it.

use serde::{Serialize, Serializer};

/// What was looked at, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Check {
    /// The API server.
    Cluster,
    /// Serin's definitions.
    Definitions,
    /// The admission objects, and dry runs against them.
    Gate,
    /// The controller's Deployment, its lease and its version.
    Controller,
    /// What Serin's account may do.
    Permissions,
    /// A Canary: its target, its Service and what the spec says.
    Canary,
    /// Its route, and what runs it.
    Route,
    /// Its metrics server, and the series.
    Metrics,
    /// Room for its canary.
    Quota,
    /// Other controllers of its target.
    Rivals,
    /// What the person who asks may do.
    You,
}

impl Check {
    /// As people read it.
    #[must_use]
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Definitions => "definitions",
            Self::Gate => "gate",
            Self::Controller => "controller",
            Self::Permissions => "permissions",
            Self::Canary => "canary",
            Self::Route => "route",
            Self::Metrics => "metrics",
            Self::Quota => "quota",
            Self::Rivals => "rivals",
            Self::You => "you",
        }
    }
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It has to be mended: releases are not held, not routed, or not judged.
    Failed,
    /// Releases work; somebody should know.
    Warning,
    /// It could not be found out.
    Unknown,
    /// As it should be.
    Ok,
}

impl State {
    /// As people read it.
    #[must_use]
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Ok => "ok",
        }
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fix {
    /// A command to copy.
    Command(String),
    /// A sentence.
    Advice(String),
}

impl Fix {
    /// A command to copy.
    pub(super) fn run(command: impl Into<String>) -> Self {
        Self::Command(command.into())
    }

    /// A sentence.
    pub(super) fn say(advice: impl Into<String>) -> Self {
        Self::Advice(advice.into())
    }

    /// The command or the sentence.
    #[must_use]
    pub(super) fn text(&self) -> &str {
        let (Self::Command(text) | Self::Advice(text)) = self;
        text
    }
}

impl Serialize for Fix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: Check,
    /// How it is.
    pub(super) state: State,
    /// The Canary that it is about, as `namespace/name`; none: the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) canary: Option<String>,
    /// One sentence.
    pub(super) what: String,
    /// What to do, unless it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<Fix>,
}

impl Finding {
    /// As it should be.
    pub(super) fn ok(check: Check, what: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            canary: None,
            what: what.into(),
            fix: None,
        }
    }

    /// Releases work, and somebody should know.
    pub(super) fn warning(check: Check, what: impl Into<String>, fix: Fix) -> Self {
        Self::bad(check, State::Warning, what, fix)
    }

    /// It has to be mended.
    pub(super) fn failed(check: Check, what: impl Into<String>, fix: Fix) -> Self {
        Self::bad(check, State::Failed, what, fix)
    }

    /// It could not be found out.
    pub(super) fn unknown(check: Check, what: impl Into<String>, fix: Fix) -> Self {
        Self::bad(check, State::Unknown, what, fix)
    }

    fn bad(check: Check, state: State, what: impl Into<String>, fix: Fix) -> Self {
        Self {
            state,
            fix: Some(fix),
            ..Self::ok(check, what)
        }
    }

    /// The same, about a Canary.
    #[must_use]
    pub(super) fn of(mut self, canary: &str) -> Self {
        self.canary = Some(canary.to_owned());
        self
    }
}
