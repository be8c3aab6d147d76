//! Requests as they are sent and answers as they are decoded, without a socket.

mod answer;
mod form;
mod request;

pub use answer::{Answer, Envelope};
pub use form::{escape, unescape};
pub use request::{Method, Params, Request};
