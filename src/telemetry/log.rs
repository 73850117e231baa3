//! The log of the controller: one line an event, on stderr, with RFC 3339 times.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// What people ask for through the API is logged whatever the level, but where directives say otherwise.
const AUDIT: &str = "audit=info";

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level says nothing that can be understood.
    #[error(
        "read the log level {level:?}: use error, warn, info, debug or trace, or directives such as serin=debug,kube=info"
    )]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Something else logs already in this process.
    #[error("set up the log twice in one process")]
    Twice,
}

/// Starts the log. A bare level is meant for Serin's own lines; of libraries, warnings are enough.
pub fn start(format: LogFormat, level: &str) -> Result<(), LogError> {
    let filter = filter(level).map_err(|source| LogError::Level {
        level: level.to_owned(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LogError::Twice)
}

fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    match level {
        "error" => EnvFilter::try_new(format!("error,{AUDIT}")),
        "warn" | "info" | "debug" | "trace" => {
            EnvFilter::try_new(format!("warn,serin={level},{AUDIT}"))
        }
        other => EnvFilter::builder().parse(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_meant_for_serin() {
        let rows = [
            ("debug", Some("warn,serin=debug,audit=info")),
            ("error", Some("error,audit=info")),
            ("serin=trace,kube=info", Some("serin=trace,kube=info")),
            ("serin=loud", None),
        ];
        for (level, expected) in rows {
            let parts = |text: &str| {
                text.split(',')
                    .map(str::to_owned)
                    .collect::<std::collections::BTreeSet<_>>()
            };
            let parsed = filter(level).ok().map(|filter| parts(&filter.to_string()));
            assert_eq!(parsed, expected.map(parts), "{level}");
        }
    }
}
