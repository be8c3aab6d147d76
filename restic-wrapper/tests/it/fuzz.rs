//! Feeds mutated seeds to every parser for `FUZZ_SECONDS` (1 by default): no panic, and what holds for every input.

use std::time::{Duration, Instant};

use restic_wrapper::fuzzing;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

fn mutate(random: &mut Random, seeds: &[&[u8]]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 => input.truncate(at),
            2 => input.insert(at, u8::try_from(random.below(256)).unwrap()),
            3 if at < input.len() => {
                input.remove(at);
            }
            4 => {
                let other = seeds[random.below(seeds.len())];
                let (from, to) = (random.below(other.len()), random.below(other.len()));
                input.splice(at..at, other[from.min(to)..from.max(to)].iter().copied());
            }
            _ => {
                let odd = *b"{}[]\"\\:,\n\0\xff\x1b-9";
                input.insert(at, odd[random.below(odd.len())]);
            }
        }
    }
    input
}

fn run(target: fn(&[u8]), seeds: &[&[u8]]) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs_f64(seconds.unwrap_or(1.0) / 4.0);
    let mut random = Random(42);
    for seed in seeds {
        target(seed);
    }
    let mut rounds = 0_u64;
    while Instant::now() < until || rounds < 500 {
        let input = mutate(&mut random, seeds);
        let shown = String::from_utf8_lossy(&input).into_owned();
        let result = std::panic::catch_unwind(|| target(&input));
        assert!(result.is_ok(), "after {rounds} rounds: {shown:?}");
        rounds += 1;
    }
}

#[test]
fn message_lines_never_panic_and_lose_nothing() {
    run(
        fuzzing::messages,
        &[
            br#"{"message_type":"status","percent_done":0.5,"current_files":["/a"]}"#,
            br#"{"message_type":"summary","files_new":1,"snapshot_id":"ab","backup_start":"2026-11-20T12:25:42.25Z"}"#,
            br#"{"message_type":"error","error":{"Op":"open","Path":"f","Err":13},"during":"archival","item":"/f"}"#,
            br#"[{"time":"2026-11-20T12:25:42.25+01:00","paths":["/a"],"tags":null,"id":"00"}]"#,
            b"{\n  \"version\": 2,\n  \"id\": \"ab\",\n  \"chunker_polynomial\": \"1\"\n}",
            b"[0:07] 28.57%  2 / 7 packs processed",
            b"text {\"message_type\":\"exit_error\",\"code\":1}",
            b"\x1b[2Ksignal interrupt received, cleaning up",
            br#"{"name":"a","type":"file","path":"/a\u00e9","size":1,"mode":420,"struct_type":"node"}"#,
        ],
    );
}

#[test]
fn nodes_are_read_by_hand_as_by_a_json_library() {
    run(
        fuzzing::nodes,
        &[
            br#"{"name":"a","type":"file","path":"/a\"\u00e9","uid":0,"gid":0,"size":1,"mode":420,"mtime":"2026-11-20T12:25:42Z","inode":7,"message_type":"node","struct_type":"node"}"#,
            br#"{"struct_type":"node","name":"d","type":"dir","path":"/d","mode":2147484141}"#,
        ],
    );
}

#[test]
fn policies_survive_being_printed() {
    run(
        fuzzing::policy,
        &[
            b"daily=7 weekly=5 monthly=12 within=3d tag=a,b",
            b"--keep-last=unlimited;within-yearly=1y2m3d4h",
            b"keep_hourly:24\nwithin_daily=99999y",
        ],
    );
}

#[test]
fn lock_messages_never_panic() {
    run(
        fuzzing::lock,
        &[
            b"repository is already locked exclusively by PID 5673 on host1 by root (UID 0, GID 0)\nlock was created at 2026-11-20 12:26:43 (1h3m3.755061656s ago)\nstorage ID cf066c41",
            b"already locked by PID 1 on h by a b (UID 1",
            b"lock was created at x (552.33ms ago)",
        ],
    );
}
