//! What the table of keys is made of.

/// A configuration key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Name, without the number of numbered keys.
    pub(crate) stem: &'static str,
    /// The highest number of numbered keys.
    pub(crate) last: Option<u16>,
    pub(crate) kind: Kind,
}

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Kind {
    Flag,
    Integer(Option<i64>, Option<i64>),
    Number,
    Text,
    Enum(&'static [&'static str]),
    Property(&'static [Sub]),
}

/// A key within a property string.
#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) name: &'static str,
    /// The key that this is another spelling of.
    pub(crate) alias: Option<&'static str>,
    /// Whether a bare value is this key's.
    pub(crate) bare: bool,
    pub(crate) required: bool,
    pub(crate) kind: Kind,
}
