//! `cargo xtask soak`: the runs that are too long for every change.
//!
//! The tests decide what long means: they read `SOAK` (every point of failure instead of one of each
//! class), `FUZZ_SECONDS` and `PROPTEST_CASES`.

use anyhow::{Context, bail};

use crate::peers::Census;
use crate::test;

const PROPERTY_CASES: u32 = 4096;

/// `cargo xtask soak [--seconds N]`
pub(crate) fn command(words: &[String]) -> anyhow::Result<bool> {
    let seconds = seconds(words)?;
    let census = Census::take();
    let mut command = if test::has_nextest() {
        test::nextest(&test::all_features(), &[])
    } else {
        test::tests_alone(&[])
    };
    command
        .env("SOAK", "1")
        .env("FUZZ_SECONDS", seconds.to_string())
        .env("PROPTEST_CASES", PROPERTY_CASES.to_string());
    let run = test::run("soak", command)?;
    run.print();
    census.print();
    Ok(run.passed)
}

fn seconds(words: &[String]) -> anyhow::Result<u32> {
    match words {
        [] => Ok(300),
        [option, number] if option == "--seconds" => number
            .parse()
            .with_context(|| format!("{number:?} is not a number of seconds")),
        _ => bail!("soak knows --seconds N"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_number() {
        let words = |list: &[&str]| {
            list.iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(seconds(&[]).unwrap(), 300);
        assert_eq!(seconds(&words(&["--seconds", "5"])).unwrap(), 5);
        assert!(seconds(&words(&["--seconds", "soon"])).is_err());
        assert!(seconds(&words(&["5"])).is_err());
    }
}
