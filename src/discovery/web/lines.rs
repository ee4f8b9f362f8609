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
