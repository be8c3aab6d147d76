//! Texts for other programs, made from a [`Config`](crate::Config) or a [`Plan`](crate::Plan).

pub mod quick;
