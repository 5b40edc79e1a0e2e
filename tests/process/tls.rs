//! HTTPS, and certificates that change while the server runs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};

use crate::program::{Database, First, Server, failure, init, keep_to_owner};

/// Writes a new certificate and its key, and returns the certificate.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    keep_to_owner(&folder.join("key.pem"));
    made.cert.der().clone()
}

/// Asks for the first token over HTTPS, trusting that certificate only. Returns the answer, and the protocol that was
/// agreed on.
fn ask(
    address: &str,
    trusted: &CertificateDer<'static>,
    first: &First,
    alpn: &[&[u8]],
) -> std::io::Result<(String, Option<Vec<u8>>)> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::connect(address)?);
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        first.mine(),
        first.secret
    );
    stream.write_all(head.as_bytes())?;
    let agreed = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
    let mut answer = String::new();
    if agreed.as_deref() != Some(b"h2") {
        stream.read_to_string(&mut answer)?;
    }
    Ok((answer, agreed))
}

fn until(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn https_with_a_certificate_that_changes() {
    let (database, folder) = (Database::sqlite(), TempDir::new().unwrap());
    let first = init(&database.url());
    let one = certify(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let server =
        Server::start(&database.url(), &["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    assert!(server.greeting.contains("https://127.0.0.1:"), "{}", server.greeting);
    let (answer, agreed) = ask(&server.address, &one, &first, &[b"http/1.1"]).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && agreed.as_deref() == Some(b"http/1.1"), "{answer}");
    assert_eq!(ask(&server.address, &one, &first, &[b"h2", b"http/1.1"]).unwrap().1.as_deref(), Some(&b"h2"[..]));
    // Who speaks HTTP in the clear gets no answer, and holds nobody up.
    let mut clear = TcpStream::connect(&server.address).unwrap();
    clear.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();

    let two = certify(folder.path());
    assert!(ask(&server.address, &two, &first, &[]).is_err());
    server.signal("HUP");
    until(|| ask(&server.address, &two, &first, &[]).is_ok());
    assert!(ask(&server.address, &one, &first, &[]).is_err());
    // Changed files are found without a signal.
    let three = certify(folder.path());
    until(|| ask(&server.address, &three, &first, &[]).is_ok());
    // What can't be used changes nothing.
    fs::write(&key, "nonsense").unwrap();
    server.signal("HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(ask(&server.address, &three, &first, &[]).is_ok());
    let (_, log) = server.stop();
    assert!(log.contains("stays as it was") && !log.contains("PRIVATE"), "{log}");
}

/// Who reloads a whole fleet also signals servers that have nothing to reload.
#[test]
fn a_hangup_ends_no_server_without_a_certificate() {
    let database = Database::sqlite();
    let first = init(&database.url());
    let server = Server::start(&database.url(), &[]);
    server.signal("HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(crate::program::call(&server.address, "GET", &first.mine(), &first.secret, "").0, 200);
    server.stop();
}

#[test]
fn certificates_that_cannot_be_used_are_told_in_a_sentence() {
    let (database, folder) = (Database::sqlite(), TempDir::new().unwrap());
    let url = database.url();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let start =
        || failure(&["serve", "--database", &url, "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key]);
    assert!(start().contains("can't be read"));
    fs::create_dir(cert).unwrap();
    assert!(start().contains("is no regular file"));
    fs::remove_dir(cert).unwrap();
    certify(folder.path());
    let other = fs::read(key).unwrap();
    certify(folder.path());
    fs::write(key, other).unwrap();
    assert!(start().contains("can't be used"));
    fs::write(key, "x").unwrap();
    assert!(start().contains("holds no private key"));
    let good = fs::read_to_string(cert).unwrap();
    fs::write(cert, format!("{good}-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")).unwrap();
    assert!(start().contains("is damaged"));
    fs::write(cert, "x").unwrap();
    assert!(start().contains("holds no certificate"));
}
