//! Refusals of requests because of their heads, and answers that replace the HTTP library's own.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use poem::http::{HeaderMap, Method, Request, Version, header, uri::Authority};

use super::{answer::Content, host::is_host};
use crate::{
    api::request::refusal::Refusal,
    domain::clock::{Clock as _, SystemClock},
};

/// How large the head of a request may be, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;

/// The bytes of the answer that replaces the library's own answer with that status.
#[must_use]
pub fn malformed(status: u16) -> Vec<u8> {
    let refusal = match status {
        414 => Refusal::UriTooLong,
        431 => Refusal::HeadTooLarge,
        _ => Refusal::Malformed,
    };
    // The request couldn't be parsed, so its method and path are unknown.
    let response = refusal.answer(&Method::GET, "/", &HeaderMap::new());
    let (head, body) = hyper::Response::<Content>::from(response).into_parts();
    // The body is complete in memory, so it is ready at once.
    let body = match pin!(body.collect()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let mut answer =
        format!("HTTP/1.1 {status} {}\r\n", head.status.canonical_reason().unwrap_or_default()).into_bytes();
    for (name, value) in &head.headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let now = UNIX_EPOCH + Duration::from_secs(SystemClock.now().seconds().unsigned_abs());
    answer.extend(
        format!("date: {}\r\ncontent-length: {}\r\n\r\n", httpdate::fmt_http_date(now), body.len()).into_bytes(),
    );
    answer.extend(body);
    answer
}

/// What is wrong with the size, the host or the transfer encoding of a request's head.
pub fn fault<B>(request: &Request<B>) -> Option<Refusal> {
    size(request).or_else(|| host(request)).or_else(|| transfer_encoding(request.headers()))
}

/// Whether the head is too large: its fields, or its target.
fn size<B>(request: &Request<B>) -> Option<Refusal> {
    // As HTTP/2 counts them (RFC 9113 §6.5.2).
    let fields: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    let fields = fields + request.uri().authority().map_or(0, |authority| authority.as_str().len());
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    match LARGEST_HEAD.checked_sub(fields) {
        None => Some(Refusal::HeadTooLarge),
        Some(left) => (target > left).then_some(Refusal::UriTooLong),
    }
}

/// What is wrong with the server's name in `Host` or `:authority` (RFC 9110 §7.2, RFC 9112 §3.2, RFC 9113 §8.3.1).
fn host<B>(request: &Request<B>) -> Option<Refusal> {
    const WANTED: &str = "must be a host, and perhaps a port";
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let authority = request.uri().authority().map(Authority::as_str);
    let is_http2 = request.version() == Version::HTTP_2;
    match (host, authority) {
        _ if second.is_some() => Some(Refusal::Header("Host", "must be sent once")),
        (None, None) if is_http2 => Some(Refusal::Header(":authority", "must be sent")),
        (None, _) if request.version() == Version::HTTP_11 => Some(Refusal::Header("Host", "must be sent")),
        (_, Some(authority)) if !is_host(authority) => {
            Some(Refusal::Header(if is_http2 { ":authority" } else { "Host" }, WANTED))
        }
        (Some(host), _) if !host.to_str().is_ok_and(is_host) => Some(Refusal::Header("Host", WANTED)),
        // In HTTP/1.1 the target's host takes precedence over `Host`.
        (Some(host), Some(authority)) if is_http2 && !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            Some(Refusal::Header("Host", "must be the same as :authority"))
        }
        _ => None,
    }
}

fn transfer_encoding(headers: &HeaderMap) -> Option<Refusal> {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => None,
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        _ => Some(Refusal::Header("Transfer-Encoding", "must be chunked, once, and nothing else")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<Refusal> {
        let request = Request::builder().version(version).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        fault(&request.body(()).unwrap())
    }

    fn is_refused(version: Version, headers: &[(&str, &str)]) -> bool {
        refused(version, "/", headers).is_some()
    }

    #[test]
    fn hosts() {
        for (host, is_bad) in
            [("example.com:8080", false), ("[::1]", false), ("", true), ("[zz]", true), ("a@b", true), ("\u{e9}", true)]
        {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                assert_eq!(is_refused(version, &[("host", host)]), is_bad, "{host} {version:?}");
                assert!(is_refused(version, &[("host", host), ("host", host)]), "{host} twice {version:?}");
            }
        }
        assert!(
            !is_refused(Version::HTTP_10, &[]) && is_refused(Version::HTTP_11, &[]) && is_refused(Version::HTTP_2, &[])
        );
    }

    #[test]
    fn authorities() {
        for (uri, host, bad_in_http1, bad_in_http2) in [
            ("http://x/", None, true, false),
            ("http://x/", Some("x"), false, false),
            ("http://x/", Some("X"), false, false),
            ("http://x/", Some("y"), false, true),
            ("http://x/", Some("[zz]"), true, true),
            ("http://a@x/", Some("x"), true, true),
            ("http://[zz]/", None, true, true),
            ("http://[zz]/", Some("x"), true, true),
            ("http://x:99999/", Some("x"), true, true),
        ] {
            let headers: Vec<_> = host.map(|host| ("host", host)).into_iter().collect();
            for (version, is_bad) in [(Version::HTTP_11, bad_in_http1), (Version::HTTP_2, bad_in_http2)] {
                assert_eq!(refused(version, uri, &headers).is_some(), is_bad, "{uri} {host:?} {version:?}");
            }
        }
    }

    #[test]
    fn sizes() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let ask = |target: usize, value: usize| {
                let (uri, value) = (format!("/{}", "x".repeat(target - 1)), "y".repeat(value));
                refused(version, &uri, &[("host", "x"), ("y", &value)])
            };
            // The names and values of both fields, and 32 for each.
            let least = 4 + 1 + 1 + 2 * 32;
            assert!(ask(1, LARGEST_HEAD - least - 1).is_none() && ask(LARGEST_HEAD - least - 2, 2).is_none());
            assert!(matches!(ask(LARGEST_HEAD - least - 1, 2), Some(Refusal::UriTooLong)));
            assert!(matches!(ask(1, LARGEST_HEAD - least + 1), Some(Refusal::HeadTooLarge)));
            let half = "x".repeat(LARGEST_HEAD / 2);
            assert!(matches!(
                refused(version, &format!("http://{half}/"), &[("host", &half)]),
                Some(Refusal::HeadTooLarge)
            ));
        }
    }

    #[test]
    fn transfer_encodings() {
        for good in [&["chunked"][..], &["Chunked"]] {
            let headers: Vec<_> =
                good.iter().map(|value| ("transfer-encoding", *value)).chain([("host", "x")]).collect();
            assert!(!is_refused(Version::HTTP_11, &headers), "{good:?}");
        }
        for bad in [
            &["gzip, chunked"][..],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["identity"],
            &["gzip", "chunked"],
            &["x"],
        ] {
            let headers: Vec<_> =
                bad.iter().map(|value| ("transfer-encoding", *value)).chain([("host", "x")]).collect();
            assert!(is_refused(Version::HTTP_11, &headers), "{bad:?}");
        }
    }
}
