//! The web UI's files, which are part of the program: pages, styles and scripts, without anything from elsewhere.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ring::digest::{SHA256, digest};

use crate::server::problem::Problem;

/// A file of the UI.
struct File {
    name: &'static str,
    text: &'static str,
}

/// The list of files, each of which stands beside this one.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(File { name: $name, text: include_str!($name) }),*]
    };
}

/// Every file that is served. The first is the page at `/`.
const FILES: &[File] = files![
    "index.html",
    "actions.js",
    "api.js",
    "app.js",
    "chart.css",
    "chart.js",
    "checks.js",
    "detail.css",
    "detail.js",
    "dom.js",
    "early.js",
    "fleet.js",
    "history.css",
    "history.js",
    "icons.js",
    "keys.js",
    "login.js",
    "order.js",
    "overview.css",
    "overview.js",
    "parts.css",
    "parts.js",
    "pins.js",
    "plan.css",
    "plan.js",
    "recording.js",
    "route.js",
    "said.js",
    "scale.js",
    "search.js",
    "serin.svg",
    "session.js",
    "shell.js",
    "stream.js",
    "theme.css",
    "theme.js",
    "time.js",
    "toolbar.js",
    "wall.css",
    "wall.js",
    "weights.js",
    "words.js",
];

/// What a browser may do with the page: run and show what comes from here, ask this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What goes with every file. `X-Content-Type-Options` goes with every reply of the server.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-cache"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// `GET /`
pub(super) async fn page(headers: HeaderMap) -> Response {
    serve(&FILES[0], &headers)
}

/// `GET /ui/{file}`
pub(super) async fn file(
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let found = FILES.iter().find(|file| file.name == name);
    let missing = || Problem::new(StatusCode::NOT_FOUND, format!("there is no /ui/{name}"));
    Ok(serve(found.ok_or_else(missing)?, &headers))
}

fn serve(file: &File, headers: &HeaderMap) -> Response {
    let tag = tag(file.text);
    let common = [
        (header::CONTENT_TYPE, media_type(file.name)),
        (header::ETAG, tag.as_str()),
    ];
    if knows(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, HEADERS, common).into_response();
    }
    (HEADERS, common, file.text).into_response()
}

/// Whether the browser has this version already.
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// The version of a text: another text has another one.
fn tag(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let hex: String = hash.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_media_type_and_asks_for_nothing_from_elsewhere() {
        assert_eq!(FILES[0].name, "index.html");
        for file in FILES {
            let name = file.name;
            assert_ne!(media_type(name), "application/octet-stream", "{name}");
            for word in [
                "src=\"http",
                "href=\"http",
                "url(http",
                "from \"http",
                "<style",
                " style=\"",
                " onclick=",
            ] {
                assert!(!file.text.contains(word), "{name} has {word}");
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/ui");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "mod.rs")
            .collect();
        let mut served: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        there.sort();
        served.sort_unstable();
        assert_eq!(there, served);
    }

    #[test]
    fn a_version_that_is_known_is_recognised() {
        let tag = tag("a");
        let rows = [
            (tag.clone(), true),
            (format!("\"x\", {tag}"), true),
            (format!("W/{tag}"), true),
            ("*".to_owned(), true),
            ("\"x\"".to_owned(), false),
        ];
        for (value, expected) in rows {
            let headers = [(header::IF_NONE_MATCH, value.parse().unwrap())];
            assert_eq!(
                knows(&headers.into_iter().collect(), &tag),
                expected,
                "{value}"
            );
        }
        assert!(!knows(&HeaderMap::new(), &tag));
    }
}
