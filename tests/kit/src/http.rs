//! Both ends of plain HTTP: a server that does what a test scripts, bad manners included, and a client for one GET.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Longest time that a connection of the fixture, or an exchange of [`get`], may stand still.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a request's body that the fixture keeps; more is refused.
const MAX_REQUEST_BODY: usize = 8 << 20;

/// A request, as the fixture got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Method, such as `GET`.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header with this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// What the fixture answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    delay: Duration,
    kind: ReplyKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ReplyKind {
    Http { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    Raw(Vec<u8>),
    Endless { bytes: u64 },
    Stall,
}

impl Reply {
    /// A status with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::of(ReplyKind::Http { status, headers: Vec::new(), body: Vec::new() })
    }

    /// 200 with a JSON body.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        Self::status(200).header("content-type", "application/json").body(value.to_string())
    }

    /// These very bytes, whatever they are, then the end of the connection.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(ReplyKind::Raw(bytes.into()))
    }

    /// 200 with a body of so many bytes, sent as long as the client reads.
    #[must_use]
    pub fn endless(bytes: u64) -> Self {
        Self::of(ReplyKind::Endless { bytes })
    }

    /// No answer at all, for as long as the client waits (at most 30 s).
    #[must_use]
    pub fn stall() -> Self {
        Self::of(ReplyKind::Stall)
    }

    /// With a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let ReplyKind::Http { headers, .. } = &mut self.kind {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, text: impl Into<Vec<u8>>) -> Self {
        if let ReplyKind::Http { body, .. } = &mut self.kind {
            *body = text.into();
        }
        self
    }

    /// After this time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    fn of(kind: ReplyKind) -> Self {
        Self { delay: Duration::ZERO, kind }
    }
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

/// An HTTP/1.1 server on a loopback port, one request per connection. It ends with the value.
pub struct HttpFixture {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    stopped: AtomicBool,
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
}

impl HttpFixture {
    /// Starts one that answers every request as `script` says.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            script: Mutex::new(Box::new(script)),
            requests: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Self { address, shared }
    }

    /// Starts one that always gives the same answer.
    #[must_use]
    pub fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone())
    }

    /// From now on answers as `script` says.
    pub fn set(&self, script: impl FnMut(&Request) -> Reply + Send + 'static) {
        *lock(&self.shared.script) = Box::new(script);
    }

    /// URL of a path, which begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }
}

impl std::fmt::Debug for HttpFixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpFixture").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for HttpFixture {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then finds the flag.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            if let Ok(stream) = stream {
                let this = Arc::clone(self);
                // What a client does to a connection is its own affair: it may break off at any time.
                thread::spawn(move || drop(this.serve(stream)));
            }
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let request = read_request(&mut reader)?;
        lock(&self.requests).push(request.clone());
        let reply = lock(&self.script)(&request);
        thread::sleep(reply.delay);
        send(stream, reader, reply.kind)
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Request> {
    let first = read_line(reader)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > MAX_REQUEST_BODY {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(request)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(64 << 10).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn send(mut stream: TcpStream, mut reader: BufReader<TcpStream>, kind: ReplyKind) -> io::Result<()> {
    match kind {
        ReplyKind::Http { status, headers, body } => {
            let mut head =
                format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            stream.write_all(format!("{head}\r\n").as_bytes())?;
            stream.write_all(&body)
        }
        ReplyKind::Raw(bytes) => stream.write_all(&bytes),
        ReplyKind::Endless { bytes } => {
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n")?;
            io::copy(&mut io::repeat(b'x').take(bytes), &mut stream).map(drop)
        }
        // Ends when the client does, or when patience does.
        ReplyKind::Stall => reader.read_to_end(&mut Vec::new()).map(drop),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One GET from a loopback port: the status and the body.
///
/// # Errors
/// Nobody listens there, or what answers does not speak HTTP.
pub fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    ask(port, &format!("GET {path} HTTP/1.0\r\n"), "")
}

/// Status and body of a POST of JSON to `127.0.0.1:port`.
///
/// # Errors
/// Nobody answers, or not with HTTP.
pub fn post(port: u16, path: &str, json: &str) -> io::Result<(u16, String)> {
    let head = format!("POST {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", json.len());
    ask(port, &head, json)
}

/// HTTP/1.0, so that the body ends with the connection and is not chunked.
fn ask(port: u16, head: &str, body: &str) -> io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{head}host: {address}\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)?;
    Ok((status, body.to_owned()))
}

/// Status and body of a request with a JSON body.
///
/// # Errors
/// Nobody answers on the port, or what comes is not HTTP.
pub fn request(port: u16, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    request_with(port, method, path, &[("content-type", "application/json")], body)
}

/// Status and body of a request with these headers.
///
/// # Errors
/// Nobody answers on the port, or what comes is not HTTP.
pub fn request_with(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let headers = headers.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\r\n");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )?;
    // Not up to the end of the connection: not everyone closes it as asked.
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {head:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)?;
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.next().and_then(|(_, length)| length.trim().parse().ok()).ok_or_else(invalid)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_scripted_and_keeps_what_it_got() {
        let mut calls = 0;
        let fixture = HttpFixture::start(move |request| {
            calls += 1;
            Reply::status(if calls == 1 { 503 } else { 200 }).body(request.path.clone())
        });
        assert_eq!(get(fixture.port(), "/a?b=c").expect("an answer"), (503, "/a?b=c".to_owned()));
        assert_eq!(get(fixture.port(), "/d").expect("an answer"), (200, "/d".to_owned()));
        let paths: Vec<String> = fixture.requests().into_iter().map(|request| request.path).collect();
        assert_eq!(paths, ["/a?b=c", "/d"]);
        fixture.set(|_| Reply::raw("garbage"));
        assert!(get(fixture.port(), "/").is_err());
        fixture.set(|_| Reply::endless(3 << 20));
        assert_eq!(get(fixture.port(), "/").expect("an answer").1.len(), 3 << 20);
    }

    #[test]
    fn nobody_listens_once_it_is_dropped() {
        let fixture = HttpFixture::always(Reply::status(200));
        let port = fixture.port();
        drop(fixture);
        assert!(crate::wait_until(Duration::from_secs(5), || get(port, "/").is_err()));
    }
}
