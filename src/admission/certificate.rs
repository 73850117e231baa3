//! The webhook's certificates: which one serves, which ones API servers trust, and when the next is made.
//!
//! Each is signed by itself and so is its own root. A new one is trusted first and serves later, and the old one stays trusted,
//! so that neither an API server that heard late nor a replica that changes late makes a call fail.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

/// Longest time between "trusted" and "serves". API servers hear of a new configuration within seconds.
const LEAD: Duration = Duration::from_secs(300);
/// A certificate is valid from so long before it was made, for clocks that go behind.
const EARLIER: Duration = Duration::from_secs(3600);

/// A certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "made {}, expires {}", self.made, self.expires)
    }
}

/// Makes a certificate for these names, the first of which is its own.
///
/// # Errors
/// When a name cannot stand in a certificate.
pub fn make(names: &[String], now: Timestamp, life: Duration) -> Result<Pair, rcgen::Error> {
    let expires = later(now, life);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let own = names.first().map_or("serin", String::as_str);
    params.distinguished_name.push(DnType::CommonName, own);
    params.not_before = moment(now.saturating_sub(EARLIER).unwrap_or(Timestamp::MIN));
    params.not_after = moment(expires);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok(Pair {
        certificate: params.self_signed(&key)?.pem(),
        key: key.serialize_pem(),
        made: now,
        expires,
    })
}

fn moment(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// The certificates of one webhook, as its Secret keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Connections are made with this one.
    pub serving: Option<Pair>,
    /// This one is trusted already and serves soon.
    pub next: Option<Pair>,
    /// This one served before, and is still trusted.
    pub previous: Option<Pair>,
}

impl Certificates {
    /// What follows at this time, where `trusted` is what the API servers are told to trust, and `make` makes a new one.
    /// Nothing if all stays.
    ///
    /// # Errors
    /// When a certificate cannot be made.
    pub fn turned<E>(
        &self,
        now: Timestamp,
        life: Duration,
        trusted: &str,
        make: impl Fn() -> Result<Pair, E>,
    ) -> Result<Option<Self>, E> {
        let mut turned = self.clone();
        for place in [&mut turned.serving, &mut turned.next, &mut turned.previous] {
            place.take_if(|pair| pair.expires <= now);
        }
        let Some(serving) = &turned.serving else {
            turned.serving = Some(turned.next.take().map_or_else(make, Ok)?);
            return Ok(Some(turned));
        };
        match &turned.next {
            Some(next)
                if later(next.made, lead(life)) <= now && trusted.contains(&next.certificate) =>
            {
                turned.previous = turned.serving.take();
                turned.serving = turned.next.take();
            }
            None if renewal(serving, life) <= now => turned.next = Some(make()?),
            _ => {}
        }
        Ok((turned != *self).then_some(turned))
    }

    /// What API servers are to trust, in PEM.
    #[must_use]
    pub fn trusted(&self) -> String {
        let pairs = self.pairs();
        pairs.map(|(_, pair)| pair.certificate.as_str()).collect()
    }

    /// As the data of a Secret.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, String> {
        self.pairs()
            .flat_map(|(place, pair)| {
                [
                    (format!("{place}.crt"), pair.certificate.clone()),
                    (format!("{place}.key"), pair.key.clone()),
                    (format!("{place}.made"), pair.made.to_string()),
                    (format!("{place}.expires"), pair.expires.to_string()),
                ]
            })
            .collect()
    }

    /// From the data of a Secret. What is not whole counts as not there.
    #[must_use]
    pub fn of(data: &BTreeMap<String, String>) -> Self {
        let read = |place: &str| {
            let field = |name: &str| data.get(&format!("{place}.{name}"));
            Some(Pair {
                certificate: field("crt")?.clone(),
                key: field("key")?.clone(),
                made: field("made")?.parse().ok()?,
                expires: field("expires")?.parse().ok()?,
            })
        };
        Self {
            serving: read("tls"),
            next: read("next"),
            previous: read("previous"),
        }
    }

    /// Those that are there, under the names that they have in the Secret.
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &Pair)> {
        let places = [
            ("tls", &self.serving),
            ("next", &self.next),
            ("previous", &self.previous),
        ];
        let there = places.into_iter();
        there.filter_map(|(place, pair)| Some((place, pair.as_ref()?)))
    }
}

/// When the next certificate is made: after two thirds of a life, also if lives were longer when this one was made.
fn renewal(serving: &Pair, life: Duration) -> Timestamp {
    let whole = serving.expires.duration_since(serving.made);
    let whole = Duration::try_from(whole).unwrap_or_default();
    later(serving.made, whole.min(life) * 2 / 3)
}

/// How long the next certificate is trusted before it serves.
fn lead(life: Duration) -> Duration {
    LEAD.min(life / 10)
}
