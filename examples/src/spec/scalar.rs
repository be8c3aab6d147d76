//! Plain values of the file: text, truth values, whole numbers.

use super::decode::{Bad, Scalar};

/// Implements `Serialize` through `Display`.
macro_rules! as_text {
    ($($name:ty),+) => { $(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )+ };
}
pub(crate) use as_text;

impl Scalar for String {
    const WHAT: &'static str = "text";
    const TEXT: bool = true;

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        if text.trim().is_empty() {
            return Err(Bad::new("wrong-type", format!("{path} is empty text"))
                .help("leave the key out for the default"));
        }
        Ok(text.to_owned())
    }

    fn placeholder() -> Self {
        String::new()
    }
}

impl Scalar for bool {
    const WHAT: &'static str = "true or false";

    fn parse(path: &str, text: &str) -> Result<Self, Bad> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Bad::new(
                "wrong-type",
                format!("{path} \"{text}\" is neither true nor false"),
            )
            .help("write true or false; yes, on and 1 mean different things to different readers")),
        }
    }

    fn placeholder() -> Self {
        false
    }
}

macro_rules! whole_number {
    ($($int:ty),+) => { $(
        impl Scalar for $int {
            const WHAT: &'static str = "a whole number";

            fn parse(path: &str, text: &str) -> Result<Self, Bad> {
                let decimal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                if !decimal || (text.len() > 1 && text.starts_with('0')) {
                    return Err(Bad::new("wrong-type", format!("{path} \"{text}\" is not a whole number"))
                        .help("digits only, without sign, unit or leading zero"));
                }
                text.parse().map_err(|_| {
                    Bad::new("wrong-type", format!("{path} {text} is larger than {}", <$int>::MAX)).help("a smaller number")
                })
            }

            fn placeholder() -> Self {
                0
            }
        }
    )+ };
}
whole_number!(u16, u32, u64);
