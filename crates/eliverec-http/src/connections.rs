//! Connections of callers: each speaks HTTP/1.1, has so long for the head of a request, and ends when what has begun is answered.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The longest from an answer, or the beginning of a connection, to the end of the next request's head: who sends it byte by byte does
/// not keep a connection.
const HEAD: Duration = Duration::from_secs(30);

/// Where the process has no room for another connection, it looks again so much later.
const ROOM: Duration = Duration::from_secs(1);

/// Answers until `ended` is there, and then what has begun, for at most `drain`; whether all of it was answered. At most `most`
/// connections are open at once; those who come then wait until one ends.
pub(crate) async fn answer(
    listener: TcpListener,
    router: Router,
    most: usize,
    ended: impl Future<Output = ()>,
    drain: Duration,
) -> bool {
    let mut connections = JoinSet::new();
    let (end, ending) = watch::channel(());
    let mut ended = pin!(ended);
    loop {
        let accepted = tokio::select! {
            () = &mut ended => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < most => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, router.clone(), ending.clone()));
            }
            // That caller has gone already.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused
                        | ErrorKind::ConnectionAborted
                        | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken for now");
                tokio::time::sleep(ROOM).await;
            }
        }
    }
    drop((listener, end));
    let all = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(drain, all).await.is_ok()
}

async fn connection(stream: TcpStream, router: Router, mut ending: watch::Receiver<()>) {
    // Answers leave at once, however small; without that they leave later.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A caller who goes away, or speaks no HTTP, concerns nobody else.
    tokio::select! {
        _ = connection.as_mut() => return,
        // The other side is dropped when the service ends.
        _ = ending.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    /// Begins to answer; what ends it, and the address.
    async fn begin(router: Router) -> (Arc<Notify>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let end = Arc::new(Notify::new());
        let ended = Arc::clone(&end);
        tokio::spawn(async move {
            answer(
                listener,
                router,
                3,
                async move { ended.notified().await },
                Duration::from_secs(5),
            )
            .await
        });
        (end, address)
    }

    /// The clock goes on by itself while everybody waits.
    #[tokio::test(start_paused = true)]
    async fn who_never_ends_a_head_does_not_keep_a_connection() {
        let (_end, address) = begin(Router::new().route("/", get(|| async { "here" }))).await;
        for head in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            slow.read_to_end(&mut answer).await.unwrap();
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        let mut prompt = TcpStream::connect(address).await.unwrap();
        prompt.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        prompt.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }

    #[tokio::test]
    async fn what_has_begun_is_answered_when_it_ends() {
        let (begun, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (Arc::clone(&begun), Arc::clone(&goes_on));
        let slow = get(move || async move {
            tell.notify_one();
            wait.notified().await;
            "here"
        });
        let (end, address) = begin(Router::new().route("/", slow)).await;
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        begun.notified().await;
        end.notify_one();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        goes_on.notify_one();
        let mut answer = Vec::new();
        caller.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(b"here"), "{}", String::from_utf8_lossy(&answer));
    }
}
