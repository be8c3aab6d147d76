//! What criterion measured, as a table for a README.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

/// One benchmark: its name, the median of one round, and what it worked through in that time.
#[derive(Debug, PartialEq)]
pub(super) struct Figure {
    name: String,
    nanoseconds: f64,
    throughput: Option<Throughput>,
}

#[derive(Debug, PartialEq)]
enum Throughput {
    Bytes(f64),
    Elements(f64),
}

/// All figures below `folder` that were written after `since`, by name.
pub(super) fn read(folder: &Path, since: SystemTime) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let inner = entries.filter_map(Result::ok).map(|entry| entry.path());
        folders.extend(inner.filter(|path| path.is_dir()));
        if folder.ends_with("new") && is_newer(&folder.join("estimates.json"), since) {
            figures.extend(figure(&folder));
        }
    }
    figures.sort_by(|left, right| left.name.cmp(&right.name));
    figures
}

fn is_newer(path: &PathBuf, since: SystemTime) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified >= since)
}

fn figure(folder: &Path) -> Option<Figure> {
    let json = |name: &str| -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(folder.join(name)).ok()?).ok()
    };
    let benchmark = json("benchmark.json")?;
    let throughput = match &benchmark["throughput"] {
        Value::Object(one) => one.iter().find_map(|(unit, number)| {
            let number = number.as_f64()?;
            Some(match unit.as_str() {
                "Bytes" | "BytesDecimal" => Throughput::Bytes(number),
                _ => Throughput::Elements(number),
            })
        }),
        _ => None,
    };
    Some(Figure {
        name: benchmark["full_id"].as_str()?.to_owned(),
        nanoseconds: json("estimates.json")?["median"]["point_estimate"].as_f64()?,
        throughput,
    })
}

/// The table in Markdown.
pub(super) fn markdown(figures: &[Figure]) -> String {
    let mut text = String::from("| benchmark | median | throughput |\n| --- | --: | --: |\n");
    for figure in figures {
        let per_second = |count: f64| count * 1e9 / figure.nanoseconds;
        let throughput = match figure.throughput {
            None => String::new(),
            Some(Throughput::Bytes(bytes)) => format!("{:.1} MB/s", per_second(bytes) / 1e6),
            Some(Throughput::Elements(count)) => format!("{:.0}/s", per_second(count)),
        };
        let time = duration(figure.nanoseconds);
        text.push_str(&format!("| {} | {time} | {throughput} |\n", figure.name));
    }
    text
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        short if short < 1e3 => format!("{short:.0} ns"),
        short if short < 1e6 => format!("{:.1} µs", short / 1e3),
        long if long < 1e9 => format!("{:.1} ms", long / 1e6),
        long => format!("{:.2} s", long / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_criterion_leaves_is_read() {
        let root = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let new = root.join("parse/large/new");
        fs::create_dir_all(&new).unwrap();
        let since = SystemTime::UNIX_EPOCH;
        fs::write(
            new.join("estimates.json"),
            r#"{"median": {"point_estimate": 2000000.0}}"#,
        )
        .unwrap();
        fs::write(
            new.join("benchmark.json"),
            r#"{"full_id": "parse/large", "throughput": {"Bytes": 1000000}}"#,
        )
        .unwrap();
        let figures = read(&root, since);
        assert_eq!(
            markdown(&figures).lines().nth(2),
            Some("| parse/large | 2.0 ms | 500.0 MB/s |")
        );
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert!(read(&root, later).is_empty());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_duration_has_the_unit_that_fits() {
        assert_eq!(duration(12.3), "12 ns");
        assert_eq!(duration(12_300.0), "12.3 µs");
        assert_eq!(duration(2.5e9), "2.50 s");
    }
}
