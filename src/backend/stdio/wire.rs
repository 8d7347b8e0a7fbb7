//! The wire to a child: rmcp's for what it says, and one of ours for what it is sent, which does not keep more than may be.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rmcp::model::{ClientNotification, JsonRpcMessage};
use rmcp::service::{RoleClient, RxJsonRpcMessage, ServiceError, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, Sink, sink};
use tokio::sync::Mutex;

use super::traffic::Traffic;

/// The wire to a child.
///
/// rmcp keeps a task for each message until the child has read it, also where the caller has hung up: what waits here is
/// kept as the bytes that it will be, is counted, and is refused where it would be too much.
pub(super) struct Wire<R: AsyncRead + Unpin, W> {
    /// It would answer what is no message on the same stdin, and listen no more until that is read: a child that writes
    /// noise while it is sent something large would wait for us, and we for it. So what it answers goes nowhere.
    said: AsyncRwTransport<RoleClient, Measured<R>, Sink>,
    stdin: Arc<Mutex<Option<W>>>,
    traffic: Arc<Traffic>,
}

impl<R, W> Wire<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    pub(super) fn new(stdout: R, stdin: W, traffic: Arc<Traffic>) -> Self {
        let measured = Measured {
            stdout,
            line: 0,
            traffic: Arc::clone(&traffic),
        };
        let said = AsyncRwTransport::new_client(measured, sink());
        Self {
            // never reached: the other limit is first
            said: said.with_max_line_length(2 * LONGEST_LINE),
            stdin: Arc::new(Mutex::new(Some(stdin))),
            traffic,
        }
    }

    /// The line that a message is, counted as waiting.
    fn line(&self, message: &TxJsonRpcMessage<RoleClient>) -> io::Result<Waiting> {
        if is_refusable(message) && self.traffic.is_full() {
            let what = "the child does not read what it is sent";
            return Err(io::Error::new(ErrorKind::ResourceBusy, what));
        }
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.traffic.wait(line.len());
        if matches!(message, JsonRpcMessage::Request(_)) {
            self.traffic.asked();
        }
        Ok(Waiting {
            line,
            traffic: Arc::clone(&self.traffic),
        })
    }
}

impl<R, W> Transport<RoleClient> for Wire<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let waiting = self.line(&message);
        let stdin = Arc::clone(&self.stdin);
        async move {
            let waiting = waiting?;
            let mut stdin = stdin.lock().await;
            let stdin = stdin.as_mut().ok_or(ErrorKind::NotConnected)?;
            stdin.write_all(&waiting.line).await?;
            stdin.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.said.receive().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.stdin.lock().await.take();
        Ok(())
    }
}

/// Whether a message is refused where too much waits. Answers are of requests of the child itself; and that a request was
/// given up is sent once for each that was not refused.
fn is_refusable(message: &TxJsonRpcMessage<RoleClient>) -> bool {
    match message {
        JsonRpcMessage::Request(_) => true,
        JsonRpcMessage::Notification(message) => !matches!(
            message.notification,
            ClientNotification::CancelledNotification(_)
        ),
        _ => false,
    }
}

/// Whether a request was refused because too much waits.
pub(super) fn is_refusal(error: &ServiceError) -> bool {
    let ServiceError::TransportSend(error) = error else {
        return false;
    };
    let error = error.error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::ResourceBusy)
}

/// A message that the child has not read.
struct Waiting {
    line: Vec<u8>,
    traffic: Arc<Traffic>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.traffic.written(self.line.len());
    }
}

/// The stdout of a child, which is over where a line is too long: dropped, its caller would wait in vain.
struct Measured<R> {
    stdout: R,
    /// Bytes of the line that is being read.
    line: usize,
    traffic: Arc<Traffic>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Measured<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stdout).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        if !read.is_empty() {
            this.traffic.heard();
        }
        let mut pieces = read.split(|byte| *byte == b'\n');
        let mut is_too_long = false;
        if let Some(rest) = pieces.next() {
            this.line += rest.len();
            is_too_long = this.line > LONGEST_LINE;
        }
        for piece in pieces {
            this.line = piece.len();
        }
        if is_too_long {
            this.traffic.break_off();
            let what = "a message of a child is longer than 16 MiB";
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, what)));
        }
        Poll::Ready(Ok(()))
    }
}

/// Bytes of one message of a child, as many as rmcp takes over HTTP.
const LONGEST_LINE: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::clock::SystemClock;

    async fn read(bytes: &[u8]) -> io::Result<usize> {
        let mut measured = Measured {
            stdout: bytes,
            line: 0,
            traffic: Arc::new(Traffic::new(Arc::new(SystemClock))),
        };
        let mut buffer = vec![0; 8 << 10];
        let mut sum = 0;
        loop {
            match measured.read(&mut buffer).await? {
                0 => return Ok(sum),
                read => sum += read,
            }
        }
    }

    #[tokio::test]
    async fn a_line_has_a_limit_and_all_lines_together_have_none() {
        let mut longest = vec![b'x'; LONGEST_LINE];
        longest.push(b'\n');
        let twice = [&longest[..], &longest[..]].concat();
        assert_eq!(read(&twice).await.unwrap(), twice.len());
        let longer = [b"x", &longest[..]].concat();
        assert_eq!(
            read(&longer).await.unwrap_err().kind(),
            ErrorKind::InvalidData
        );
        let endless = vec![b'x'; LONGEST_LINE + 1];
        assert!(read(&endless).await.is_err());
    }
}
