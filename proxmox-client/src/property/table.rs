//! What the tables of property strings are made of.

pub(crate) use super::Format;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    Flag,
    Integer(Option<i64>, Option<i64>),
    Number(Option<f64>, Option<f64>),
    Text,
    /// A format that the schema names.
    Named(&'static str),
    Pattern(&'static str),
    Enum(&'static [&'static str]),
    #[allow(dead_code, reason = "only configuration files have keys of this kind")]
    Property(&'static [Sub]),
}

/// A key within a property string.
#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) name: &'static str,
    /// The key that this is another spelling of.
    pub(crate) alias: Option<&'static str>,
    /// Whether its own name is the value of the key that a bare value belongs to.
    pub(crate) naming: bool,
    /// Whether a bare value is this key's.
    pub(crate) bare: bool,
    pub(crate) required: bool,
    /// The key that must stand there too.
    pub(crate) requires: Option<&'static str>,
    pub(crate) kind: Kind,
}

impl Sub {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            alias: None,
            naming: false,
            bare: false,
            required: false,
            requires: None,
            kind,
        }
    }

    pub(crate) const fn alias(name: &'static str, of: &'static str) -> Self {
        let mut sub = Self::new(name, Kind::Text);
        sub.alias = Some(of);
        sub
    }

    pub(crate) const fn naming(mut self) -> Self {
        self.naming = true;
        self
    }

    pub(crate) const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    pub(crate) const fn requires(mut self, other: &'static str) -> Self {
        self.requires = Some(other);
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}
