//! Splunk Observability Cloud: a SignalFlow program by `POST /v2/signalflow/execute`, answered as a stream of server-sent events.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::crd::moment::Moment;
use crate::metrics::MetricError;
use crate::metrics::store::{Question, nonsense, put};

pub(super) fn request(question: &Question<'_>) -> Result<Request<Bytes>, MetricError> {
    let millisecond = |moment: Moment| moment.timestamp().as_millisecond();
    let (start, stop) = (millisecond(question.from), millisecond(question.to));
    // Without `immediate` a computation waits for what comes late.
    let path = format!("/v2/signalflow/execute?start={start}&stop={stop}&immediate=true");
    let request = Request::builder()
        .method(Method::POST)
        .uri(question.at(&path))
        .header(header::CONTENT_TYPE, "text/plain")
        .header(header::ACCEPT, "text/event-stream")
        .body(Bytes::from(question.query.to_owned()));
    let mut request = request.map_err(|error| MetricError::Rejected(error.to_string()))?;
    put(
        &mut request,
        "x-sf-token",
        &question.key("sf_token_key")?,
        true,
    )?;
    Ok(request)
}

/// Where programs run, if an address is that of the rest of the API, as Flagger's templates have it.
pub(super) fn stream(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let rest = rest.strip_prefix("api.")?;
    Some(format!("{scheme}://stream.{rest}"))
}

/// What a stream has told so far.
#[derive(Default)]
struct Told {
    series: BTreeSet<String>,
    /// Time in milliseconds, and value if there is one.
    points: Vec<(f64, Option<f64>)>,
    /// Milliseconds of one point.
    resolution: f64,
    ended: bool,
}

#[derive(Deserialize)]
struct Control {
    event: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    logical_timestamp_ms: f64,
    data: Vec<Point>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    ts_id: String,
    #[serde(default)]
    value: Value,
}

/// The newest value of the only series, of a point that lies in the window as a whole. A stream that ends without saying so was cut
/// off, and what it had still to tell is not known.
pub(super) fn value(
    question: &Question<'_>,
    answer: &Response<Bytes>,
) -> Result<Option<f64>, MetricError> {
    let text = std::str::from_utf8(answer.body());
    let text = text.map_err(|_| nonsense("the answer of Splunk is no text"))?;
    let mut told = Told::default();
    for (event, data) in events(text) {
        told.hear(&event, &data)?;
    }
    if !told.ended {
        return Err(nonsense("the stream of Splunk broke off before its end"));
    }
    if told.series.len() > 1 {
        let message = format!(
            "the query finds {} series where it needs one",
            told.series.len()
        );
        return Err(MetricError::Rejected(message));
    }
    let points = told.points.into_iter();
    let points = points.filter_map(|(at, value)| Some((at, value?)));
    Ok(question.newest_whole(told.resolution, points))
}

/// The events of a stream, by name: the lines of data of one belong together, an empty line ends it.
fn events(text: &str) -> Vec<(String, String)> {
    let (mut found, mut name, mut data) = (Vec::new(), String::new(), Vec::new());
    for line in text.lines().chain([""]) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() && !data.is_empty() => {
                found.push((std::mem::take(&mut name), data.join("\n")));
                data.clear();
            }
            "" if line.is_empty() => name.clear(),
            "event" => value.clone_into(&mut name),
            "data" => data.push(value),
            _ => {}
        }
    }
    found
}

impl Told {
    fn hear(&mut self, event: &str, data: &str) -> Result<(), MetricError> {
        match event {
            "control-message" => self.control(&read::<Control>(data)?.event),
            "data" => self.data(read(data)?),
            "message" => self.message(&read(data)?),
            "error" => Err(nonsense("Splunk says that the program failed")),
            // What a series is called, that one is gone, and what a detector noticed.
            _ => Ok(()),
        }
    }

    fn control(&mut self, event: &str) -> Result<(), MetricError> {
        match event {
            "END_OF_CHANNEL" => self.ended = true,
            "CHANNEL_ABORT" => return Err(nonsense("Splunk broke the computation off")),
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, data: Data) -> Result<(), MetricError> {
        for point in data.data {
            let value = match point.value {
                Value::Null => None,
                Value::Number(number) => number.as_f64(),
                // JSON has no NaN, so it comes as a text.
                Value::String(text) => {
                    let number: Result<f64, _> = text.parse();
                    let number = number.map_err(|_| nonsense("a value of Splunk is no number"))?;
                    Some(number).filter(|number| number.is_finite())
                }
                _ => return Err(nonsense("a value of Splunk is no number")),
            };
            self.series.insert(point.ts_id);
            self.points.push((data.logical_timestamp_ms, value));
        }
        Ok(())
    }

    fn message(&mut self, message: &Value) -> Result<(), MetricError> {
        let message = &message["message"];
        match message["messageCode"].as_str() {
            Some("JOB_RUNNING_RESOLUTION") => {
                let resolution = message["contents"]["resolutionMs"].as_f64();
                self.resolution = resolution.unwrap_or(self.resolution);
                Ok(())
            }
            Some("FIND_LIMITED_RESULT_SET") => {
                let why = "Splunk left series out, for there were too many";
                Err(MetricError::Warned(why.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

fn read<T: DeserializeOwned>(data: &str) -> Result<T, MetricError> {
    serde_json::from_str(data)
        .map_err(|_| nonsense("the stream of Splunk has a message that is not its own"))
}
