//! Enumerations that stay open: a value that this version does not know survives as it came.

/// Makes an enumeration of texts with a variant `Other` for what a newer server may say.
macro_rules! open_enum {
    ($(#[$meta:meta])* pub enum $Name:ident {
        $( $(#[$vm:meta])* $Variant:ident = $text:literal, )*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $Name {
            $( $(#[$vm])* $Variant, )*
            /// A value that this version does not name.
            Other(String),
        }

        impl $Name {
            /// The value as the interface spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$Variant => $text, )*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $Name {
            fn from(text: &str) -> Self {
                match text {
                    $( $text => Self::$Variant, )*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::scalar::Field for $Name {
            fn from_raw(raw: $crate::scalar::Raw<'_>) -> Option<Self> {
                match raw {
                    $crate::scalar::Raw::Text(text) => Some(Self::from(text)),
                    _ => None,
                }
            }
            fn to_value(&self) -> serde_json::Value {
                self.as_str().into()
            }
        }
    };
}

pub(crate) use open_enum;
