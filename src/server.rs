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
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use poem::{
    Addr, Endpoint, EndpointExt as _, Request, Response,
    http::{header, uri::Scheme},
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

use crate::tls::Tls;

/// How long a client may take for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to send the head of a request, and how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that are under way when the server is told to stop may take to finish.
const GRACE: Duration = Duration::from_secs(8);
/// How long to wait before trying again when the system gives no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How much of a refused body is read, so that the client gets to read its answer, and for how long.
const MOST_DRAINED: usize = 8 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

type Content = BoxBody<Bytes, io::Error>;

/// Serves the endpoint on the listener until `stop` resolves, then lets requests under way finish.
///
/// # Errors
/// When the listener's address can't be read.
pub async fn serve<E>(listener: TcpListener, tls: Option<Arc<Tls>>, endpoint: E, stop: impl Future<Output = ()>) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let local = listener.local_addr()?;
    let endpoint = Arc::new(endpoint.map_to_response());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, remote) = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // Answers are small and whole: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let (builder, endpoint, watcher) = (builder.clone(), Arc::clone(&endpoint), graceful.watcher());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        tokio::spawn(async move {
            let ended = match acceptor {
                None => watcher.watch(connection(&builder, stream, endpoint, local, remote, Scheme::HTTP)).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => watcher.watch(connection(&builder, stream, endpoint, local, remote, Scheme::HTTPS)).await,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("the TLS handshake took too long".into()),
                },
            };
            // A connection that breaks is the client's affair.
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way");
    }
    Ok(())
}

fn connection<E: Endpoint<Output = Response> + 'static>(
    builder: &Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    endpoint: Arc<E>,
    local: SocketAddr,
    remote: SocketAddr,
    scheme: Scheme,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>> + Send + 'static {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
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
