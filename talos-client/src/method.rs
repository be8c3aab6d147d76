//! Method constants: the path of a method with the messages that it takes and gives.
//!
//! The constants stand beside the messages in [`api`](crate::api); [`Node::unary`](crate::Node::unary) and its kin take
//! them, so that methods without a typed handle have the same routing, errors and timeouts.

use std::fmt;
use std::marker::PhantomData;

use prost::{Message, Name};

use crate::dynamic::AnyMethod;

macro_rules! method {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<Q, A> {
            pub(crate) path: &'static str,
            messages: PhantomData<fn(Q) -> A>,
        }

        impl<Q, A> $name<Q, A> {
            pub(crate) const fn new(path: &'static str) -> Self {
                Self { path, messages: PhantomData }
            }

            /// `/package.Service/Method`.
            pub const fn path(&self) -> &'static str {
                self.path
            }
        }

        impl<Q, A> $name<Q, A>
        where
            Q: Message + Default + Name,
            A: Message + Default + Name,
        {
            /// The method without the types of its messages.
            pub const fn any(&self) -> AnyMethod {
                AnyMethod::new::<Q, A>(self.path)
            }
        }

        impl<Q, A> Clone for $name<Q, A> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<Q, A> Copy for $name<Q, A> {}

        impl<Q, A> fmt::Debug for $name<Q, A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.path)
            }
        }
    };
}

method! {
    /// One request, one answer.
    Unary
}
method! {
    /// One request, a stream of answers.
    ServerStream
}
method! {
    /// A stream of requests, one answer.
    ClientStream
}
method! {
    /// Streams both ways.
    Bidirectional
}
