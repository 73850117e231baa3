//! Requests as the command line makes them: each with an identity of its own.

use ring::rand::{SecureRandom, SystemRandom};

use crate::crd::request::Request;

/// A request of its own identity.
#[must_use]
pub fn request(verb: &'static str) -> Request {
    Request::new(verb, identity())
}

/// An identity that nobody else has.
#[must_use]
pub fn identity() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness the time would still tell two requests of one person apart.
    if SystemRandom::new().fill(&mut bytes).is_err() {
        bytes = crate::clock::Clock::System
            .now()
            .as_microsecond()
            .to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_its_own() {
        assert_ne!(request("abort").id, request("abort").id);
    }
}
