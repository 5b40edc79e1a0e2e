//! The command that serves: its options, the process's signals, and the messages of a first start.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use poem::http::{HeaderName, header};
use tokio::{
    net::TcpListener,
    runtime::{Handle, Runtime},
};
use zeroize::Zeroizing;

use super::{Database, Failure, First, connections::Connections, fail};
use crate::{
    api::{self, Settings, process::metrics::Metrics},
    background::{Background, Retention},
    config::{DatabaseUrl, PublicUrl, TrustedProxy},
    log::{self, Outlet},
    server,
    service::{bootstrap::Bootstrapped, quota::Quotas},
    tls::{Files, Tls},
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    database: Database,
    /// Show what it is like: in memory, with what the document's examples speak of. Nothing is kept.
    // On the command line only: variables in the environment that are meant for a real server must neither conflict
    // with it nor start it.
    #[arg(long, conflicts_with_all = ["url", "First"])]
    demo: bool,
    /// The address and port to listen on.
    #[arg(long, env = "TOKENWARD_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The address and port to serve `/metrics` on, for Prometheus. Without it nothing is counted.
    #[arg(long, env = "TOKENWARD_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// Under which URL clients reach the server; needed behind a proxy. Without it, what each request says of it
    /// counts.
    #[arg(long, env = "TOKENWARD_PUBLIC_URL", value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// A certificate chain in PEM: serve HTTPS. It is read again on SIGHUP and when the file changes.
    #[arg(long, env = "TOKENWARD_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM.
    #[arg(long, env = "TOKENWARD_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    #[command(flatten)]
    connections: Connections,
    /// How many days events are kept.
    #[arg(long, env = "TOKENWARD_EVENT_RETENTION", default_value_t = 400, value_parser = clap::value_parser!(u32)
        .range(1..=36_500), value_name = "DAYS")]
    event_retention: u32,
    /// Forget events as the clock and the retention say even if one of them has jumped. Otherwise a run of that goes at
    /// most a day further than the last one: a clock that is years ahead must not end the audit log.
    #[arg(long, env = "TOKENWARD_PRUNE_ALL")]
    prune_all: bool,
    /// The most items that a page of a collection holds.
    #[arg(long, env = "TOKENWARD_PAGE_CAP", default_value_t = 1_000, value_parser = clap::value_parser!(u64)
        .range(1..=100_000), value_name = "NUMBER")]
    page_cap: u64,
    /// How many tokens a user may have. 0 for no bound. Commands of operators are not bound.
    #[arg(long, env = "TOKENWARD_MAX_TOKENS_PER_USER", default_value_t = 10_000, value_name = "NUMBER")]
    max_tokens_per_user: u32,
    /// How many users may be created in an account. 0 for no bound.
    #[arg(long, env = "TOKENWARD_MAX_USERS_PER_ACCOUNT", default_value_t = 100_000, value_name = "NUMBER")]
    max_users_per_account: u32,
    /// How many refused tokens, and reports of leaks, each client address has a minute until it is told to wait. 0 for
    /// no bound. Good tokens are accepted all the same.
    #[arg(long, env = "TOKENWARD_FAILURE_BUDGET", default_value_t = 20, value_name = "NUMBER")]
    failure_budget: u32,
    /// A proxy, or a network of them, whose `X-Forwarded-For` is believed. May be given several times, or separated by
    /// commas.
    #[arg(long = "trusted-proxy", env = "TOKENWARD_TRUSTED_PROXY", value_delimiter = ',', value_name = "NETWORK")]
    trusted_proxies: Vec<TrustedProxy>,
    /// A header in which proxies may be sent a secret instead of `Authorization`, such as `X-API-Key`; for `/verify`.
    #[arg(long, env = "TOKENWARD_CREDENTIAL_HEADER", value_parser = credential_header, value_name = "HEADER")]
    credential_header: Option<HeaderName>,
    #[command(flatten)]
    log: log::Options,
    #[command(flatten)]
    pub(super) bootstrap: First,
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let no_thread = |error| fail(format!("the system gives no thread to write with: {error}"));
        let log = self.log.start().map_err(no_thread)?;
        let out = Outlet::to(io::stdout()).map_err(no_thread)?;
        let served = self.serve(&log, &out).await;
        // The results are ignored: output that can't be written now is dropped.
        let _ = (out.flush(), log.flush());
        served
    }

    async fn serve(self, log: &Outlet, out: &Outlet) -> Result<(), Failure> {
        let print = |text: &str| out.put(Zeroizing::new([text, "\n"].concat()).as_bytes());
        let database = if self.demo { DatabaseUrl::Memory } else { self.database.read()? };
        let allow_readable = self.database.allow_readable_files;
        let tls = match self.tls_cert.clone().zip(self.tls_key.clone()) {
            Some((certificate, key)) => {
                Some(Arc::new(Tls::load(Files { certificate, key, allow_readable }).await.map_err(fail)?))
            }
            None => None,
        };
        let connections = self
            .connections
            .clone()
            .fit_descriptors(self.metrics_listen.is_some(), self.database.connections)
            .map_err(fail)?;
        let service = self.database.open(&database).await?;
        service.set_quotas(Quotas {
            tokens_per_user: self.max_tokens_per_user,
            users_per_account: self.max_users_per_account,
        });
        // Read only when needed: the file of a secret that was given at the first start needn't be kept.
        let secret_from = self.bootstrap.secret_from();
        let bootstrap = if self.demo || service.is_bootstrapped().await? { None } else { Some(self.bootstrap) };
        let bootstrap = bootstrap.map(|first| first.read(&self.database)).transpose()?;
        let (listener, local) = listen(self.listen).await?;
        let metrics = match self.metrics_listen {
            Some(address) => Some((listen(address).await?, Metrics::of(service.clone(), log.dropped()))),
            None => None,
        };
        let stop = stop_signal()?;
        let changes = Changes::start()
            .map_err(|error| fail(format!("the system gives no threads to make changes on: {error}")))?;
        let bootstrapped = match bootstrap {
            Some(bootstrap) => service.bootstrap(bootstrap).await?,
            None if self.demo => Some(service.seed_demo().await?),
            None => None,
        };

        let scheme = if tls.is_some() { "https" } else { "http" };
        let base =
            self.public_url.as_ref().map_or_else(|| format!("{scheme}://{local}"), |url| url.as_str().to_owned());
        let has_public_url = self.public_url.is_some();
        let limits = connections.limits(self.trusted_proxies.clone());
        let settings = Settings {
            page_cap: self.page_cap,
            public_url: self.public_url,
            failure_budget: self.failure_budget,
            trusted_proxies: self.trusted_proxies,
            credential_header: self.credential_header,
            demo: self.demo,
            metrics: metrics.as_ref().map(|(_, metrics)| metrics.clone()),
            changes: changes.handle(),
        };
        let endpoint = api::endpoint(service.clone(), settings).map_err(|error| fail(error.to_string()))?;
        let for_clients = if has_public_url { format!(", for clients {base}") } else { String::new() };
        print(&format!("tokenward listens on {scheme}://{local}{for_clients}"));
        if let Some(((listener, local), metrics)) = metrics {
            print(&format!("Metrics: http://{local}/metrics"));
            // It ends with the process; no one waits for its requests to finish.
            tokio::spawn(server::serve(
                listener,
                server::Options { tls: None, limits: connections.limits_for_metrics() },
                metrics.endpoint(),
                std::future::pending(),
            ));
        }
        print(&format!("Swagger UI: {base}/swagger-ui/"));
        if let Some(bootstrapped) = bootstrapped {
            print(&if self.demo {
                bootstrapped.invitation(&base)
            } else {
                bootstrapped.greeting(&base, secret_from.as_deref())
            });
        }
        if !out.flush() || out.dropped().get() > 0 {
            tracing::warn!(
                "what a start says couldn't be printed: nobody reads standard output, or it can't be written to"
            );
        }
        tracing::info!(%database, listen = %local, "ready");
        let kept = Duration::from_hours(24 * u64::from(self.event_retention));
        // The events of a demonstration are as old as the examples of the OpenAPI document, so they are kept.
        let retention = (!self.demo).then_some(Retention { kept, prune_all: self.prune_all });
        let background = Background::start(&service, retention, tls.clone());
        let options = server::Options { tls, limits };
        server::serve(listener, options, endpoint, stop)
            .await
            .map_err(|error| fail(format!("can't serve: {error}")))?;
        background.drain().await;
        // A request that has exceeded its time still holds its connection, so this has a timeout. Acknowledged changes
        // are safe without it.
        let _ = tokio::time::timeout(Duration::from_secs(1), service.close()).await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The threads that process changes. They also serve connections to the database, so they stay until these are closed.
struct Changes(Option<Runtime>);

impl Changes {
    fn start() -> io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .thread_name("changes")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        // Dropping this must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Bootstrapped {
    /// The message of a first start. A secret that the operator has provided isn't repeated; the line refers to the
    /// file or variable that holds it.
    fn greeting(&self, base: &str, given: Option<&str>) -> Zeroizing<String> {
        let told = if given.is_some() {
            "The first token's secret is the one that you have given. To retrieve the token:"
        } else {
            "The first token's secret is in the line below, and is never shown again. To retrieve the token:"
        };
        joined(&["\n", told, "\n\n", &self.curl(base, given.unwrap_or_else(|| self.secret.expose())), "\n"])
    }

    /// The message of a demonstration.
    fn invitation(&self, base: &str) -> Zeroizing<String> {
        let secret = self.secret.expose();
        Zeroizing::new(format!(
            "\nTHIS IS A DEMONSTRATION. It lives in memory: when it ends, everything in it is gone.\n\n\
             Its token, an owner's:\n\n{secret}\n\nSwagger UI, signed in with \
             it:\n\n{base}/swagger-ui/#token={secret}\n\n{}\n",
            *self.curl(base, secret)
        ))
    }

    fn curl(&self, base: &str, secret: &str) -> Zeroizing<String> {
        let path = format!("accounts/{}/core/v1/users/{}/tokens/{}", self.account_id, self.user_id, self.token_id);
        joined(&["curl -H \"Authorization: Bearer ", secret, "\" ", base, "/", &path])
    }
}

/// Concatenates texts, one of which is a secret. The result is allocated at its full length, so that no copies are left
/// behind as it grows, and is overwritten when it is dropped.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

fn credential_header(text: &str) -> Result<HeaderName, String> {
    match text.parse() {
        Ok(header::AUTHORIZATION) => Err("this one is read anyway; name another".to_owned()),
        Ok(name) => Ok(name),
        Err(_) => Err("this is no name of a header".to_owned()),
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot = |error| fail(format!("can't listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    let local = listener.local_addr().map_err(cannot)?;
    Ok((listener, local))
}

/// Resolves when the process is asked to end.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| fail(format!("can't listen for signals: {error}")));
        // From here on SIGHUP doesn't end the process, whether there is a certificate to read again or not.
        let _ = listen(SignalKind::hangup())?;
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
