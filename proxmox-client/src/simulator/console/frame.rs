//! What a terminal receives: messages that follow each other without a gap, wherever the pieces are cut.

/// The most digits of a number, which is far more than any browser sends.
const DIGITS: usize = 7;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    Input(Vec<u8>),
    Size { columns: u32, rows: u32 },
    Ping,
}

/// The client does not speak the protocol.
#[derive(Debug, PartialEq)]
pub(super) struct Malformed;

/// Collects pieces until messages are whole.
#[derive(Debug, Default)]
pub(super) struct Frames {
    waiting: Vec<u8>,
}

impl Frames {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some((frame, length)) = parse(&self.waiting)? else {
            return Ok(None);
        };
        self.waiting.drain(..length);
        Ok(Some(frame))
    }
}

/// A message and how many bytes it takes; none if more has to come.
fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Malformed> {
    let Some(kind) = bytes.first() else {
        return Ok(None);
    };
    match kind {
        b'0' => {
            let Some((length, at)) = colon(bytes, 1)?
                .map(|at| number(bytes, at))
                .transpose()?
                .flatten()
            else {
                return Ok(None);
            };
            let end = at + length as usize;
            let input = bytes.get(at..end);
            Ok(input.map(|input| (Frame::Input(input.to_vec()), end)))
        }
        b'1' => {
            let Some((columns, at)) = colon(bytes, 1)?
                .map(|at| number(bytes, at))
                .transpose()?
                .flatten()
            else {
                return Ok(None);
            };
            let rows = number(bytes, at)?;
            Ok(rows.map(|(rows, end)| (Frame::Size { columns, rows }, end)))
        }
        b'2' => Ok(Some((Frame::Ping, 1))),
        _ => Err(Malformed),
    }
}

/// The place behind a colon.
fn colon(bytes: &[u8], at: usize) -> Result<Option<usize>, Malformed> {
    match bytes.get(at) {
        None => Ok(None),
        Some(b':') => Ok(Some(at + 1)),
        Some(_) => Err(Malformed),
    }
}

/// A number up to its colon, and the place behind that.
fn number(bytes: &[u8], at: usize) -> Result<Option<(u32, usize)>, Malformed> {
    let mut value = 0;
    for (count, byte) in bytes[at..].iter().enumerate() {
        match byte {
            b':' if count > 0 => return Ok(Some((value, at + count + 1))),
            b'0'..=b'9' if count < DIGITS => value = value * 10 + u32::from(byte - b'0'),
            _ => return Err(Malformed),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<Frame>, Malformed> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in pieces {
            frames.feed(piece);
            while let Some(frame) = frames.next()? {
                found.push(frame);
            }
        }
        Ok(found)
    }

    #[test]
    fn messages_follow_each_other_without_a_gap() {
        let found = all(&[b"0:3:a:b21:80:24:0:0:2"]).unwrap();
        let size = Frame::Size {
            columns: 80,
            rows: 24,
        };
        let input = |text: &str| Frame::Input(text.as_bytes().to_vec());
        assert_eq!(
            found,
            [input("a:b"), Frame::Ping, size, input(""), Frame::Ping]
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for wrong in ["3", "0x", "0::", "0:-1:", "1:80:x", "0:99999999:", "ls\r"] {
            assert_eq!(all(&[wrong.as_bytes()]), Err(Malformed), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_alike_wherever_they_are_cut(
            bytes in proptest::collection::vec(prop_oneof![Just(b'0'), Just(b'1'), Just(b'2'), Just(b':'), any::<u8>()], 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(all(&[&bytes]), all(&[&bytes[..cut], &bytes[cut..]]));
        }

        #[test]
        fn input_arrives_as_it_was_sent(input in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..310) {
            let mut sent = format!("0:{}:", input.len()).into_bytes();
            sent.extend(&input);
            let cut = cut.min(sent.len());
            prop_assert_eq!(all(&[&sent[..cut], &sent[cut..]]), Ok(vec![Frame::Input(input)]));
        }
    }
}
