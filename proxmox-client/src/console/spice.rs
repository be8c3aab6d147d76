//! What a SPICE viewer needs to connect.

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::required;
use crate::error::Result;
use crate::secret::{Members, secret};

/// The answer to a call for a SPICE console.
#[derive(Clone)]
pub struct SpiceTicket {
    host: String,
    proxy: Option<String>,
    /// All of it, since it holds the password.
    file: SecretString,
}

impl SpiceTicket {
    pub(super) fn read(answer: &Members) -> Result<Self> {
        let mut lines = Zeroizing::new(Vec::new());
        for (name, value) in answer.iter() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(flag) => u8::from(*flag).to_string(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => continue,
            };
            // A value is one line: lines of the certificate are told by `\n` in letters.
            let text = Zeroizing::new(text);
            let text = Zeroizing::new(text.replace("\r\n", "\\n"));
            let text = text.replace(['\n', '\r'], "\\n");
            lines.extend([name.clone(), "=".to_owned(), text, "\n".to_owned()]);
        }
        let mut file = vec!["[virt-viewer]\n"];
        file.extend(lines.iter().map(String::as_str));
        Ok(Self {
            host: required(answer, "host")?.to_owned(),
            proxy: answer
                .get("proxy")
                .and_then(Value::as_str)
                .map(str::to_owned),
            file: secret(&file),
        })
    }

    /// What the server calls the console to the proxy; no name that resolves.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy on the node that leads to the console, such as `http://pve1:3128`.
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// The text of a `.vv` file for `remote-viewer`. It holds the password.
    pub fn viewer_file(&self) -> &str {
        self.file.expose_secret()
    }
}

impl fmt::Debug for SpiceTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpiceTicket")
            .field("host", &self.host)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_viewers_file_has_one_line_for_each_value() {
        let answer = json!({
            "type": "spice", "host": "pvespiceproxy:1:100:pve1::s", "proxy": "http://pve1:3128", "tls-port": 61000,
            "password": "s3cret", "ca": "-----BEGIN\\nAAAA\\n", "title": "VM 100\nhost=evil", "delete-this-file": 1,
        });
        let ticket = SpiceTicket::read(&answer.as_object().unwrap().clone().into()).unwrap();
        assert_eq!(
            ticket.viewer_file(),
            "[virt-viewer]\ntype=spice\nhost=pvespiceproxy:1:100:pve1::s\nproxy=http://pve1:3128\ntls-port=61000\n\
             password=s3cret\nca=-----BEGIN\\nAAAA\\n\ntitle=VM 100\\nhost=evil\ndelete-this-file=1\n"
        );
        assert_eq!(ticket.proxy(), Some("http://pve1:3128"));
        assert!(!format!("{ticket:?}").contains("s3cret"));
    }
}
