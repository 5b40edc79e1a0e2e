//! Swagger UI in a real browser: what somebody does who opens it for the first time.
//!
//! `TOKENWARD` is the binary to be tried; `SCREENSHOT`, if given, the file that the README's picture is written to.

use std::{env, fs, process::Stdio, time::Duration};

use fantoccini::{
    Client, ClientBuilder, Locator,
    key::Key,
    wd::{Capabilities, WebDriverCompatibleCommand},
};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::sleep,
};
use url::{ParseError, Url};

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: &str = "9b2d1f5e-3c64-4c1b-a8f0-5d7e9c0b4a21";
const NOBODY: &str = "11111111-1111-4111-8111-111111111111";

/// Starts a program that ends with the test, and reads its output until that word.
async fn start(command: &mut Command, until: &str) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains(until) {
        said += &lines.next_line().await.unwrap().expect("it says that it is ready");
        said += "\n";
    }
    // Else it would block, one day, on a pipe that nobody reads.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, said)
}

/// A demonstration: its address and secret.
async fn demo(arguments: &[&str]) -> (Child, String, String) {
    let binary = env::var("TOKENWARD").expect("TOKENWARD names the binary");
    let command = &mut Command::new(binary);
    let (child, said) =
        start(command.args(["serve", "--demo", "--listen", "127.0.0.1:0"]).args(arguments), "curl ").await;
    let secret = said.lines().find(|line| line.starts_with("tokward")).unwrap().to_owned();
    let base = said.lines().next().unwrap().trim_start_matches("tokenward listens on ").to_owned();
    (child, base, secret)
}

/// A browser on a page. `script`: whether it runs any.
struct Browser {
    page: Client,
    _driver: Child,
}

/// What the browser has logged of that kind: its console, or its network traffic.
#[derive(Debug)]
struct Log(&'static str);

impl WebDriverCompatibleCommand for Log {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": self.0 }).to_string()))
    }
}

impl Browser {
    async fn open(address: &str, script: bool) -> Self {
        let (driver, said) = start(Command::new("chromedriver").arg("--port=0"), "successfully on port").await;
        let port = said.rsplit("on port ").next().unwrap().trim().trim_end_matches('.').to_owned();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1200,1000",
        ];
        let no_script = json!({ "profile.managed_default_content_settings.javascript": 2 });
        let preferences = if script { json!({}) } else { no_script };
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let capabilities: Capabilities = wanted.as_object().unwrap().clone();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let page = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        page.goto(address).await.unwrap();
        Self { page, _driver: driver }
    }

    async fn click(&self, css: &str) {
        let element = self
            .page
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Types into a field, in place of what it holds.
    async fn fill(&self, css: &str, text: &str) {
        let field = self
            .page
            .wait()
            .at_most(PATIENCE)
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"));
        let all = format!("{}a{}{text}", char::from(Key::Control), char::from(Key::Null));
        field.send_keys(&all).await.unwrap();
    }

    /// The text of an element, once it contains that.
    async fn read(&self, css: &str, wanted: &str) -> String {
        let mut text = String::new();
        for _ in 0..PATIENCE.as_millis() / 100 {
            if let Ok(element) = self.page.find(Locator::Css(css)).await {
                text = element.text().await.unwrap_or_default();
                if text.contains(wanted) {
                    return text;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{css} doesn't come to say {wanted}: {text}");
    }

    /// The dialog: the button, the secret, the button in it, and out again.
    async fn sign_in(&self, secret: &str) {
        self.click(".scheme-container .authorize").await;
        self.fill(".modal-ux input", secret).await;
        self.click(".modal-ux .modal-btn.authorize").await;
        self.click(".modal-ux .btn-done").await;
    }

    /// Executes an open operation; the answer as it is shown.
    async fn execute(&self, operation: &str, status: &str) -> String {
        self.click(&format!("{operation} .btn.execute")).await;
        self.read(&format!("{operation} .live-responses-table tbody .response-col_status"), status).await;
        self.read(&format!("{operation} .live-responses-table"), "correlation").await
    }

    /// The page has complained of nothing, and has spoken to nobody but the server, below that address.
    async fn is_clean(&self, base: &str) {
        let console = self.page.issue_cmd(Log("browser")).await.unwrap();
        // Answers that are problems are noted there, too; and Swagger UI warns of every `_` in an address, those in
        // operation ids, too.
        let expected = ["the server responded with a status of 404", "escaping deep link whitespace with `_`"];
        let complaint = |entry: &&Value| !expected.iter().any(|text| entry["message"].as_str().unwrap().contains(text));
        let complaints: Vec<&Value> = console.as_array().unwrap().iter().filter(complaint).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let traffic = self.page.issue_cmd(Log("performance")).await.unwrap();
        let mut requests = 0;
        for entry in traffic.as_array().unwrap() {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let url = message["params"]["request"]["url"].as_str().unwrap();
                assert!(url.starts_with(&format!("{base}/")) || url.starts_with("data:"), "{url}");
                requests += 1;
            }
        }
        assert!(requests > 5, "{requests}");
    }
}

const RETRIEVE: &str = "#operations-Tokens-retrieve_token";
const CREATE: &str = "#operations-Tokens-create_token";

#[tokio::test]
async fn somebody_browses_signs_in_and_tries_things_out() {
    let (_server, base, secret) = demo(&[]).await;
    let browser = Browser::open(&format!("{base}/swagger-ui/"), true).await;
    // Tokens come first.
    assert!(browser.read(".opblock-tag-section", "Tokens").await.starts_with("Tokens"));
    browser.sign_in(&secret).await;

    browser.click(&format!("{RETRIEVE} .opblock-summary-control")).await;
    let shown = browser.execute(RETRIEVE, "200").await;
    assert!(shown.contains(TOKEN) && shown.contains("CI/CD (main) #4"), "{shown}");

    browser.fill(&format!("{RETRIEVE} [data-param-name=token_id] input"), NOBODY).await;
    let shown = browser.execute(RETRIEVE, "404").await;
    assert!(shown.contains("problems/2") && shown.contains("Collection not found"), "{shown}");

    browser.click(&format!("{CREATE} .opblock-summary-control")).await;
    let shown = browser.execute(CREATE, "201").await;
    let made = shown
        .split("\"id\": \"")
        .nth(1)
        .and_then(|rest| rest.get(..36))
        .unwrap_or_else(|| panic!("{shown}"))
        .to_owned();
    assert!(shown.contains("\"token\": \"tokward"), "{shown}");
    browser.fill(&format!("{RETRIEVE} [data-param-name=token_id] input"), &made).await;
    let shown = browser.execute(RETRIEVE, "200").await;
    assert!(shown.contains(&made) && shown.contains("CI/CD (nightly)"), "{shown}");
    browser.is_clean(&base).await;
    browser.page.close().await.unwrap();
}

/// The demonstration's link, the operation that it leads to, and "Execute".
#[tokio::test]
async fn the_demonstration_is_three_clicks_from_an_answer() {
    let (_server, base, secret) = demo(&[]).await;
    let browser = Browser::open(&format!("{base}/swagger-ui/#token={secret}"), true).await;
    let shown = browser.execute(RETRIEVE, "200").await;
    assert!(shown.contains(TOKEN), "{shown}");
    let address = browser.page.current_url().await.unwrap();
    assert!(!address.as_str().contains(&secret), "the secret stays in the address");
    if let Ok(file) = env::var("SCREENSHOT") {
        // A picture needs no secret, not even one that dies with the demonstration.
        let prepare = "for (const part of document.querySelectorAll('.curl span')) \
             part.textContent = part.textContent.replace(/tokward\\w+/, 'tokward…'); \
             document.querySelector('.live-responses-table').scrollIntoView({ block: 'end' })";
        browser.page.execute(prepare, vec![]).await.unwrap();
        fs::write(file, browser.page.screenshot().await.unwrap()).unwrap();
    }
    browser.is_clean(&base).await;
    browser.page.close().await.unwrap();
}

/// A proxy that strips a prefix, as the simplest ones do; it closes after each answer.
async fn proxy(listener: TcpListener, prefix: &'static str, server: String) {
    while let Ok((mut client, _)) = listener.accept().await {
        let server = server.clone();
        tokio::spawn(async move {
            let mut head = vec![];
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await?);
            }
            let head = String::from_utf8_lossy(&head).replacen(&format!(" {prefix}/"), " /", 1);
            let head = head.replacen("\r\nConnection: keep-alive", "\r\nConnection: close", 1);
            let mut server = TcpStream::connect(server).await?;
            server.write_all(head.as_bytes()).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
        });
    }
}

#[tokio::test]
async fn it_works_below_a_path_prefix_behind_a_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}/tokens", listener.local_addr().unwrap());
    let binary = env::var("TOKENWARD").unwrap();
    // The server says under which URL it is reached, so the port that it listens on has to be chosen for it.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let command = &mut Command::new(binary);
    let (_server, said) =
        start(command.args(["serve", "--demo", "--listen", &address, "--public-url", &public]), "curl ").await;
    let secret = said.lines().find(|line| line.starts_with("tokward")).unwrap();
    tokio::spawn(proxy(listener, "/tokens", address));

    let browser = Browser::open(&format!("{public}/"), true).await;
    browser.sign_in(secret).await;
    browser.click(&format!("{RETRIEVE} .opblock-summary-control")).await;
    let shown = browser.execute(RETRIEVE, "200").await;
    assert!(shown.contains(TOKEN), "{shown}");
    browser.is_clean(&public).await;
    browser.page.close().await.unwrap();
}

#[tokio::test]
async fn without_scripts_there_is_a_link_to_the_document() {
    let (_server, base, _) = demo(&[]).await;
    let browser = Browser::open(&format!("{base}/swagger-ui/"), false).await;
    browser.read("noscript", "needs JavaScript").await;
    browser.click("noscript a").await;
    assert_eq!(browser.page.current_url().await.unwrap().as_str(), format!("{base}/openapi.json"));
    browser.page.close().await.unwrap();
}
