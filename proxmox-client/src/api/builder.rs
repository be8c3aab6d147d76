//! Collects a call's parameters.

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Error, Result};
use crate::wire::{Method, Request};

/// A request under construction; the first problem is kept until it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    request: Request,
    problem: Option<String>,
}

impl Builder {
    pub(crate) fn new(method: Method, template: &str, values: &[&str]) -> Self {
        let empty = values.iter().any(|value| value.is_empty());
        let problem = empty.then(|| format!("a value of the path {template} is empty"));
        Self {
            request: Request::new(method, template, values),
            problem,
        }
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.request.params_mut().push(name, value);
        self
    }

    pub(crate) fn secret(self, name: &str, value: impl Into<SecretString>) -> Self {
        self.text(name, value.into().expose_secret())
    }

    pub(crate) fn secrets<S: Into<SecretString>>(
        self,
        name: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        let values = values.into_iter();
        values.fold(self, |builder, value| builder.secret(name, value))
    }

    pub(crate) fn flag(mut self, name: &str, value: bool) -> Self {
        self.request.params_mut().push_flag(name, value);
        self
    }

    pub(crate) fn integer(self, name: &str, value: i64) -> Self {
        self.text(name, &value.to_string())
    }

    pub(crate) fn number(mut self, name: &str, value: f64) -> Self {
        if !value.is_finite() {
            self.problem
                .get_or_insert(format!("`{name}` is not a finite number"));
        }
        self.text(name, &value.to_string())
    }

    pub(crate) fn list(mut self, name: &str, values: &[&str]) -> Self {
        for value in values {
            self.request.params_mut().push(name, *value);
        }
        self
    }

    pub(crate) fn indexed(mut self, stem: &str, index: u16, last: u16, value: &str) -> Self {
        if index > last {
            self.problem
                .get_or_insert(format!("`{stem}{index}`: the last one is {stem}{last}"));
        }
        self.text(&format!("{stem}{index}"), value)
    }

    pub(crate) fn build(self) -> Result<Request> {
        match self.problem {
            Some(problem) => Err(Error::invalid(problem)),
            None => Ok(self.request),
        }
    }
}
