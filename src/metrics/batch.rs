//! Questions of many Canaries in one request (ANALYSIS 2.1).

use bytes::Bytes;
use http::Request;

use crate::crd::moment::Moment;
use crate::metrics::MetricError;
use crate::metrics::prometheus;
use crate::metrics::query::{CounterQuery, labelled};

/// Questions in one request. What bounds a reply are the Pods; this keeps a query readable.
const MAX_QUESTIONS: usize = 200;

/// Pods that the selectors of one request name; a single question with more goes alone.
const MAX_PODS: usize = 500;

/// One question for counters, to one server, at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Question<Id> {
    /// Who asks.
    pub id: Id,
    /// Address of the server.
    pub server: String,
    /// What is asked.
    pub query: CounterQuery,
    /// At which time.
    pub at: Moment,
}

/// Questions that one request asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<Id> {
    server: String,
    questions: Vec<Question<Id>>,
}

/// Puts questions for one server together, as many as one request may have, in the order in which they came.
#[must_use]
pub fn group<Id>(questions: Vec<Question<Id>>) -> Vec<Batch<Id>> {
    let mut batches: Vec<Batch<Id>> = Vec::new();
    for question in questions {
        let mut open = batches.iter_mut();
        match open.find(|batch| batch.has_room(&question)) {
            Some(batch) => batch.questions.push(question),
            None => batches.push(Batch {
                server: question.server.clone(),
                questions: vec![question],
            }),
        }
    }
    batches
}

impl<Id> Batch<Id> {
    fn has_room(&self, question: &Question<Id>) -> bool {
        let pods: usize = self.questions.iter().map(|it| it.query.pods).sum();
        self.server == question.server
            && self.questions.len() < MAX_QUESTIONS
            && pods + question.query.pods <= MAX_PODS
    }

    /// Who is asked.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Who asks.
    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        self.questions.iter().map(|it| &it.id)
    }

    /// Who asks, for what each is to be given.
    pub fn into_ids(self) -> impl Iterator<Item = Id> {
        self.questions.into_iter().map(|it| it.id)
    }

    /// What is asked, in the order of the label `q`.
    pub(super) fn queries(&self) -> impl Iterator<Item = &CounterQuery> {
        self.questions.iter().map(|it| &it.query)
    }

    /// The query: that of each question, with its position as label `q`, and with its time if not all have the same.
    #[must_use]
    pub fn query(&self) -> String {
        let times = self.has_times();
        let asked = self.questions.iter().enumerate();
        let asked = asked.filter(|(_, it)| !it.query.parts.is_empty());
        let queries = asked.map(|(position, it)| {
            let vector = format!("({})", it.query.parts.join(" or "));
            let vector = if times { at(&vector, it.at) } else { vector };
            labelled(&vector, "q", &position.to_string())
        });
        let query: Vec<_> = queries.collect();
        if query.is_empty() {
            // No arm has a Pod: a query that finds nothing.
            return "vector(0) > 0".to_owned();
        }
        query.join("\nor ")
    }

    fn has_times(&self) -> bool {
        let mut pairs = self.questions.windows(2);
        pairs.any(|pair| matches!(pair, [one, other] if one.at != other.at))
    }

    /// The request that asks all of it.
    ///
    /// # Errors
    ///
    /// If the address of the server cannot be used.
    pub fn request(&self) -> Result<Request<Bytes>, MetricError> {
        let latest = self.questions.iter().map(|it| it.at).max();
        let latest = latest.ok_or_else(|| MetricError::Rejected("nothing is asked".to_owned()))?;
        prometheus::request(&self.server, &self.query(), latest)
    }

    /// Two halves of a batch that failed, so that one bad question fails no other; `None`: there is only one question.
    #[must_use]
    pub fn split(mut self) -> Option<(Self, Self)> {
        if self.questions.len() < 2 {
            return None;
        }
        let second = self.questions.split_off(self.questions.len() / 2);
        let other = Self {
            server: self.server.clone(),
            questions: second,
        };
        Some((self, other))
    }
}

/// The query with this time at each of its selectors (`@`, which Prometheus knows since 2.33). Braces in texts are no selectors.
fn at(query: &str, at: Moment) -> String {
    let time = format!(" @ {:.3}", at.as_seconds());
    let mut timed = String::with_capacity(query.len() * 2);
    let (mut in_text, mut escaped) = (false, false);
    for c in query.chars() {
        timed.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '}' if !in_text => timed.push_str(&time),
            _ => {}
        }
    }
    timed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::series::Process;

    const SERVER: &str = "http://prometheus:9090";

    fn moment(second: i64) -> Moment {
        Moment::new(jiff::Timestamp::from_second(second).expect("a time"))
    }

    fn questions(number: usize, pods: usize) -> Vec<Question<usize>> {
        let question = |id| Question {
            id,
            server: SERVER.to_owned(),
            query: CounterQuery {
                parts: vec![r#"a{x="}\"}"}"#.to_owned(), "max (b{})".to_owned()],
                process: Process::Proxy,
                slower_than: None,
                pods,
            },
            at: moment(1000),
        };
        (0..number).map(question).collect()
    }

    #[test]
    fn batches_are_bounded() {
        let sizes = |questions| {
            let batches = group(questions);
            let sizes = batches.iter().map(|batch| batch.questions.len());
            sizes.collect::<Vec<_>>()
        };
        assert_eq!(sizes(questions(420, 1)), [200, 200, 20]);
        assert_eq!(sizes(questions(5, 200)), [2, 2, 1]);
        assert_eq!(sizes(questions(2, 600)), [1, 1]);
        let mut other = questions(3, 1);
        other[1].at = moment(1001);
        other[2].server = "http://other".to_owned();
        assert_eq!(sizes(other), [2, 1]);
    }

    #[test]
    fn a_batch_asks_for_each_question_by_its_place() {
        let batch = group(questions(2, 1)).remove(0);
        let expected = r#"label_replace((a{x="}\"}"} or max (b{})), "q", "0", "", "")
or label_replace((a{x="}\"}"} or max (b{})), "q", "1", "", "")"#;
        assert_eq!(batch.query(), expected);
        let (first, second) = batch.split().expect("two halves");
        assert_eq!(
            (first.ids().count(), second.ids().collect::<Vec<_>>()),
            (1, vec![&1])
        );
        assert!(first.split().is_none());
    }

    /// What is asked for other times says so at each selector, and nowhere else.
    #[test]
    fn each_question_has_its_time() {
        let mut two = questions(2, 1);
        two[0].at = moment(985);
        let batch = group(two).remove(0);
        let expected = r#"label_replace((a{x="}\"}"} @ 985.000 or max (b{} @ 985.000)), "q", "0", "", "")
or label_replace((a{x="}\"}"} @ 1000.000 or max (b{} @ 1000.000)), "q", "1", "", "")"#;
        assert_eq!(batch.query(), expected);
        let request = batch.request().expect("a request");
        assert!(request.body().ends_with(b"&time=1000.000"));
    }
}
