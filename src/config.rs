//! The types of settings, which are validated when they are parsed.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use ipnet::IpNet;
use sqlx::postgres::PgConnectOptions;

/// The location of the database.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// `sqlite:PATH`, a file on this machine.
    Sqlite(PathBuf),
    /// In memory: the data is lost when the process ends.
    Memory,
    /// `postgres://…`, shared by several servers.
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() || path.contains('\0') {
                Err("a sqlite: URL needs the path of a file, as in sqlite:tokenward.db".to_owned())
            } else {
                Ok(Self::Sqlite(path.into()))
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // The parser's own message could quote the password.
            return text
                .parse()
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|_| "the postgres URL is malformed".to_owned());
        }
        Err("the URL must begin with sqlite: or postgres://".to_owned())
    }
}

impl fmt::Display for DatabaseUrl {
    /// For people: without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Memory => f.write_str("in memory"),
            Self::Postgres(options) => {
                write!(
                    f,
                    "postgres://{}:{}/{}",
                    options.get_host(),
                    options.get_port(),
                    options.get_database().unwrap_or_default()
                )
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The URL at which clients reach the server: `http` or `https`, a host, and optionally a path prefix. Stored without a
/// final slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The URL, without a final slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: poem::http::Uri = text.parse().map_err(|_| "this is no URL".to_owned())?;
        let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        if !has_scheme || !has_host || uri.query().is_some() || text.contains(['@', '#']) {
            return Err("this must be an http or https URL with a host, without user, query or fragment".to_owned());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

/// A proxy, or a network of proxies, that is trusted to say where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy(IpNet);

impl TrustedProxy {
    /// Whether the address is the proxy's, or within the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network =
            text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address))).ok().and_then(canonical);
        network
            .map(Self)
            .ok_or_else(|| "this must be an address or a network, as in 192.0.2.1 or 10.0.0.0/8".to_owned())
    }
}

/// The network in the form in which peers' addresses are compared: IPv4 networks as IPv4, also if they are given as
/// IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2). `None` for a network that begins within the mapped addresses and
/// extends beyond them.
fn canonical(network: IpNet) -> Option<IpNet> {
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(mapped), address @ IpAddr::V4(_)) => IpNet::new(address, mapped.prefix_len().checked_sub(96)?).ok(),
        _ => Some(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls() {
        assert_eq!("sqlite:a/b.db".parse::<DatabaseUrl>().unwrap().to_string(), "sqlite:a/b.db");
        assert_eq!("sqlite:///srv/b.db".parse::<DatabaseUrl>().unwrap().to_string(), "sqlite:/srv/b.db");
        assert_eq!(
            "postgres://me:secret@db:5433/tokens".parse::<DatabaseUrl>().unwrap().to_string(),
            "postgres://db:5433/tokens"
        );
        for bad in ["", "sqlite:", "mysql://x", "tokenward.db", "postgres://me:secret@:port/x"] {
            let message = bad.parse::<DatabaseUrl>().unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn trusted_proxies() {
        let network = |text: &str| text.parse::<TrustedProxy>();
        assert!(network("10.0.0.0/8").unwrap().contains("10.9.8.7".parse().unwrap()));
        assert!(network("192.0.2.1").unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!(!network("192.0.2.1").unwrap().contains("192.0.2.2".parse().unwrap()));
        assert!(network("2001:db8::/32").unwrap().contains("2001:db8::1".parse().unwrap()));
        // Peers are seen as IPv4 where that is what they are, however a socket spells them.
        assert_eq!(network("::ffff:10.0.0.0/104").unwrap(), network("10.0.0.0/8").unwrap());
        assert_eq!(network("::ffff:192.0.2.1/128").unwrap(), network("192.0.2.1").unwrap());
        assert_eq!(network("::ffff:192.0.2.1").unwrap(), network("192.0.2.1").unwrap());
        assert!(network("::ffff:0:0/96").unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!(!network("::/0").unwrap().contains("192.0.2.1".parse().unwrap()), "IPv6 alone");
        for bad in ["", "10.0.0.0/33", "10.0.0", "proxy", "10.0.0.0/8,", "::ffff:10.0.0.0/95", "::ffff:10.0.0.0/8"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_urls() {
        assert_eq!("https://example.com/tokens/".parse::<PublicUrl>().unwrap().as_str(), "https://example.com/tokens");
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://me@example.com",
            "https://example.com/?x",
            "/tokens",
        ] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }
}
