//! An answer as it comes in.

use super::{Answer, Papers, Web, retry_after};
use crate::discovery::BackendError;
use reqwest::{Response, StatusCode};

/// An answer that may go on: line by line, or the whole of it.
pub struct Lines<'w> {
    web: &'w Web,
    answer: Response,
    papers: Papers,
    buffer: Vec<u8>,
}

impl<'w> Lines<'w> {
    pub(super) fn new(web: &'w Web, answer: Response, papers: Papers) -> Self {
        Self { web, answer, papers, buffer: Vec::new() }
    }

    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// None at the end. Of a line that is longer than `limit` comes the beginning, which is longer than that too.
    /// Cancel-safe: what was read of a line is kept for the next call.
    pub async fn next(&mut self, limit: usize) -> Result<Option<Vec<u8>>, BackendError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(searched + end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            searched = self.buffer.len();
            if searched > limit || !self.more().await? {
                return Ok(Some(std::mem::take(&mut self.buffer)).filter(|line| !line.is_empty()));
            }
        }
    }

    /// All that is left of it, if it is no longer than `limit`.
    pub async fn rest(mut self, limit: usize) -> Answer {
        let (status, retry_after) = (self.answer.status(), retry_after(&self.answer));
        let headers = std::mem::take(self.answer.headers_mut());
        let body = self.all(limit).await;
        Answer { status, headers, body, retry_after, papers: self.papers }
    }

    async fn all(&mut self, limit: usize) -> Result<Vec<u8>, BackendError> {
        while self.more().await? {
            if self.buffer.len() > limit {
                return Err(self.web.garbled(format!("it is longer than {limit} bytes")));
            }
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Whether one more piece has come.
    async fn more(&mut self) -> Result<bool, BackendError> {
        let chunk = self.answer.chunk().await.map_err(|error| self.web.failed(error, &self.papers))?;
        if let Some(chunk) = &chunk {
            self.buffer.extend_from_slice(chunk);
        }
        Ok(chunk.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Timeouts, WayOut};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that says this to whoever asks, in pieces as far as the network keeps them apart, and hangs up.
    async fn said(pieces: &'static [&'static str]) -> std::io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.set_nodelay(true).expect("an option");
            let _ = stream.read(&mut [0; 1024]).await;
            for piece in ["HTTP/1.1 200 OK\r\n\r\n"].iter().chain(pieces) {
                stream.write_all(piece.as_bytes()).await.expect("a reader");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Ok(url)
    }

    fn web() -> Web {
        let timeouts = Timeouts { connect: Duration::from_secs(10), total: Duration::from_secs(20) };
        Web::new("disco".into(), false, None, &WayOut::direct(timeouts)).expect("a client")
    }

    #[tokio::test]
    async fn lines_come_whole_whatever_pieces_they_came_in() -> Result<(), Box<dyn std::error::Error>> {
        let (web, url) = (web(), said(&["a", "b\nc\n\nd", "\ne", "f"]).await?);
        let mut lines = web.follow(web.client().get(url)).await?;
        for line in ["ab\n", "c\n", "\n", "d\n", "ef"] {
            assert_eq!(lines.next(9).await?.as_deref(), Some(line.as_bytes()));
        }
        assert_eq!(lines.next(9).await?, None);
        Ok(())
    }

    #[tokio::test]
    async fn of_a_line_that_does_not_end_no_more_is_kept_than_it_takes_to_tell()
    -> Result<(), Box<dyn std::error::Error>> {
        let (web, url) = (web(), said(&["xxx", "xxx", "xxx", "xxx", "xxx"]).await?);
        let mut lines = web.follow(web.client().get(url.clone())).await?;
        let line = lines.next(4).await?.ok_or("there is a line")?;
        assert!(line.len() > 4 && line.iter().all(|byte| *byte == b'x'), "{line:?}");
        let url = said(&["xxx", "xxx"]).await?;
        let whole = web.follow(web.client().get(url)).await?.rest(4).await;
        assert!(web.success(whole).is_err_and(|error| error.to_string().contains("longer than 4 bytes")));
        Ok(())
    }
}
