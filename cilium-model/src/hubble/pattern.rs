//! Patterns of DNS and node names.

/// A name pattern: literal pieces around stars.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    /// A DNS name with stars; case and one trailing dot do not matter.
    pub(super) fn fqdn(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        if name.ends_with('.') {
            return Err("more than one trailing dot".to_owned());
        }
        Self::compile(name)
    }

    fn compile(name: &str) -> Result<Self, String> {
        let allowed = |c: char| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | '*')
        };
        if let Some(wrong) = name.chars().find(|c| !allowed(*c)) {
            return Err(format!("{wrong:?} has no place in a name"));
        }
        Ok(Self(name.split('*').map(str::to_owned).collect()))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else {
            return false;
        };
        let Some(mut text) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return text.is_empty();
        };
        for piece in middle {
            match text.find(piece.as_str()) {
                Some(at) => text = &text[at + piece.len()..],
                None => return false,
            }
        }
        text.len() >= last.len() && text.ends_with(last.as_str())
    }
}

/// A node, `cluster/node`: without a slash in any cluster, with nothing behind the slash any node.
#[derive(Clone, Debug)]
pub(super) struct NodePattern {
    cluster: Option<Pattern>,
    node: Option<Pattern>,
}

impl NodePattern {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if lower.ends_with("..") {
            return Err("more than one trailing dot".to_owned());
        }
        let parts: Vec<&str> = lower.split('/').collect();
        let part = |text: &str| {
            (!text.is_empty())
                .then(|| Pattern::compile(text))
                .transpose()
        };
        match parts.as_slice() {
            [node] => Ok(Self {
                cluster: None,
                node: part(node)?,
            }),
            [cluster, node] => Ok(Self {
                cluster: part(cluster)?,
                node: part(node)?,
            }),
            _ => Err("more than one slash".to_owned()),
        }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let (cluster, node) = name.split_once('/').unwrap_or(("default", name));
        let fits = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|p| p.matches(text))
        };
        fits(&self.cluster, cluster) && fits(&self.node, node)
    }
}
