//! Listens and serves HTTP/1.1 and HTTP/2, in the clear or over TLS, until it is told to stop.
//!
//! Not poem's own server: that one knows no deadline for a request's head, and goes on at full speed when no connection can be accepted.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use poem::{
    Addr, Endpoint, EndpointExt as _, Request, Response,
    http::{header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;

use crate::tls::Tls;

/// How long a client may take for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send the head of a request, and how long a connection may idle.
// Hyper counts it from when it has told HTTP/1 from HTTP/2: until then, `silence` does.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may keep us from sending it more of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that are under way when the server is told to stop may take to finish.
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
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT);
    let graceful = GracefulShutdown::new();
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
        let (builder, endpoint, watcher) = (builder.clone(), Arc::clone(&endpoint), graceful.watcher());
        let acceptor = options.tls.as_ref().map(|tls| tls.acceptor());
        let begun = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&begun);
        let served = async move {
            match acceptor {
                None => watcher.watch(connection(&builder, stream, endpoint, noted, local, remote, Scheme::HTTP)).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => watcher.watch(connection(&builder, stream, endpoint, noted, local, remote, Scheme::HTTPS)).await,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("the TLS handshake took too long".into()),
                },
            }
        };
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = served => ended,
                () = silence(&begun) => Err("no request came".into()),
            };
            // A connection that breaks is the client's affair.
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way");
    }
    Ok(())
}

/// A connection on which no answer waits for ever to be read.
fn patient(stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
    // Answers are small and whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    Box::pin(stream)
}

/// Resolves if no request has begun in time.
async fn silence(begun: &AtomicBool) {
    tokio::time::sleep(HEAD_TIMEOUT).await;
    if begun.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn connection<E: Endpoint<Output = Response> + 'static>(
    builder: &Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    endpoint: Arc<E>,
    begun: Arc<AtomicBool>,
    local: SocketAddr,
    remote: SocketAddr,
    scheme: Scheme,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send + 'static {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        begun.store(true, Ordering::Relaxed);
        let addresses = (LocalAddr(Addr::SocketAddr(local)), RemoteAddr(Addr::SocketAddr(remote)), scheme.clone());
        let request = Request::from((request, addresses.0, addresses.1, addresses.2));
        let endpoint = Arc::clone(&endpoint);
        async move { Ok::<_, io::Error>(hyper::Response::<Content>::from(answer(&*endpoint, request).await)) }
    });
    builder.clone().serve_connection(TokioIo::new(stream), service).into_owned()
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
