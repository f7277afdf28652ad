//! Server-sent events as they are read: bytes in, frames out (<https://html.spec.whatwg.org/#server-sent-events>).

/// One event: its name (empty for an ordinary one) and its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub name: String,
    pub data: String,
}

/// What has come so far.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    current: Frame,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame; none until more has come.
    pub fn pop(&mut self) -> Option<Frame> {
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if !line.is_empty() {
                self.take(line);
                continue;
            }
            let frame = std::mem::take(&mut self.current);
            // Without data it is no event; a comment between two blank lines is none either.
            if !frame.data.is_empty() {
                return Some(frame);
            }
        }
        None
    }

    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.current.name),
            "data" => {
                if !self.current.data.is_empty() {
                    self.current.data.push('\n');
                }
                self.current.data.push_str(value);
            }
            // `id` stands in the data too; comments begin with the colon.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_wherever_the_bytes_are_cut() {
        let text =
            ": hello\n\nid: 4\ndata: {\"a\":1}\n\nevent: lost\r\ndata: é\ndata: 2\r\n\r\n:\n\ndata: cut";
        let expected = [
            Frame { name: String::new(), data: "{\"a\":1}".to_owned() },
            Frame { name: "lost".to_owned(), data: "é\n2".to_owned() },
        ];
        for size in 1..text.len() {
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                frames.push(piece);
                found.extend(std::iter::from_fn(|| frames.pop()));
            }
            assert_eq!(found, expected, "pieces of {size}");
        }
    }
}
