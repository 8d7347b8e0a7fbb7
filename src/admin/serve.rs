//! The server's end of the socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::answer::answer;
use super::{AdminError, Line, Order, SOCKET};
use crate::flow::Flows;

/// The socket, listened on. Dropping it takes its file away.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// Bytes that an order may have.
const ORDER_LIMIT: u64 = 64 << 10;

/// How long whoever connects may take to say what they want.
const PATIENCE: Duration = Duration::from_secs(10);

impl Socket {
    /// Makes the socket in `data_dir`, which is made where it is not there. What a process that is gone has left is put
    /// away.
    ///
    /// # Errors
    /// Where another process serves it, or it cannot be made.
    pub fn bind(data_dir: &Path) -> Result<Self, AdminError> {
        let path = data_dir.join(SOCKET);
        let bind = || -> io::Result<UnixListener> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(data_dir)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Made under another name, so that nobody can open it before it is closed to others.
            let hidden = data_dir.join(format!(".{SOCKET}-{}", std::process::id()));
            let _ = fs::remove_file(&hidden);
            let listener = UnixListener::bind(&hidden)?;
            fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
            fs::rename(&hidden, &path)?;
            Ok(listener)
        };
        if BlockingStream::connect(&path).is_ok() {
            return Err(AdminError::Taken(data_dir.to_owned()));
        }
        match bind() {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => Err(AdminError::Bind { path, source }),
        }
    }

    /// Carries out what operators order, until it is dropped.
    pub async fn serve(self, flows: Arc<Flows>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let flows = Arc::clone(&flows);
                    tokio::spawn(async move {
                        if let Err(error) = attend(stream, &flows).await {
                            tracing::debug!(%error, "an operator went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin socket fails");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone with its directory.
        let _ = fs::remove_file(&self.path);
    }
}

/// Where the lines of an answer go.
pub(super) struct Listener {
    stream: UnixStream,
}

impl Listener {
    /// Tells one line.
    pub(super) async fn tell(&mut self, line: &Line) -> io::Result<()> {
        let mut written = serde_json::to_vec(line)?;
        written.push(b'\n');
        self.stream.write_all(&written).await
    }
}

async fn attend(mut stream: UnixStream, flows: &Flows) -> io::Result<()> {
    let mut order = String::new();
    let mut reader = BufReader::new((&mut stream).take(ORDER_LIMIT));
    timeout(PATIENCE, reader.read_line(&mut order)).await??;
    let mut listener = Listener { stream };
    let last = match serde_json::from_str::<Order>(&order) {
        Ok(order) => answer(flows, order, &mut listener).await?,
        Err(error) => Line::Failed {
            said: format!("the order is not understood: {error}"),
        },
    };
    listener.tell(&last).await
}
