//! The validation of a host with an optional port, as in `Host` and `:authority`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a text is `uri-host [ ":" port ]` with a host that isn't empty (RFC 9110 §7.2, RFC 3986 §3.2.2). The HTTP
/// library's own type accepts more: a user, any text between brackets, any number as a port.
pub fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<Ipv6Addr>().is_ok() => ("[]", rest),
            // The syntax for later versions of IP (`IPvFuture`) is refused: there are none.
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    is_port(port) && (host == "[]" || host.parse::<Ipv4Addr>().is_ok() || is_name(host))
}

/// Empty, or a colon, with or without a port number after it.
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or_default();
    text.is_empty()
        || text == ":"
        || (digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok())
}

fn is_name(text: &str) -> bool {
    let is_encoded =
        |part: &str| part.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let is_plain = |byte: u8| byte == b'%' || byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain) && text.split('%').skip(1).all(is_encoded)
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn hosts() {
        for good in [
            "example.com",
            "example.com:8080",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "[::ffff:192.0.2.1]:",
            "x",
            "a_b",
            "x:",
            "x:0080",
            "a%20b",
            "999.1.1.1",
            "xn--bcher-kva.example.",
            "a!$&'()*+,;=~b",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            " ",
            ":",
            ":80",
            "a b",
            " a",
            "a/b",
            "a@b",
            "u:p@b",
            "@",
            "a:b",
            "a:+1",
            "a:-1",
            "a:99999",
            "a:1:2",
            "a::1",
            "::1",
            "[",
            "]",
            "[]",
            "[zz]",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:x",
            "[::1]]",
            "[127.0.0.1]",
            "[v1.x]",
            "[fe80::1%25eth0]",
            "a[b]",
            "a\\b",
            "http://a",
            "a?b",
            "a#b",
            "a%",
            "a%2",
            "a%zz",
            "<a>",
            "\"a\"",
            "a^b",
            "a|b",
            "{a}",
            "a\tb",
            "\u{e9}",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
