//! Tokens that stores of metrics lend, kept till near their end: asked for anew with each question, they would be twice the requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

use crate::crd::moment::Moment;
use crate::metrics::store::grant::Token;

/// Tokens that are kept. A cluster has a few accounts of a cloud; whoever has more asks more often.
const KEPT: usize = 64;

/// A token is not used so shortly before its end: the question has to arrive, and clocks differ.
const SPARE: Duration = Duration::from_secs(60);

/// The tokens, by what they were asked for with.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<Vec<u8>, Token>>);

impl Tokens {
    /// The token for these credentials, if one is kept that is still good.
    pub(super) fn get(&self, id: &[u8], now: Moment) -> Option<String> {
        let kept = self.kept();
        let token = kept.get(id)?;
        (now.after(SPARE) < token.until).then(|| token.text.clone())
    }

    /// Keeps a token; what has ended goes, and if there are too many, the one that ends first.
    pub(super) fn keep(&self, id: &[u8], token: Token, now: Moment) {
        let mut kept = self.kept();
        kept.retain(|_, token| now < token.until);
        if kept.len() >= KEPT && !kept.contains_key(id) {
            let first = kept.iter().min_by_key(|(_, token)| token.until);
            let first = first.map(|(id, _)| id.clone());
            first.and_then(|id| kept.remove(&id));
        }
        kept.insert(id.to_vec(), token);
    }

    /// The store does not take the token any more.
    pub(super) fn forget(&self, id: &[u8]) {
        self.kept().remove(id);
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text signed with a key in PKCS #8, as RS256 wants it; `None`: it is no RSA key.
pub(super) fn signed(key: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let key = RsaKeyPair::from_pkcs8(key).ok()?;
    let mut signature = vec![0; key.public().modulus_len()];
    let chance = SystemRandom::new();
    key.sign(&RSA_PKCS1_SHA256, &chance, text, &mut signature)
        .ok()?;
    Some(signature)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    fn key() -> Vec<u8> {
        let text = include_str!("../../tests/golden/stores/rsa.txt");
        let text: String = text.split_whitespace().collect();
        STANDARD.decode(text).unwrap()
    }

    #[test]
    fn what_is_signed_can_be_verified() {
        let signature = signed(&key(), b"claim").unwrap();
        let pair = RsaKeyPair::from_pkcs8(&key()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref());
        assert!(public.verify(b"claim", &signature).is_ok());
        assert!(public.verify(b"other", &signature).is_err());
        assert!(signed(b"no key", b"claim").is_none());
    }

    fn until(at: Moment) -> Token {
        let text = at.to_string();
        Token { text, until: at }
    }

    #[test]
    fn a_token_is_used_till_a_minute_before_its_end() {
        let now = Moment::new("2026-11-22T10:00:00Z".parse().unwrap());
        let second = |second| now.after(Duration::from_secs(second));
        let tokens = Tokens::default();
        tokens.keep(&[1], until(second(3_600)), now);
        assert!(tokens.get(&[1], second(3_539)).is_some());
        assert!(tokens.get(&[1], second(3_540)).is_none());
        assert!(tokens.get(&[2], now).is_none());
        tokens.forget(&[1]);
        assert!(tokens.get(&[1], now).is_none());
    }

    #[test]
    fn there_are_never_too_many() {
        let now = Moment::new("2026-11-22T10:00:00Z".parse().unwrap());
        let second = |second: u8| now.after(Duration::from_secs(1_000 + u64::from(second)));
        let tokens = Tokens::default();
        for id in 0..=u8::MAX {
            tokens.keep(&[id], until(second(id)), now);
        }
        assert_eq!(tokens.kept().len(), KEPT);
        assert!(tokens.get(&[u8::MAX], now).is_some());
        assert!(
            tokens.get(&[0], now).is_none(),
            "that which ends first went"
        );
        let later = now.after(Duration::from_secs(5_000));
        tokens.keep(&[0], until(later.after(Duration::from_secs(5))), later);
        assert_eq!(tokens.kept().len(), 1, "what has ended is not kept");
    }
}
