//! Connections that can be cut in the middle of a body, or reset. The HTTP server itself cannot do that.

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

/// Cuts or resets the connection of a request.
#[derive(Clone)]
pub(crate) struct ConnectionControl {
    output: Arc<Mutex<Output>>,
    stopping: watch::Receiver<bool>,
}

/// What the connection still sends.
enum Output {
    All,
    /// The whole head of the next response, then this many bytes of its body.
    HeadAnd(usize),
    /// This many bytes, then nothing.
    Bytes(usize),
    /// Nothing: the connection is reset.
    Reset,
}

impl ConnectionControl {
    /// Sends the head of the next response and `bytes` of its body, then closes the connection.
    pub(crate) fn cut_after(&self, bytes: usize) {
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = Output::HeadAnd(bytes);
    }

    /// Resets the connection in place of the next response.
    pub(crate) fn reset(&self) {
        *self.output.lock().unwrap_or_else(PoisonError::into_inner) = Output::Reset;
    }

    /// Completes when the server stops. A stopping server waits for responses under way.
    pub(crate) async fn server_stops(&self) {
        // An error means that the server is gone.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

/// A listener whose connections have a [`ConnectionControl`].
pub(crate) struct CuttableListener {
    pub listener: TcpListener,
    /// Becomes true when the server has to stop.
    pub stopping: watch::Receiver<bool>,
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let control = ConnectionControl { output: Arc::new(Mutex::new(Output::All)), stopping: self.stopping.clone() };
        (CuttableStream { stream, control }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for ConnectionControl {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().control.clone()
    }
}

/// A connection that a [`ConnectionControl`] can end in the middle of a response.
pub(crate) struct CuttableStream {
    stream: TcpStream,
    control: ConnectionControl,
}

impl AsyncRead for CuttableStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut output = this.control.output.lock().unwrap_or_else(PoisonError::into_inner);
        if let Output::HeadAnd(body) = *output
            && let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n")
        {
            *output = Output::Bytes(head + 4 + body);
        }
        match &mut *output {
            Output::Bytes(0) => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            Output::Bytes(left) => {
                let allowed = bytes.len().min(*left);
                let written = ready!(Pin::new(&mut this.stream).poll_write(context, &bytes[..allowed]))?;
                *left -= written;
                Poll::Ready(Ok(written))
            }
            Output::Reset => {
                // Without this call the connection would be closed normally.
                if let Err(error) = this.stream.set_zero_linger() {
                    tracing::debug!(%error, "the connection is closed without a reset");
                }
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Output::All | Output::HeadAnd(_) => Pin::new(&mut this.stream).poll_write(context, bytes),
        }
    }

    /// Without this method each body would be copied into one buffer with its head.
    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sends_all = matches!(*this.control.output.lock().unwrap_or_else(PoisonError::into_inner), Output::All);
        if sends_all {
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
