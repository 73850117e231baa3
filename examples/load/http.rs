//! A client of HTTP/1.1 that knows what became of each request.
//!
//! A library would do, but for two habits that hide what is to be measured: it may send a request again by itself, and
//! its errors do not tell a refused connection from a reset one. Here nothing is ever sent twice.
//!
//! A server may close an idle connection whenever it likes; that loses no request. So a connection is looked at before
//! it is used again, is left out if it was closed, and is not used after a second of idleness. A server that announces
//! its end with `connection: close` for longer than that never closes a connection which is about to be used. What
//! remains, a connection that is closed while the request is on its way, is `closed-reused`, and lost: a browser might
//! try again, a client that sends a POST must not.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::report::Reply;

/// How long a request may take, with its connection.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be idle and be used again.
const IDLE: Duration = Duration::from_secs(1);

/// The longest reply that is read: far more than a test needs.
const LONGEST: usize = 1 << 20;

/// A client of one server, which asks always the same.
pub(crate) struct Client {
    address: SocketAddr,
    request: Vec<u8>,
    keep_alive: bool,
    idle: Mutex<Vec<(TcpStream, Instant)>>,
}

/// Why there was no reply; the text is the kind in the report.
pub(crate) type Failure = &'static str;

impl Client {
    /// `headers` are lines such as `x-canary: always`.
    pub(crate) fn new(
        address: SocketAddr,
        path: &str,
        host: &str,
        headers: &[String],
        keep_alive: bool,
    ) -> Self {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: load\r\n");
        for header in headers {
            request += header;
            request += "\r\n";
        }
        if !keep_alive {
            request += "connection: close\r\n";
        }
        request += "\r\n";
        Self {
            address,
            request: request.into_bytes(),
            keep_alive,
            idle: Mutex::default(),
        }
    }

    /// Sends the request once.
    pub(crate) async fn send(&self) -> Result<Reply, Failure> {
        let deadline = Instant::now() + TIMEOUT;
        let idle = self.take_idle();
        let reused = idle.is_some();
        let mut stream = match idle {
            Some(stream) => stream,
            None => self.connect(deadline).await?,
        };
        let exchanged = timeout_at(deadline, self.exchange(&mut stream)).await;
        let (reply, keep) = exchanged.map_err(|_| "timeout")?.map_err(|lost| {
            let untouched = reused && lost.received == 0;
            if untouched && matches!(lost.kind, "reset" | "closed") {
                "closed-reused"
            } else {
                lost.kind
            }
        })?;
        if keep && self.keep_alive {
            self.pool().push((stream, Instant::now()));
        }
        Ok(reply)
    }

    async fn connect(&self, deadline: Instant) -> Result<TcpStream, Failure> {
        let connected = timeout_at(deadline, TcpStream::connect(self.address)).await;
        let stream =
            connected
                .map_err(|_| "connect-timeout")?
                .map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => "connect-timeout",
                    _ => kind_of(&error),
                })?;
        stream.set_nodelay(true).map_err(|error| kind_of(&error))?;
        Ok(stream)
    }

    async fn exchange(&self, stream: &mut TcpStream) -> Result<(Reply, bool), Lost> {
        let mut bytes = Vec::with_capacity(1024);
        let failed = |error: &io::Error, received| Lost {
            kind: kind_of(error),
            received,
        };
        let written = stream.write_all(&self.request).await;
        written.map_err(|error| failed(&error, 0))?;
        loop {
            let read = stream.read_buf(&mut bytes).await;
            let read = read.map_err(|error| failed(&error, bytes.len()))?;
            let received = bytes.len();
            match parse(&bytes, read == 0) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) if received > LONGEST => {
                    let kind = "too-long";
                    return Err(Lost { kind, received });
                }
                Ok(None) => {}
                Err(kind) => return Err(Lost { kind, received }),
            }
        }
    }

    /// The connection that was used last, unless it was closed or has been idle too long.
    fn take_idle(&self) -> Option<TcpStream> {
        let mut pool = self.pool();
        pool.retain(|(_, since)| since.elapsed() < IDLE);
        while let Some((stream, _)) = pool.pop() {
            let open = stream.try_read(&mut [0]);
            if open.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return Some(stream);
            }
        }
        None
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<(TcpStream, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lost {
    kind: Failure,
    received: usize,
}

fn kind_of(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable",
        io::ErrorKind::TimedOut => "timeout",
        // No free port or file: the generator's own fault, and told apart.
        _ => "local",
    }
}

/// Reads the reply in `bytes`: none yet if more has to come, else the reply and whether its connection can be used
/// again. `ended` is true when nothing more will come.
fn parse(bytes: &[u8], ended: bool) -> Result<Option<(Reply, bool)>, Failure> {
    let more = if ended { Err("closed") } else { Ok(None) };
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return more;
    };
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let head = Head::parse(&String::from_utf8_lossy(head)).ok_or("malformed")?;
    let status = head.reply.status;
    let length = match (head.chunked, head.length) {
        _ if status == 101 => return Err("malformed"),
        _ if status < 200 => return parse(body, ended),
        _ if matches!(status, 204 | 304) => Some(0),
        (true, _) => chunked_length(body)?,
        (false, Some(length)) => Some(length),
        (false, None) if ended => return Ok(Some((head.reply, false))),
        (false, None) => None,
    };
    match length {
        Some(length) if body.len() >= length => {
            let keep = head.keep_alive && !ended && body.len() == length;
            Ok(Some((head.reply, keep)))
        }
        _ => more,
    }
}

/// The part of a reply before its body.
struct Head {
    reply: Reply,
    keep_alive: bool,
    chunked: bool,
    length: Option<usize>,
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let (protocol, rest) = lines.next()?.split_once(' ')?;
        let minor = protocol.strip_prefix("HTTP/1.")?;
        let reply = Reply {
            status: rest.get(..3)?.parse().ok()?,
            version: None,
            app_error: false,
        };
        let mut head = Self {
            reply,
            keep_alive: minor == "1",
            chunked: false,
            length: None,
        };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            head.take(&name.to_ascii_lowercase(), value.trim())?;
        }
        Some(head)
    }

    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "x-version" => self.reply.version = Some(value.to_owned()),
            "x-app-error" => self.reply.app_error = true,
            "content-length" => self.length = Some(value.parse().ok()?),
            "transfer-encoding" => self.chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => self.keep_alive &= !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
        Some(())
    }
}

/// How many bytes the chunks and what ends them take; none if they are not all there.
fn chunked_length(body: &[u8]) -> Result<Option<usize>, Failure> {
    let mut at = 0;
    while let Some(end) = body.get(at..).and_then(|rest| find(rest, b"\r\n")) {
        let line = String::from_utf8_lossy(&body[at..at + end]);
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| "malformed")?;
        if size > LONGEST {
            return Err("too-long");
        }
        at += end + 2;
        if size == 0 {
            return Ok(trailer_length(&body[at..]).map(|length| at + length));
        }
        at += size + 2;
    }
    Ok(None)
}

/// Up to and with the empty line.
fn trailer_length(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2);
    }
    find(bytes, b"\r\n\r\n").map(|end| end + 4)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Option<(u16, bool)>, Failure>) {
        let outcome = parse(text.as_bytes(), false);
        let outcome = outcome.map(|reply| reply.map(|(reply, keep)| (reply.status, keep)));
        assert_eq!(outcome, expected, "{text:?}");
        if expected.is_ok_and(|reply| reply.is_some()) {
            for cut in 0..text.len() {
                assert_eq!(
                    parse(&text.as_bytes()[..cut], false).ok(),
                    Some(None),
                    "{cut}"
                );
            }
        }
    }

    #[test]
    fn a_reply_ends_where_its_head_says() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Ok(Some((200, true))),
        );
        check(
            "HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n",
            Ok(Some((503, true))),
        );
        check("HTTP/1.1 204 None\r\n\r\n", Ok(Some((204, true))));
        check(
            "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n",
            Ok(Some((200, false))),
        );
        check(
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            Ok(Some((200, false))),
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n",
            Ok(Some((200, true))),
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nsum: 1\r\n\r\n",
            Ok(Some((200, true))),
        );
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Ok(Some((200, true))),
        );
    }

    #[test]
    fn what_is_not_http_is_malformed() {
        check("SSH-2.0-server\r\n\r\n", Err("malformed"));
        check("HTTP/1.1 abc\r\n\r\n", Err("malformed"));
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            Err("malformed"),
        );
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            Err("malformed"),
        );
        let long = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffff\r\n";
        check(long, Err("too-long"));
    }

    #[test]
    fn a_reply_that_breaks_off_is_lost_and_one_without_length_ends_with_the_connection() {
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok";
        assert_eq!(parse(cut, true), Err("closed"));
        assert_eq!(parse(b"HTTP/1.1 20", true), Err("closed"));
        let open = b"HTTP/1.1 200 OK\r\nx-version: 2.0.0\r\nx-app-error: 1\r\n\r\nok";
        assert_eq!(parse(open, false), Ok(None));
        let reply = Reply {
            status: 200,
            version: Some("2.0.0".to_owned()),
            app_error: true,
        };
        assert_eq!(parse(open, true), Ok(Some((reply, false))));
    }
}
