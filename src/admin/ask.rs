//! The operator's end of the socket.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, absolute};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::{AdminError, Line, Order, SOCKET};

/// Gives `order` to the server that runs with `data_dir`, and `tell`s each line of its answer but the last, until there is
/// nobody to hear it; returns what it said at the end.
///
/// # Errors
/// Where no server answers, or it could not do what was ordered.
pub async fn ask(
    data_dir: &Path,
    order: &Order,
    mut tell: impl FnMut(Line) -> ControlFlow<()>,
) -> Result<String, AdminError> {
    let path = data_dir.join(SOCKET);
    let mut stream = UnixStream::connect(&path)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => AdminError::NotAllowed(path.clone()),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                AdminError::NotRunning(absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned()))
            }
            _ => AdminError::Connect {
                path: path.clone(),
                source: error,
            },
        })?;
    let mut written = serde_json::to_vec(order).map_err(AdminError::OtherVersion)?;
    written.push(b'\n');
    stream.write_all(&written).await?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str(&line).map_err(AdminError::OtherVersion)? {
            Line::Done { said } => return Ok(said),
            Line::Failed { said } => return Err(AdminError::Failed(said)),
            line => {
                if tell(line).is_break() {
                    return Ok(String::new());
                }
            }
        }
    }
    Err(AdminError::Broken(ErrorKind::UnexpectedEof.into()))
}
