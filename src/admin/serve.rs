//! The server's end of the socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixStream as BlockingStream};
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
    /// Which file it is, so that no other is taken away in its place.
    file: (u64, u64),
}

/// Where the socket is made, out of everybody's reach. With it the path is no longer than that of the socket itself, which
/// may have a hundred bytes or so.
const HIDDEN: &str = ".sock";

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
        let bind = || -> io::Result<(UnixListener, (u64, u64))> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(data_dir)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // where it is made the path is shorter, and nobody could connect to it
            SocketAddr::from_pathname(&path)?;
            let room = data_dir.join(HIDDEN);
            let hidden = room.join("s");
            // what a process that was killed meanwhile has left; what else may be wrong with it is told by what follows
            let _ = fs::remove_file(&hidden);
            let _ = fs::remove_dir(&room);
            DirBuilder::new().mode(0o700).create(&room)?;
            let made = UnixListener::bind(&hidden).and_then(|listener| {
                fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
                let file = identity(&hidden)?;
                fs::rename(&hidden, &path)?;
                Ok((listener, file))
            });
            let _ = fs::remove_file(&hidden);
            let _ = fs::remove_dir(&room);
            made
        };
        if BlockingStream::connect(&path).is_ok() {
            return Err(AdminError::Taken(data_dir.to_owned()));
        }
        match bind() {
            Ok((listener, file)) => Ok(Self {
                listener,
                path,
                file,
            }),
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
        // It may be gone with its directory, or another process may have made its own.
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Which file it is, whatever its name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
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
