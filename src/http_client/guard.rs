//! Where requests may go: not to the machine itself, to the link, to the metadata of a cloud, or to the API server, whatever somebody
//! wrote into a Canary (SAFETY 4). Hosts that the administrator trusts are not looked at.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Addresses under which clouds tell machines their secrets, beside those of the link.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Hosts that the administrator trusts, and addresses that nobody may be sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// `host` or `host:port`.
    trusted: Arc<BTreeSet<String>>,
    /// Of this installation: the API server, our own Pod.
    ours: Arc<BTreeSet<IpAddr>>,
}

impl Guard {
    /// A guard that trusts these hosts (`host`, `host:port`, or the address of a server), and keeps requests from these addresses.
    #[must_use]
    pub fn new<S: AsRef<str>>(trusted: &[S], ours: &[IpAddr]) -> Self {
        let trusted = trusted.iter().map(|host| named(host.as_ref()));
        Self {
            trusted: Arc::new(trusted.collect()),
            ours: Arc::new(ours.iter().copied().collect()),
        }
    }

    /// Whether the administrator trusts the host of an address.
    #[must_use]
    pub fn trusts(&self, address: &str) -> bool {
        Url::parse(address).is_ok_and(|url| self.knows(&url))
    }

    fn knows(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let port = url.port_or_known_default().unwrap_or(0);
        self.trusted.contains(&host) || self.trusted.contains(&format!("{host}:{port}"))
    }

    /// Why a request to this URL is not sent, as far as its words say.
    pub(super) fn refuses(&self, url: &Url) -> Option<&'static str> {
        if self.knows(url) {
            return None;
        }
        match url.host()? {
            url::Host::Ipv4(address) => self.forbids(IpAddr::V4(address)),
            url::Host::Ipv6(address) => self.forbids(IpAddr::V6(address)),
            // The resolver looks at what a name stands for.
            url::Host::Domain(_) => None,
        }
    }

    /// What is wrong with an address; `None`: requests may go there.
    fn forbids(&self, address: IpAddr) -> Option<&'static str> {
        let address = plain(address);
        if self.ours.contains(&address) {
            return Some("an address of this installation");
        }
        if METADATA.contains(&address) {
            return Some("a metadata service");
        }
        let link = match address {
            IpAddr::V4(it) => it.is_link_local() || it.is_broadcast(),
            IpAddr::V6(it) => it.is_unicast_link_local(),
        };
        let rows = [
            (address.is_loopback(), "the machine itself"),
            (
                address.is_unspecified() || in_zero(address),
                "no address of a host",
            ),
            (address.is_multicast(), "many hosts"),
            (link, "a host on the same link"),
        ];
        rows.into_iter().find_map(|(is, what)| is.then_some(what))
    }
}

/// An IPv4 address in any of its IPv6 forms is that address.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(long) = address else {
        return address;
    };
    let [a, b, c, d, e, f, high, low] = long.segments();
    let bytes = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        // Mapped, compatible (but ::1 and :: are their own), and NAT64.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => bytes(high, low),
        [0, 0, 0, 0, 0, 0] if high != 0 => bytes(high, low),
        // 6to4.
        [0x2002, high, low, ..] => bytes(high, low),
        _ => address,
    }
}

fn in_zero(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(it) if it.octets()[0] == 0)
}

/// A host as it is compared: of an address its host and port, in small letters.
fn named(host: &str) -> String {
    let of_url = Url::parse(host).ok().and_then(|url| {
        let (name, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        Some(format!("{name}:{port}"))
    });
    of_url
        .filter(|_| host.contains("://"))
        .unwrap_or_else(|| host.to_owned())
        .to_ascii_lowercase()
}

/// Looks names up, and leaves out the addresses that requests may not go to: what was looked at is what is connected to.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            // The port is not known here: a host that is trusted at one of its ports may be looked up.
            let at_a_port = format!("{host}:");
            let mut trusted = guard.trusted.iter();
            let trusted = trusted.any(|it| *it == host || it.starts_with(&at_a_port));
            let (mut allowed, mut why) = (Vec::new(), None);
            for address in found {
                match guard.forbids(address.ip()).filter(|_| !trusted) {
                    None => allowed.push(address),
                    Some(what) => why = Some(what),
                }
            }
            match why.filter(|_| allowed.is_empty()) {
                Some(what) => Err(format!("{host} is {what}, and not a trusted host").into()),
                None => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The addresses of this installation, as its environment has them.
#[must_use]
pub fn ours(variable: impl Fn(&str) -> Option<String>) -> Vec<IpAddr> {
    let names = ["KUBERNETES_SERVICE_HOST", "POD_IP"];
    let addresses = names.iter().filter_map(|name| variable(name));
    addresses
        .filter_map(|text| {
            let bare = text.trim_matches(['[', ']']);
            bare.parse().ok().or_else(|| {
                let with_port: SocketAddr = text.parse().ok()?;
                Some(with_port.ip())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_the_machine_the_link_or_the_metadata() {
        let guard = Guard::new::<&str>(&[], &["10.96.0.1".parse().unwrap()]);
        let rows = [
            ("http://127.0.0.1/", true),
            ("http://127.1/", true),
            ("http://0x7f.1/", true),
            ("http://2130706433/", true),
            ("http://0177.0.0.1:8080/", true),
            ("http://[::1]/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://[::7f00:1]/", true),
            ("http://[64:ff9b::7f00:1]/", true),
            ("http://[2002:7f00:1::]/", true),
            ("http://0.0.0.0/", true),
            ("http://0.1.2.3/", true),
            ("http://[::]/", true),
            ("http://169.254.169.254/latest", true),
            ("http://[fe80::1]/", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://100.100.100.200/", true),
            ("http://224.0.0.1/", true),
            ("http://255.255.255.255/", true),
            ("http://10.96.0.1:443/", true),
            ("https://[::ffff:10.96.0.1]/", true),
            ("http://10.96.0.2/", false),
            ("http://192.168.1.1/", false),
            ("http://tester.test/", false),
            ("http://[2001:db8::1]/", false),
        ];
        for (address, refused) in rows {
            let url = Url::parse(address).unwrap();
            assert_eq!(guard.refuses(&url).is_some(), refused, "{address}");
        }
    }

    #[test]
    fn who_is_trusted_is_not_looked_at() {
        let trusted = [
            "127.0.0.1:9090",
            "tester.test",
            "https://Prometheus:8443/x",
            "[::1]:80",
        ];
        let guard = Guard::new(&trusted, &[]);
        let rows = [
            ("http://127.0.0.1:9090/api", true),
            ("http://127.0.0.1:9091/api", false),
            ("http://127.0.0.1/", false),
            ("http://TESTER.test:1234/", true),
            ("https://prometheus:8443/y", true),
            ("https://prometheus/y", false),
            ("http://[::1]/", true),
            ("nonsense", false),
        ];
        for (address, trusts) in rows {
            assert_eq!(guard.trusts(address), trusts, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_that_stands_for_the_machine_is_no_way_around() {
        let name = || "localhost".parse::<Name>().unwrap();
        let error = Guard::default().resolve(name()).await.err().unwrap();
        let said = error.to_string();
        assert_eq!(
            said,
            "localhost is the machine itself, and not a trusted host"
        );
        let guard = Guard::new(&["localhost:80"], &[]);
        assert!(guard.resolve(name()).await.is_ok());
    }

    #[test]
    fn an_installation_knows_its_addresses() {
        let variable = |name: &str| match name {
            "KUBERNETES_SERVICE_HOST" => Some("10.96.0.1".to_owned()),
            "POD_IP" => Some("fd00::7".to_owned()),
            _ => None,
        };
        let found: Vec<String> = ours(variable).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.96.0.1", "fd00::7"]);
    }
}
