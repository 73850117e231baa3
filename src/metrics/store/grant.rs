//! Tokens that some stores want instead of credentials: they are asked for with what the Secret holds, and good for a while. Who keeps
//! them, and who signs, is not here.

use bytes::Bytes;
use http::{Request, Response};

use crate::crd::moment::Moment;
use crate::metrics::MetricError;
use crate::metrics::store::{Question, Server, Store, check_address, stackdriver};

/// What a token is asked for with. It holds a key, and is not printed.
pub struct Grant {
    /// The same for the same credentials, and of no use without them.
    pub id: Vec<u8>,
    /// What has to be signed, with RSA and SHA-256.
    pub(super) unsigned: String,
    /// The key that signs, in PKCS #8.
    pub(super) key: Vec<u8>,
    /// Who is asked for the token.
    pub(super) lender: String,
}

impl Grant {
    /// The request for a token.
    ///
    /// # Errors
    ///
    /// If the key cannot sign.
    pub fn request(
        &self,
        sign: impl FnOnce(&[u8], &[u8]) -> Option<Vec<u8>>,
    ) -> Result<Request<Bytes>, MetricError> {
        let signature = sign(&self.key, self.unsigned.as_bytes());
        let signature = signature.ok_or_else(|| {
            MetricError::Rejected("the key of the Secret is no RSA key that can sign".to_owned())
        })?;
        stackdriver::claim(&self.lender, &self.unsigned, &signature)
    }
}

/// A token, and until when it is good. It is not printed.
#[derive(Clone)]
pub struct Token {
    /// The token.
    pub text: String,
    /// When it ends.
    pub until: Moment,
}

/// What a token has to be asked for with before this question; `None`: the store takes the credentials themselves.
///
/// # Errors
///
/// If the Secret lacks something, or is for another address: then not even a token is asked for.
pub fn grant(store: Store, question: &Question<'_>) -> Result<Option<Grant>, MetricError> {
    let (Store::Stackdriver, Server::At(address)) = (store, question.server) else {
        return Ok(None);
    };
    check_address(address, question.secret)?;
    stackdriver::grant(question).map(Some)
}

/// The token that an answer lends.
///
/// # Errors
///
/// If it lends none.
pub fn token(answer: &Response<Bytes>, now: Moment) -> Result<Token, MetricError> {
    let (text, until) = stackdriver::token(answer, now)?;
    Ok(Token { text, until })
}
