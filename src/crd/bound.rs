//! Where a Secret may be sent: its key `address` says so, and who names it in a spec does not.

use http::Uri;

/// What a Secret says under a key.
pub type Keys<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The key of a Secret that says where it may be sent.
pub const ADDRESS: &str = "address";

/// Whether a Secret may be sent to an address: it says that one, or one above it.
///
/// # Errors
///
/// In words, if it says none, or another.
pub fn may_go(url: &str, secret: Keys<'_>) -> Result<(), &'static str> {
    let address = secret(ADDRESS);
    let address =
        address.ok_or("its Secret has no key address, which says where to it may be sent")?;
    if is_below(url, address.trim()) {
        Ok(())
    } else {
        Err("its Secret is for another address")
    }
}

/// Whether an address is another one, or lies below it: `http://a/b` and `http://a/b/c` are below `http://a/b`, `http://a/bc` is not.
fn is_below(url: &str, address: &str) -> bool {
    let (Ok(url), Ok(address)) = (url.parse::<Uri>(), address.parse::<Uri>()) else {
        return false;
    };
    let place = |uri: &Uri| (uri.scheme().cloned(), uri.authority().cloned());
    let within = address.path().trim_end_matches('/');
    let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    place(&url) == place(&address) && url.path().strip_prefix(within).is_some_and(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_to_its_own_address_and_below() {
        let rows = [
            ("http://tools.test/gate", "http://tools.test/", true),
            ("http://tools.test/gate", "http://tools.test", true),
            ("http://tools.test/gate", "http://tools.test/gate", true),
            (
                "http://tools.test/gate/1?x=1",
                "http://tools.test/gate/",
                true,
            ),
            ("http://tools.test/gates", "http://tools.test/gate", false),
            ("http://other.test/gate", "http://tools.test/", false),
            ("http://tools.test:8080/", "http://tools.test/", false),
            ("http://tools.test/", "https://tools.test/", false),
            ("http://tools.test.evil/", "http://tools.test", false),
            ("http://tools.test/", "tools", false),
        ];
        for (url, address, below) in rows {
            assert_eq!(is_below(url, address), below, "{url} {address}");
        }
        assert!(
            may_go("http://a.test/", &|_| None)
                .unwrap_err()
                .contains("no key address")
        );
    }
}
