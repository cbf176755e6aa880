//! What a spawned server writes, kept for `log` steps and for the report of a server that died.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// Lines kept. A case looks at what was written since it began, so this bounds memory, not what is checked: a
/// suite's busiest case writes a few thousand.
const LINES_MAX: usize = 50_000;

/// A longer line is cut: no server says anything of use in the second 16 KiB.
const LINE_BYTES_MAX: usize = 16 << 10;

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// The log of one server over all its lives.
#[derive(Debug)]
pub struct Log {
    lines: Mutex<Lines>,
    /// Count of lines ever written; awaited by those who wait for a line.
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    dropped: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            written: watch::Sender::new(0),
        }
    }
}

impl Log {
    /// Here and now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(*self.written.borrow())
    }

    /// The lines written since `mark`, as far as they are still kept.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = usize::try_from(mark.0.saturating_sub(lines.dropped)).unwrap_or(usize::MAX);
        lines.kept.iter().skip(skip).cloned().collect()
    }

    /// The last `count` lines, for the report of a server that died.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .kept
            .iter()
            .skip(lines.kept.len().saturating_sub(count))
            .cloned()
            .collect()
    }

    /// Resolves when something was written after `mark`.
    pub async fn written_after(&self, mark: Mark) {
        let mut written = self.written.subscribe();
        // The sender lives in `self`, so waiting cannot fail while we borrow it.
        let _ = written.wait_for(|count| *count > mark.0).await;
    }

    /// One more line.
    pub(crate) fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.kept.len() == LINES_MAX {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back(line);
        drop(lines);
        self.written.send_modify(|count| *count += 1);
    }

    /// Takes in `output` until it ends.
    pub(crate) async fn collect(&self, output: impl AsyncRead + Unpin) {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            match take_line(&mut reader, &mut line).await {
                Ok(true) => self.push(String::from_utf8_lossy(&line).into_owned()),
                // A pipe that breaks ends the log just as its end does.
                Ok(false) | Err(_) => return,
            }
            line.clear();
        }
    }
}

/// Reads a line without its end into `line`, of which no more than [`LINE_BYTES_MAX`] bytes are kept. False at the end.
async fn take_line(reader: &mut (impl AsyncBufReadExt + Unpin), line: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut seen = false;
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(seen);
        }
        seen = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let content = &chunk[..end.unwrap_or(chunk.len())];
        line.extend_from_slice(
            &content[..content.len().min(LINE_BYTES_MAX - line.len().min(LINE_BYTES_MAX))],
        );
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_from_a_mark_on() {
        let log = Log::default();
        log.collect(&b"one\ntwo\n"[..]).await;
        let mark = log.mark();
        log.collect(&b"three\nunfinished"[..]).await;
        assert_eq!(log.since(mark), ["three", "unfinished"]);
        assert_eq!(log.tail(1), ["unfinished"]);
        log.written_after(mark).await;
    }

    #[tokio::test]
    async fn the_log_forgets_its_oldest_lines_and_cuts_long_ones() {
        let log = Log::default();
        let first = log.mark();
        log.collect("x\n".repeat(LINES_MAX + 3).as_bytes()).await;
        let mark = log.mark();
        log.collect("y".repeat(LINE_BYTES_MAX * 2).as_bytes()).await;
        assert_eq!(log.since(first).len(), LINES_MAX);
        let since = log.since(mark);
        assert_eq!(since.len(), 1);
        assert_eq!(since[0].len(), LINE_BYTES_MAX);
    }
}
