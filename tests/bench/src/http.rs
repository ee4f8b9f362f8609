//! As much of an HTTP client as listing takes, over one kept connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};

const TIMEOUT: Duration = Duration::from_secs(5);

pub struct Lister {
    connection: BufReader<TcpStream>,
    request: String,
}

impl Lister {
    pub fn connect(server: SocketAddr, token: &str) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let request = format!("GET /v1/clusters/{token} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        Ok(Self { connection: BufReader::new(stream), request })
    }

    /// The nodes in the list.
    pub fn list(&mut self) -> Result<Vec<String>> {
        self.connection.get_mut().write_all(self.request.as_bytes())?;
        let (mut status, mut length) = (String::new(), 0);
        self.connection.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body)?;
        ensure!(status.split(' ').nth(1) == Some("200"), "the list is answered with {:?}", status.trim_end());
        Ok(serde_json::from_slice(&body)?)
    }
}
