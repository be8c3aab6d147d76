//! Comparing JSON by meaning, and saying where two values part.

use serde_json::Value;

/// Where `output` first differs from `expected`, as an RFC 6901 pointer and both values; `None` when they
/// are equal. The order of keys does not matter, the order of lists does; `1` and `1.0` are the same number.
#[allow(dead_code, reason = "a build with no crate's feature has no suite")]
pub(crate) fn first_difference(expected: &Value, output: &Value) -> Option<String> {
    let mut pointer = String::new();
    differ(expected, output, &mut pointer, false).map(at_the_top)
}

/// [`first_difference`] in which the order of lists does not matter either.
#[allow(dead_code, reason = "a build with no crate's feature has no suite")]
pub(crate) fn first_difference_unordered(expected: &Value, output: &Value) -> Option<String> {
    let mut pointer = String::new();
    differ(expected, output, &mut pointer, true).map(at_the_top)
}

/// The empty pointer means the whole value; nobody reads that in front of a colon.
fn at_the_top(found: String) -> String {
    match found.strip_prefix(": ") {
        Some(rest) => rest.to_owned(),
        None => found,
    }
}

fn differ(
    expected: &Value,
    output: &Value,
    pointer: &mut String,
    unordered: bool,
) -> Option<String> {
    let length = pointer.len();
    match (expected, output) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                push(pointer, key);
                let found = match right.get(key) {
                    None => Some(format!("{pointer}: missing, expected {}", short(value))),
                    Some(other) => differ(value, other, pointer, unordered),
                };
                if found.is_some() {
                    return found;
                }
                pointer.truncate(length);
            }
            let (key, value) = right.iter().find(|(key, _)| !left.contains_key(*key))?;
            push(pointer, key);
            Some(format!("{pointer}: not expected: {}", short(value)))
        }
        (Value::Array(left), Value::Array(right)) if unordered => {
            let mut rest: Vec<&Value> = right.iter().collect();
            for value in left {
                let same =
                    |other: &&Value| differ(value, other, &mut String::new(), true).is_none();
                match rest.iter().position(same) {
                    Some(at) => drop(rest.swap_remove(at)),
                    None => {
                        return Some(format!("{pointer}: missing in the list: {}", short(value)));
                    }
                }
            }
            let extra = rest.first()?;
            Some(format!(
                "{pointer}: not expected in the list: {}",
                short(extra)
            ))
        }
        (Value::Array(left), Value::Array(right)) => {
            for (at, (value, other)) in left.iter().zip(right).enumerate() {
                push(pointer, &at.to_string());
                let found = differ(value, other, pointer, unordered);
                if found.is_some() {
                    return found;
                }
                pointer.truncate(length);
            }
            if left.len() == right.len() {
                return None;
            }
            Some(format!(
                "{pointer}: {} elements, expected {}",
                right.len(),
                left.len()
            ))
        }
        (Value::Number(left), Value::Number(right))
            if (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64() =>
        {
            None
        }
        _ if expected == output => None,
        _ => Some(format!(
            "{pointer}: {}, expected {}",
            short(output),
            short(expected)
        )),
    }
}

fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 300;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn key_order_and_number_form_do_not_matter() {
        let left: Value = serde_json::from_str(r#"{"a": 1, "b": [2.0]}"#).unwrap();
        let right: Value = serde_json::from_str(r#"{"b": [2], "a": 1.0}"#).unwrap();
        assert_eq!(first_difference(&left, &right), None);
    }

    #[test]
    fn large_integers_are_not_compared_as_floats_when_equal_only_there() {
        let left = json!(9_007_199_254_740_993_u64);
        let right = json!(9_007_199_254_740_992_u64);
        assert!(first_difference(&left, &right).is_some());
    }

    #[test]
    fn the_place_is_a_pointer() {
        let found = first_difference(
            &json!({"a/b": [1, {"c": 2}]}),
            &json!({"a/b": [1, {"c": 3}]}),
        );
        assert_eq!(found.as_deref(), Some("/a~1b/1/c: 3, expected 2"));
    }

    #[test]
    fn a_key_too_much_and_a_key_too_few_are_both_said() {
        assert_eq!(
            first_difference(&json!({"a": 1}), &json!({})).as_deref(),
            Some("/a: missing, expected 1")
        );
        assert_eq!(
            first_difference(&json!({}), &json!({"a": 1})).as_deref(),
            Some("/a: not expected: 1")
        );
    }

    #[test]
    fn lists_are_sets_only_when_asked() {
        let (left, right) = (json!([1, 2, 2]), json!([2, 1, 2]));
        assert!(first_difference(&left, &right).is_some());
        assert_eq!(first_difference_unordered(&left, &right), None);
        assert!(first_difference_unordered(&left, &json!([1, 2, 1])).is_some());
    }
}
