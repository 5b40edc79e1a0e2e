//! Listens and serves HTTP/1.1 and HTTP/2, in the clear or over TLS, until it is told to stop.
//!
//! Not poem's own server: that one knows no deadline for a request's head, and goes on at full speed when no connection can be accepted.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::combinators::BoxBody;
use hyper::{
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use poem::{
    Addr, Endpoint, EndpointExt as _, Request, Response,
    http::{header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
};

use crate::{
    connection::{Activity, Answer, IDLE, patient},
    tls::Tls,
};

/// How long a client may take for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests an HTTP/2 connection has under way at most, and how many bytes of them, and of their answers, wait in memory.
const STREAMS: u32 = 32;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How long requests that are under way may take to finish when their connection is to end, or the server is told to stop.
const GRACE: Duration = Duration::from_secs(8);
/// How long to wait before trying again when the system gives no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How much of a refused body is read, so that the client gets to read its answer, and for how long.
const MOST_DRAINED: usize = 8 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

type Content = BoxBody<Bytes, io::Error>;

/// How connections are served.
pub struct Options {
    /// What to secure them with, if they are.
    pub tls: Option<Arc<Tls>>,
    /// How many are served at a time; more wait in the system's queue. Each costs a file descriptor.
    pub max_connections: usize,
}

/// Serves the endpoint on the listener until `stop` resolves, then lets requests under way finish.
///
/// # Errors
/// When the listener's address can't be read.
pub async fn serve<E>(listener: TcpListener, options: Options, endpoint: E, stop: impl Future<Output = ()>) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let local = listener.local_addr()?;
    let endpoint = Arc::new(endpoint.map_to_response());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(IDLE).max_concurrent_streams(STREAMS);
    http2.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    http2.max_send_buf_size(STREAM_WINDOW as usize);
    let (stopping, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(options.max_connections));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // Never closed, so there is always a place to be had in time.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let stream = patient(stream);
        let (builder, endpoint, stopped) = (builder.clone(), Arc::clone(&endpoint), stopped.clone());
        let acceptor = options.tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            let ended = match acceptor {
                None => attend(&builder, stream, endpoint, (local, remote, Scheme::HTTP), stopped).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => attend(&builder, stream, endpoint, (local, remote, Scheme::HTTPS), stopped).await,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("the TLS handshake took too long".into()),
                },
            };
            // A connection that breaks is the client's affair.
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    let _ = stopping.send(true);
    // Whoever has all places is alone.
    let all = u32::try_from(options.max_connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(GRACE, places.acquire_many(all)).await.is_err() {
        tracing::warn!("requests were still under way");
    }
    Ok(())
}

/// Serves a connection until its client ends it, it has idled for too long or got stuck, or the server stops. In the latter cases requests
/// under way may finish.
async fn attend<E: Endpoint<Output = Response> + 'static>(
    builder: &Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    endpoint: Arc<E>,
    (local, remote, scheme): (SocketAddr, SocketAddr, Scheme),
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let activity = Arc::new(Activity::default());
    let requests = Arc::clone(&activity);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let under_way = requests.begin();
        let addresses = (LocalAddr(Addr::SocketAddr(local)), RemoteAddr(Addr::SocketAddr(remote)), scheme.clone());
        let request = Request::from((request, addresses.0, addresses.1, addresses.2));
        let endpoint = Arc::clone(&endpoint);
        async move {
            let answer = hyper::Response::<Content>::from(answer(&*endpoint, request).await);
            Ok::<_, io::Error>(answer.map(|body| Answer { body, under_way }))
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        _ = stopped.wait_for(|stopped| *stopped) => {}
        () = activity.quiet() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::time::timeout(GRACE, connection).await.unwrap_or_else(|_| Err("requests were still under way".into()))
}

/// Answers, and then reads what the handler didn't want of the body: to close a connection on unread data would tear the answer away.
async fn answer<E: Endpoint<Output = Response>>(endpoint: &E, mut request: Request) -> Response {
    let body = Arc::new(Mutex::new(Content::from(request.take_body())));
    request.set_body(Content::new(Tap(Arc::clone(&body))));
    // A client that waits to be asked for its body gets its answer instead.
    let waits = request.headers().contains_key(header::EXPECT);
    let response = endpoint.get_response(request).await;
    if !waits {
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain(&body)).await;
    }
    response
}

async fn drain(body: &Mutex<Content>) {
    let mut drained = 0;
    while drained < MOST_DRAINED {
        let frame = poll_fn(|cx| Pin::new(&mut *body.lock().unwrap_or_else(PoisonError::into_inner)).poll_frame(cx)).await;
        let Some(Ok(frame)) = frame else { break };
        drained += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// A body that can still be read when its reader has let go of it.
struct Tap(Arc<Mutex<Content>>);

impl Body for Tap {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
