//! Connections that can be cut in mid-body or reset: what no answer built with care can do.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Cuts the connection that a request came in on.
#[derive(Clone)]
pub(crate) struct Scissors {
    blade: Arc<Mutex<Blade>>,
    stopping: watch::Receiver<bool>,
}

enum Blade {
    Idle,
    /// The next answer's head goes out whole, then so many bytes of its body.
    Armed(usize),
    /// So many bytes go out, then nothing more.
    Cutting(usize),
    /// Nothing goes out, and the connection is reset.
    Reset,
}

impl Scissors {
    /// Lets the next answer's head and `bytes` of its body through.
    pub(crate) fn cut_after(&self, bytes: usize) {
        *self.blade.lock().unwrap_or_else(PoisonError::into_inner) = Blade::Armed(bytes);
    }

    /// Lets nothing of the next answer through.
    pub(crate) fn reset(&self) {
        *self.blade.lock().unwrap_or_else(PoisonError::into_inner) = Blade::Reset;
    }

    /// Done when the server stops, which waits for its answers.
    pub(crate) async fn server_stops(&self) {
        // A server that is gone has stopped, too.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

/// A listener whose connections carry [`Scissors`].
pub(crate) struct CuttableListener {
    pub listener: TcpListener,
    /// Turns true when the server is to stop.
    pub stopping: watch::Receiver<bool>,
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection waits for full packets");
        }
        let scissors = Scissors { blade: Arc::new(Mutex::new(Blade::Idle)), stopping: self.stopping.clone() };
        (CuttableStream { stream, scissors }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().scissors.clone()
    }
}

/// A connection that stops in the middle of an answer when told to.
pub(crate) struct CuttableStream {
    stream: TcpStream,
    scissors: Scissors,
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut blade = this.scissors.blade.lock().unwrap_or_else(PoisonError::into_inner);
        if let Blade::Armed(body) = *blade
            && let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n")
        {
            *blade = Blade::Cutting(head + 4 + body);
        }
        match &mut *blade {
            Blade::Cutting(0) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Blade::Cutting(left) => {
                let allowed = bytes.len().min(*left);
                let written = ready!(Pin::new(&mut this.stream).poll_write(context, &bytes[..allowed]))?;
                *left -= written;
                Poll::Ready(Ok(written))
            }
            Blade::Reset => {
                // Without it the connection would end as after an answer.
                if let Err(error) = this.stream.set_zero_linger() {
                    tracing::debug!(%error, "a connection ends without a reset");
                }
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Blade::Idle | Blade::Armed(_) => Pin::new(&mut this.stream).poll_write(context, bytes),
        }
    }

    /// Without it each body would be copied behind its head.
    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let idle = matches!(*this.scissors.blade.lock().unwrap_or_else(PoisonError::into_inner), Blade::Idle);
        if idle {
            return Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        }
        let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
        Pin::new(this).poll_write(context, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
