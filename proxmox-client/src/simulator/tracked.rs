//! A map that knows which of its entries may have changed since somebody asked.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads like the map that it holds; who gets hold of an entry to change it has touched it.
#[derive(Debug, Clone)]
pub(super) struct Tracked<K, V> {
    entries: BTreeMap<K, V>,
    touched: BTreeSet<K>,
}

impl<K: Ord + Clone, V> Tracked<K, V> {
    pub(super) const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (known, _) = self.entries.get_key_value(key)?;
        if !self.touched.contains(key) {
            self.touched.insert(known.clone());
        }
        self.entries.get_mut(key)
    }

    pub(super) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.touched.insert(key.clone());
        self.entries.entry(key).or_insert_with(make)
    }

    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.touched.insert(key.clone());
        self.entries.insert(key, value)
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (key, value) = self.entries.remove_entry(key)?;
        self.touched.insert(key);
        Some(value)
    }

    /// The keys of what may have changed, come or gone since this was asked last.
    pub(super) fn take_touched(&mut self) -> BTreeSet<K> {
        std::mem::take(&mut self.touched)
    }
}

impl<K, V> Deref for Tracked<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl<'a, K, V> IntoIterator for &'a Tracked<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::collections::btree_map::Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl<K: Serialize, V: Serialize> Serialize for Tracked<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

impl<'de, K: Deserialize<'de> + Ord + Clone, V: Deserialize<'de>> Deserialize<'de>
    for Tracked<K, V>
{
    /// What was touched before it was written is not known, so all of it may have been.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = BTreeMap::<K, V>::deserialize(deserializer)?;
        let touched = entries.keys().cloned().collect();
        Ok(Self { entries, touched })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_touched_is_told_once_and_reading_touches_nothing() {
        let mut map = Tracked::new();
        map.insert("a".to_owned(), 1);
        map.insert("b".to_owned(), 2);
        assert_eq!(map.take_touched().len(), 2);
        assert_eq!(map.get("a"), Some(&1));
        assert_eq!(map.take_touched().len(), 0);
        *map.get_mut("a").unwrap() = 3;
        assert_eq!(map.get_mut("c"), None);
        assert_eq!(map.remove("b"), Some(2));
        assert_eq!(map.remove("c"), None);
        let touched = map.take_touched();
        assert_eq!(touched.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn all_that_was_read_back_may_have_changed() {
        let mut map = Tracked::new();
        map.insert("a".to_owned(), 1);
        map.take_touched();
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(text, r#"{"a":1}"#);
        let mut read: Tracked<String, i32> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.take_touched().len(), 1);
    }
}
