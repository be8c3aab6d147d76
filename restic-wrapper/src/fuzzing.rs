//! Targets for fuzzing: each takes any bytes, never panics, and asserts what holds for every input.

use crate::command::Command;
use crate::event::{Event, Stream};
use crate::lock::LockedBy;
use crate::node::{careful, scan};
use crate::outcome::{Evidence, Exit};
use crate::parser::{Decoded, LineSplitter, Parser};
use crate::retention::Policy;
use crate::timestamp::Timestamp;
use crate::version::Version;

/// Lines of both streams, for several commands. No line disappears: each that is not empty gives a value in the end.
pub fn messages(data: &[u8]) {
    for command in [
        Command::Backup,
        Command::Ls,
        Command::Snapshots,
        Command::Cat,
        Command::Forget,
    ] {
        let mut parser = Parser::new(command);
        let mut evidence = Evidence::new(command);
        let mut splitter = LineSplitter::new(1 << 16);
        let (mut lines, mut values) = (0_usize, 0_usize);
        let mut chunks = data.chunks(7);
        let mut line = |line: &[u8]| {
            if !line.iter().all(u8::is_ascii_whitespace) {
                lines += 1;
            }
            parser.line(Stream::Stdout, line, &mut |value| {
                values += 1;
                let _ = value.to_value();
                if let Decoded::Event(event) = &value {
                    evidence.observe(event);
                }
            });
        };
        for chunk in chunks.by_ref() {
            splitter.push(chunk, &mut line);
        }
        splitter.finish(&mut line);
        parser.finish(&mut |value| {
            values += 1;
            assert!(matches!(value, Decoded::Event(Event::Notice(ref it)) if it.cut));
        });
        assert!(lines == 0 || values > 0, "{lines} lines gave no value");
        let _ = evidence.judge(Exit::Code(1), false);
        let _ = evidence.message();
    }
    let text = String::from_utf8_lossy(data);
    let _ = Version::from_output(&text);
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
    }
}

/// A line of `ls`: where the quick reader answers, the careful one answers the same.
pub fn nodes(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else {
        return;
    };
    if let (Some(quick), Some(careful)) = (scan(line), careful(line)) {
        assert_eq!(quick, careful);
    }
}

/// The text of a policy: what was understood is printed so that it is understood again, and so are its arguments.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(policy) = text.parse::<Policy>() else {
        return;
    };
    let args = policy.to_args();
    let read = crate::retention::ForgetArgs::parse(&args).map(|args| args.policy);
    assert_eq!(read.as_ref(), Ok(&policy));
    // A tag may hold what separates rules; every other policy is its own text.
    if policy.tags.is_empty() {
        assert_eq!(policy.to_string().parse::<Policy>().as_ref(), Ok(&policy));
    }
}

/// The sentence about a lock.
pub fn lock(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(lock) = LockedBy::from_text(&text) {
        assert!(!lock.host.contains('\n') && !lock.user.contains('\n'));
    }
}
