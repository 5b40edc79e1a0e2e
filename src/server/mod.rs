//! Listens and serves HTTP/1.1 and HTTP/2, without or with TLS, until it is told to stop.
//!
//! poem's own server isn't used: it has no deadline for a request's head, and retries without a pause when no
//! connection can be accepted.
//!
//! - [`places`]: which connections are served, and which are closed to make room for others
//! - [`activity`]: the state of a connection, and its deadlines
//! - [`wire`] and `frames`: the stream of a connection, monitored
//! - [`answer`]: the bodies of requests and answers
//! - [`refusal`] and `host`: requests that are refused before they reach the API

pub mod activity;
pub mod answer;
mod frames;
mod host;
pub mod places;
pub mod refusal;
pub mod wire;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use poem::{
    Addr, Endpoint, EndpointExt as _, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
};

use crate::{
    api::request::{admission::Told, refusal::Refusal},
    tls::Tls,
};
use answer::{Answer, Content};
use places::{Limits, Place, Places};
use wire::Wire;

/// How long a client may take for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests an HTTP/2 connection has in progress at most, and how many bytes of them, and of their answers,
/// wait in memory.
const STREAMS: u32 = 32;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How many bytes of heads and answers an HTTP/1.1 connection buffers at most; how large the head of an HTTP/2 request
/// may be. Smaller heads that are still too large are refused by our own code, with a reason, which the library doesn't
/// give.
const BUFFER: usize = 128 * 1024;
const HEADERS: u32 = 128 * 1024;
/// How often HTTP/2 clients are pinged.
const PING: Duration = Duration::from_secs(30);
/// How long requests in progress may take to finish when their connection is to end, or the server is told to stop.
const GRACE: Duration = Duration::from_secs(8);
/// How long closing a connection without requests may take.
const FAREWELL: Duration = Duration::from_millis(100);
/// How long a connection of the reserve may take in total, and for its head.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(5);
const RESERVE_HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before trying again when the system can't accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How connections are served.
pub struct Options {
    /// The certificate and key; `None` for connections without TLS.
    pub tls: Option<Arc<Tls>>,
    /// The limits of their number, of their time and of memory.
    pub limits: Limits,
}

/// What all connections share.
struct Server<E> {
    builder: Builder<TokioExecutor>,
    endpoint: Arc<E>,
    local: SocketAddr,
    tls: Option<Arc<Tls>>,
    stopped: watch::Receiver<bool>,
}

/// Serves the endpoint on the listener until `stop` resolves, then lets requests in progress finish, for a limited
/// time.
///
/// # Errors
/// When the listener's address can't be read.
pub async fn serve<E>(
    listener: TcpListener,
    options: Options,
    endpoint: E,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let (stopping, stopped) = watch::channel(false);
    let endpoint = Arc::new(endpoint.map_to_response());
    let server =
        Arc::new(Server { builder: builder(), endpoint, local: listener.local_addr()?, tls: options.tls, stopped });
    let sockets = Arc::new(Semaphore::new(options.limits.sockets.min(Semaphore::MAX_PERMITS)));
    let places = Arc::new(Places::new(options.limits));
    // Each connection holds a clone of `open` until it ends.
    let (open, mut all_ended) = mpsc::channel::<()>(1);
    let mut stop = std::pin::pin!(stop);
    loop {
        let (accepted, socket) = tokio::select! {
            () = &mut stop => break,
            accepted = async {
                let socket = Arc::clone(&sockets).acquire_owned().await;
                (listener.accept().await, socket)
            } => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                // Most likely there are no more descriptors, and requests in progress need some.
                places.shrink();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let place = places.admit(remote.ip());
        let (server, open) = (Arc::clone(&server), open.clone());
        tokio::spawn(async move {
            // A broken connection isn't the server's fault, so it is logged for debugging only.
            if let Err(error) = server.welcome(stream, remote, place).await {
                tracing::debug!(%error, "connection ended");
            }
            drop((open, socket));
        });
    }
    drop((listener, open));
    let _ = stopping.send(true);
    if tokio::time::timeout(GRACE, all_ended.recv()).await.is_err() {
        tracing::warn!("requests were still under way");
    }
    Ok(())
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Deadlines are enforced by the connection's activity: the library's own don't distinguish an idle connection from
    // a slow head.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).half_close(true).max_buf_size(BUFFER);
    let mut http2 = builder.http2();
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS);
    http2.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    http2.max_send_buf_size(STREAM_WINDOW as usize);
    builder
}

impl<E: Endpoint<Output = Response> + 'static> Server<E> {
    /// Serves a connection to its end.
    async fn welcome(&self, stream: TcpStream, remote: SocketAddr, place: Place) -> Result<(), Failed> {
        let is_served = place.is_served;
        let activity = Arc::clone(&place.activity);
        let served = async {
            let stream = wire::socket(stream, &activity);
            let Some(tls) = &self.tls else { return self.attend(stream, (remote, Scheme::HTTP), &place).await };
            let accepted = tokio::select! {
                accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)) => accepted,
                () = activity.evicted() => return Err("made room for another".into()),
            };
            let stream = accepted.map_err(|_| "the TLS handshake took too long")??;
            self.attend(stream, (remote, Scheme::HTTPS), &place).await
        };
        if is_served {
            return served.await;
        }
        tokio::time::timeout(RESERVE_TIMEOUT, served)
            .await
            .unwrap_or_else(|_| Err("it has a place in the reserve no longer".into()))
    }

    /// Serves a connection until its client closes it, it exceeds a deadline, it has to make room for another, or the
    /// server stops. In all cases but the first, requests in progress may finish.
    async fn attend(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        (remote, scheme): (SocketAddr, Scheme),
        place: &Place,
    ) -> Result<(), Failed> {
        let (activity, places, is_served) = (&place.activity, place.places(), place.is_served);
        let head_timeout = places.limits().head_timeout;
        let head_timeout = if is_served { head_timeout } else { head_timeout.min(RESERVE_HEAD_TIMEOUT) };
        let told = Told::default();
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let under_way = Arc::new(activity.begin());
            let (endpoint, places) = (Arc::clone(&self.endpoint), Arc::clone(places));
            let told = told.clone();
            let addresses =
                (LocalAddr(Addr::SocketAddr(self.local)), RemoteAddr(Addr::SocketAddr(remote)), scheme.clone());
            async move {
                let fault = refusal::fault(&request)
                    .or_else(|| (!is_served && !is_about_health(&request)).then_some(Refusal::Crowded));
                let response = if let Some(fault) = fault {
                    under_way.activity().leave_unread();
                    fault.answer(request.method(), request.uri().path(), request.headers())
                } else {
                    if under_way.activity().is_full() {
                        under_way.waits(true);
                        under_way.activity().room().await;
                        under_way.waits(false);
                    }
                    let mut request = Request::from((request, addresses.0, addresses.1, addresses.2));
                    request.set_data(told);
                    answer::answer(&*endpoint, request, places.limits().body_timeout, &under_way).await
                };
                Ok::<_, io::Error>(
                    hyper::Response::<Content>::from(response).map(|body| Answer::new(body, &places, under_way)),
                )
            }
        });
        let mut connection =
            std::pin::pin!(self.builder.serve_connection(TokioIo::new(Wire::new(stream, activity)), service));
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = activity.evicted() => {}
            () = activity.quiet(head_timeout) => {}
        }
        if activity.is_closed() && !*self.stopped.borrow() {
            return Err("its client has gone".into());
        }
        connection.as_mut().graceful_shutdown();
        let farewell = if activity.may_finish(*self.stopped.borrow()) { GRACE } else { FAREWELL };
        tokio::time::timeout(farewell, connection).await.unwrap_or_else(|_| Err("requests were still under way".into()))
    }
}

/// Whether a request is for a health endpoint, which is answered even if all places are taken.
fn is_about_health(request: &hyper::Request<Incoming>) -> bool {
    matches!(request.uri().path(), "/healthz" | "/readyz")
}
