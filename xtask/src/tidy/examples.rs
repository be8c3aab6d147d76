//! What a user calls is shown at work: each method that talks to a server has an example, or names what shows it.

use std::collections::BTreeSet;

use super::{Problem, Source};

/// Where the rule holds, and the folders below that no user calls into.
const SHOWN: &str = "proxmox-client/src/";
const OTHERS: &[&str] = &["simulator", "blocking", "generated"];

const LINK: &str = "Example: see ";

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let sources: Vec<&Source> = sources.iter().filter(|source| is_shown(source)).collect();
    let items: Vec<(&Source, Item<'_>)> = sources
        .iter()
        .flat_map(|source| items(source).into_iter().map(move |item| (*source, item)))
        .collect();
    let examples: BTreeSet<&str> = items
        .iter()
        .filter(|(_, item)| item.has_example)
        .map(|(_, item)| item.name)
        .collect();
    let mut problems = Vec::new();
    for (source, item) in &items {
        let what = match item.link {
            _ if item.has_example || !item.is_call => continue,
            Some(link) => match targets(link).find(|target| !examples.contains(target)) {
                Some(target) => {
                    format!("`{}` refers to `{target}`, which has no example", item.name)
                }
                None if targets(link).next().is_none() => {
                    format!("`{}` refers to no example by its name", item.name)
                }
                None => continue,
            },
            None => format!("`{}` has no example", item.name),
        };
        let remedy = format!("show it against the simulator, or write \"{LINK}[`name`]\"");
        problems.push(Problem::new(&source.path, item.line, what, remedy));
    }
    problems
}

fn is_shown(source: &Source) -> bool {
    let Some(below) = source.path.strip_prefix(SHOWN) else {
        return false;
    };
    let mut parts = below.split('/').map(|part| part.trim_end_matches(".rs"));
    source.is_rust() && !parts.any(|part| OTHERS.contains(&part))
}

/// Something public, and what its documentation shows.
struct Item<'a> {
    name: &'a str,
    line: usize,
    /// Whether it is a method that waits for a server.
    is_call: bool,
    has_example: bool,
    /// What stands behind "Example: see".
    link: Option<&'a str>,
}

/// The public items of a file, and the file's module itself.
fn items(source: &Source) -> Vec<Item<'_>> {
    let stem = source.file_name().trim_end_matches(".rs");
    let mut module = Item {
        name: stem,
        line: 1,
        is_call: false,
        has_example: false,
        link: None,
    };
    let mut items = Vec::new();
    let (mut has_example, mut link) = (false, None);
    let lines: Vec<(usize, &str)> = source.lines().collect();
    for (at, (line, text)) in lines.iter().enumerate() {
        let text = text.trim();
        if text == "#[cfg(test)]" {
            break;
        }
        module.has_example |= text.starts_with("//! ```");
        if let Some(comment) = text.strip_prefix("/// ") {
            has_example |= comment.starts_with("```");
            link = comment.strip_prefix(LINK).or(link);
            continue;
        }
        if let Some(name) = name(text) {
            items.push(Item {
                name,
                line: *line,
                is_call: is_call(&lines[at..]),
                has_example,
                link,
            });
        }
        // Attributes stand between a comment and its item.
        if text.is_empty() || text.ends_with(['{', '}', ';']) {
            (has_example, link) = (false, None);
        }
    }
    items.push(module);
    items
}

/// The name of the public item that begins in this line.
fn name(text: &str) -> Option<&str> {
    let text = text.strip_prefix("pub ")?;
    let text = text.strip_prefix("async ").unwrap_or(text);
    let (kind, rest) = text.split_once(' ')?;
    let is_item = matches!(kind, "fn" | "struct" | "enum" | "trait" | "type");
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    is_item.then(|| &rest[..end.unwrap_or(rest.len())])
}

/// Whether the function that begins here is asynchronous, or gives a call that has yet to be awaited.
fn is_call(lines: &[(usize, &str)]) -> bool {
    let end = lines.iter().position(|(_, line)| line.contains(['{', ';']));
    let lines = &lines[..=end.unwrap_or(0)];
    let signature: String = lines.iter().map(|(_, line)| line.trim()).collect();
    let gives_call = || signature.contains("-> TaskCall<") || signature.contains("-> impl Stream<");
    signature.starts_with("pub async fn ") || signature.starts_with("pub fn ") && gives_call()
}

/// The names that links lead to: the path in parentheses where there is one, else what stands in backticks.
fn targets(link: &str) -> impl Iterator<Item = &str> {
    link.split('[').skip(1).filter_map(|link| {
        let (text, rest) = link.split_once(']')?;
        let path = rest
            .strip_prefix('(')
            .and_then(|rest| rest.split(')').next());
        let name = path.unwrap_or(text).trim_matches('`');
        name.rsplit("::").next()
    })
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let found = check(&[source("proxmox-client/src/pool.rs", text)]);
        let told = found.iter().map(|it| format!("{}: {}", it.line, it.what));
        told.collect()
    }

    #[test]
    fn a_call_has_an_example_or_names_one() {
        let text = "impl Pool {\n    /// Gets.\n    ///\n    /// ```\n    /// x\n    /// ```\n    pub async fn get(&self) {}\n\n\
            \x20   /// Makes.\n    ///\n    /// Example: see [`get`](Self::get).\n    #[must_use]\n    pub fn make(\n        &self,\n    ) -> TaskCall<()> {\n    }\n\n\
            \x20   /// Takes no time.\n    pub fn id(&self) -> &str {\n    }\n}\n";
        assert!(told(text).is_empty());
        let bare = "/// Gets.\npub async fn get(&self) {}\n\n/// Makes.\npub fn make(\n    &self,\n) -> TaskCall<()> {\n";
        assert_eq!(
            told(bare),
            ["2: `get` has no example", "5: `make` has no example"]
        );
    }

    #[test]
    fn an_example_that_is_referred_to_is_there() {
        let text = "/// Example: see [`Pool`].\npub async fn get(&self) {}\n";
        assert_eq!(
            told(text),
            ["2: `get` refers to `Pool`, which has no example"]
        );
        let shown = format!("{text}/// ```\n/// ```\npub struct Pool;\n");
        assert!(told(&shown).is_empty());
        let module = "//! ```\n//! ```\n/// Example: see [the module](crate::pool).\npub async fn get(&self) {}\n";
        assert!(told(module).is_empty());
        let vague = "/// Example: see above.\npub async fn get(&self) {}\n";
        assert_eq!(told(vague), ["2: `get` refers to no example by its name"]);
    }

    #[test]
    fn other_crates_and_what_is_generated_are_left_alone() {
        for path in [
            "talos-client/src/machine.rs",
            "proxmox-client/src/simulator/handle.rs",
            "proxmox-client/src/generated/api/qemu.rs",
        ] {
            assert!(check(&[source(path, "pub async fn get(&self) {}\n")]).is_empty());
        }
    }
}
