//! What is refused by the look of its head (RFC 9112 §3.2, §6.1), and what is answered in the place of the HTTP library.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use poem::http::{HeaderMap, Method, Request, Version, header, uri::Authority};

use super::answer::Content;
use crate::{
    api::refusal::Refusal,
    domain::clock::{Clock as _, SystemClock},
};

/// An answer in the place of the library's own with that status, as it goes over the wire.
#[must_use]
pub fn malformed(status: u16) -> Vec<u8> {
    let refusal = match status {
        414 => Refusal::UriTooLong,
        431 => Refusal::HeadTooLarge,
        _ => Refusal::Malformed,
    };
    // What couldn't be read has no method; the path is nobody's.
    let response = refusal.answer(&Method::GET, "/", &HeaderMap::new());
    let (head, body) = hyper::Response::<Content>::from(response).into_parts();
    // It is whole.
    let body = match pin!(body.collect()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let mut answer = format!("HTTP/1.1 {status} {}\r\n", head.status.canonical_reason().unwrap_or_default()).into_bytes();
    for (name, value) in &head.headers {
        answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let now = UNIX_EPOCH + Duration::from_secs(SystemClock.now().seconds().unsigned_abs());
    answer.extend(format!("date: {}\r\ncontent-length: {}\r\n\r\n", httpdate::fmt_http_date(now), body.len()).into_bytes());
    answer.extend(body);
    answer
}

/// What is wrong with how a request says to be understood.
pub fn fault<B>(request: &Request<B>) -> Option<Refusal> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        // HTTP/1.0 has none; HTTP/2 has it among what comes before the headers.
        (None, _) if request.version() == Version::HTTP_11 => return Some(Refusal::Header("Host", "must be sent")),
        (None, _) => None,
        (Some(host), None) => Some(host),
        (Some(_), Some(_)) => return Some(Refusal::Header("Host", "must be sent once")),
    };
    let is_host = |value: &str| {
        let authority = value.parse::<Authority>().ok();
        authority.is_some_and(|authority| !authority.host().is_empty() && !value.contains('@') && has_port_or_none(&authority))
    };
    if host.is_some_and(|host| !host.to_str().is_ok_and(is_host)) {
        return Some(Refusal::Header("Host", "must be a host, and perhaps a port"));
    }
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => None,
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        _ => Some(Refusal::Header("Transfer-Encoding", "must be chunked, once, and nothing else")),
    }
}

fn has_port_or_none(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    port.is_empty() || port == ":" || authority.port_u16().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(version: Version, headers: &[(&str, &str)]) -> bool {
        let request = headers.iter().fold(Request::builder().version(version), |request, (name, value)| request.header(*name, *value));
        fault(&request.body(()).unwrap()).is_some()
    }

    #[test]
    fn hosts() {
        for good in ["example.com", "example.com:8080", "127.0.0.1:1", "[::1]", "[::1]:8080", "x", "a_b", "x:"] {
            assert!(!is_refused(Version::HTTP_11, &[("host", good)]), "{good}");
        }
        for bad in ["", " ", "a b", "a/b", "a@b", "a:b", "a:99999", ":80", "[::1", "::1", "a\\b", "http://a", "a?b", "a#b", "\u{e9}"] {
            assert!(is_refused(Version::HTTP_11, &[("host", bad)]), "{bad}");
            assert!(is_refused(Version::HTTP_10, &[("host", bad)]), "{bad}");
        }
        assert!(is_refused(Version::HTTP_11, &[]) && is_refused(Version::HTTP_11, &[("host", "x"), ("host", "x")]));
        assert!(!is_refused(Version::HTTP_10, &[]) && !is_refused(Version::HTTP_2, &[]));
    }

    #[test]
    fn transfer_encodings() {
        for good in [&["chunked"][..], &["Chunked"]] {
            let headers: Vec<_> = good.iter().map(|value| ("transfer-encoding", *value)).chain([("host", "x")]).collect();
            assert!(!is_refused(Version::HTTP_11, &headers), "{good:?}");
        }
        for bad in [&["gzip, chunked"][..], &["chunked, chunked"], &["chunked", "chunked"], &["identity"], &["gzip", "chunked"], &["x"]] {
            let headers: Vec<_> = bad.iter().map(|value| ("transfer-encoding", *value)).chain([("host", "x")]).collect();
            assert!(is_refused(Version::HTTP_11, &headers), "{bad:?}");
        }
    }
}
