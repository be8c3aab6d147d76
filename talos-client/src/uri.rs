//! URLs as Talos reads and prints them: lenient about what stands before a scheme, strict about hosts and escapes.

use crate::quote::quote;

/// The parts of a URL, unescaped where that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uri {
    pub(crate) scheme: String,
    pub(crate) opaque: String,
    user: Option<String>,
    pub(crate) host: String,
    /// As written.
    pub(crate) path: String,
    query: Option<String>,
    fragment: Option<String>,
    /// `scheme:/path`, without an authority.
    no_authority: bool,
}

fn failed(text: &str, why: &str) -> String {
    format!("parse {}: {why}", quote(text))
}

/// Reads a URL or a part of one.
pub(crate) fn parse(text: &str) -> Result<Uri, String> {
    let (rest, fragment) = split(text, '#');
    let mut uri = reference(rest, false).map_err(|why| failed(rest, &why))?;
    if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
        escapes(fragment).map_err(|why| failed(text, &why))?;
        uri.fragment = Some(fragment.to_owned());
    }
    Ok(uri)
}

/// Reads an absolute URL or an absolute path.
pub(crate) fn parse_request(text: &str) -> Result<Uri, String> {
    reference(text, true).map_err(|why| failed(text, &why))
}

fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark)
        .map_or((text, None), |(head, tail)| (head, Some(tail)))
}

fn reference(text: &str, request: bool) -> Result<Uri, String> {
    if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && request {
        return Err("empty url".to_owned());
    }
    let mut uri = Uri::default();
    let rest = scheme(text, &mut uri.scheme)?;
    let (rest, query) = split(rest, '?');
    uri.query = query.map(str::to_owned);
    if !rest.starts_with('/') {
        if !uri.scheme.is_empty() {
            rest.clone_into(&mut uri.opaque);
            return Ok(uri);
        }
        if request && text != "*" {
            return Err("invalid URI for request".to_owned());
        }
        if rest
            .split('/')
            .next()
            .is_some_and(|first| first.contains(':'))
        {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let with_authority = !uri.scheme.is_empty() || (!request && !rest.starts_with("///"));
    let mut path = rest;
    match rest.strip_prefix("//") {
        Some(after) if with_authority => {
            let end = after.find('/').unwrap_or(after.len());
            authority(&after[..end], &mut uri)?;
            path = &after[end..];
        }
        _ => uri.no_authority = !uri.scheme.is_empty() && rest.starts_with('/'),
    }
    escapes(path)?;
    path.clone_into(&mut uri.path);
    Ok(uri)
}

fn scheme<'t>(text: &'t str, scheme: &mut String) -> Result<&'t str, String> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => {
                *scheme = text[..at].to_ascii_lowercase();
                return Ok(&text[at + 1..]);
            }
            _ => return Ok(text),
        }
    }
    Ok(text)
}

fn authority(text: &str, uri: &mut Uri) -> Result<(), String> {
    let host = match text.rsplit_once('@') {
        None => text,
        Some((user, host)) => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
            if !user.chars().all(allowed) {
                return Err("net/url: invalid userinfo".to_owned());
            }
            escapes(user)?;
            uri.user = Some(user.to_owned());
            host
        }
    };
    let port = |text: &str| match text.strip_prefix(':') {
        None => text.is_empty(),
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()),
    };
    if host.starts_with('[') {
        let Some(end) = host.rfind(']') else {
            return Err("missing ']' in host".to_owned());
        };
        let after = &host[end + 1..];
        if !port(after) {
            return Err(format!("invalid port {} after host", quote(after)));
        }
    } else if let Some(at) = host.rfind(':')
        && !port(&host[at..])
    {
        return Err(format!("invalid port {} after host", quote(&host[at..])));
    }
    for (at, c) in host.char_indices() {
        let fine = !c.is_ascii()
            || c.is_ascii_alphanumeric()
            || "-_.~!$&'()*+,;=:[]<>\"".contains(c)
            || (c == '%' && (host.starts_with('[') || is_host_escape(&host[at..])));
        if c == '%' && !fine {
            let end = (at + 3).min(host.len());
            let shown = host.get(at..end).unwrap_or("%");
            return Err(format!("invalid URL escape {}", quote(shown)));
        }
        if !fine {
            return Err(format!(
                "invalid character {} in host name",
                quote(&c.to_string())
            ));
        }
    }
    uri.host = if host.starts_with('[') {
        host.to_owned()
    } else {
        letters(host).ok_or_else(|| format!("invalid URL escape {}", quote(host)))?
    };
    Ok(())
}

/// In hosts only bytes of letters beyond ASCII, and `%` itself, may be escaped.
fn is_host_escape(text: &str) -> bool {
    match text.as_bytes() {
        [b'%', b'2', b'5', ..] => true,
        [b'%', high, low, ..] => {
            matches!(high, b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F') && low.is_ascii_hexdigit()
        }
        _ => false,
    }
}

/// The host with the escaped letters as such; `None` where they are no letters.
fn letters(host: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(host.len());
    let mut rest = host;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at..at + 3];
        if escape == "%25" {
            bytes.extend_from_slice(escape.as_bytes());
        } else {
            bytes.push(u8::from_str_radix(&escape[1..], 16).ok()?);
        }
        rest = &rest[at + 3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

fn escapes(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b'%') {
        let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
        if !hex(bytes.get(at + 1)) || !hex(bytes.get(at + 2)) {
            let end = (at..text.len().min(at + 3) + 1)
                .rev()
                .find(|end| text.is_char_boundary(*end))
                .unwrap_or(at);
            return Err(format!("invalid URL escape {}", quote(&text[at..end])));
        }
    }
    Ok(())
}

impl Uri {
    /// This URL with the parts that another one has in the place of its own; two users cannot be merged.
    pub(crate) fn merged(self, new: Self) -> Option<Self> {
        let pick = |old: String, new: String| if new.is_empty() { old } else { new };
        if self.user.is_some() && new.user.is_some() {
            return None;
        }
        let query = match (self.query, new.query) {
            (old, Some(new)) => Some(pick(old.unwrap_or_default(), new)),
            (old, None) => old.filter(|query| !query.is_empty()),
        };
        Some(Self {
            scheme: pick(self.scheme, new.scheme),
            opaque: pick(self.opaque, new.opaque),
            user: self.user.or(new.user),
            host: pick(self.host, new.host),
            path: pick(self.path, new.path),
            query,
            fragment: new.fragment.or(self.fragment),
            no_authority: new.no_authority,
        })
    }

    /// The host without port and brackets.
    pub(crate) fn hostname(&self) -> &str {
        let (host, _) = self.split_port();
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        inner.unwrap_or(host)
    }

    /// The digits after the host; empty when there are none.
    pub(crate) fn port(&self) -> &str {
        self.split_port().1
    }

    fn split_port(&self) -> (&str, &str) {
        self.host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .unwrap_or((&self.host, ""))
    }
}

impl std::fmt::Display for Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            let known = !self.scheme.is_empty() || !self.host.is_empty() || self.user.is_some();
            if known && !(self.no_authority && self.host.is_empty()) {
                if !self.host.is_empty() || !self.path.is_empty() || self.user.is_some() {
                    f.write_str("//")?;
                }
                if let Some(user) = &self.user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&escaped(&self.host, |c| !c.is_ascii()))?;
            }
            let path = escaped(&self.path, |c| {
                !(c.is_ascii_alphanumeric() || "-_.~$&+,/:;=@!'()*[]%".contains(c))
            });
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                f.write_str("/")?;
            }
            f.write_str(&path)?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        if let Some(fragment) = &self.fragment {
            let shown = escaped(fragment, |c| {
                !(c.is_ascii_alphanumeric() || "-_.~$&+,/:;=?@!()*'%".contains(c))
            });
            write!(f, "#{shown}")?;
        }
        Ok(())
    }
}

fn escaped(text: &str, bad: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if bad(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// What is wrong with the URL of an endpoint, which needs a host and a port that exists.
pub(crate) fn check_endpoint(text: &str) -> Result<(), String> {
    let uri = parse(text)?;
    if uri.host.matches(':').count() > 2 && !(uri.host.contains('[') && uri.host.contains(']')) {
        return Err("IPv6 addresses MUST be enclosed by square brackets".to_owned());
    }
    if uri.hostname().is_empty() {
        return Err("hostname must not be blank".to_owned());
    }
    match uri.port() {
        "" => Ok(()),
        port => match port.parse::<u64>() {
            Err(_) => Err("port number must be numeric".to_owned()),
            Ok(1..=65_535) => Ok(()),
            Ok(_) => Err("port number must be between 1 and 65535".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{check_endpoint, parse};

    #[test]
    fn what_is_printed_is_what_was_read() {
        for text in [
            "https://10.0.0.1:6443",
            "https://[::1]:6443/",
            "udp://127.0.0.1:12345",
            "tcp://a/b?c=d#e",
            "mailto:x",
            "/only/path",
            "localhost",
            "https://user:pw@host/%20x",
            "",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            parse("HTTPS://Host/a b").unwrap().to_string(),
            "https://Host/a%20b"
        );
    }

    #[test]
    fn broken_urls_are_told_with_their_cause() {
        for (text, cause) in [
            (":x", "missing protocol scheme"),
            (
                "10.0.0.1:80",
                "first path segment in URL cannot contain colon",
            ),
            ("http://[::1", "missing ']' in host"),
            ("http://a:b", "invalid port \":b\" after host"),
            ("http://a/%zz", "invalid URL escape \"%zz\""),
            ("http://a b/", "invalid character \" \" in host name"),
        ] {
            assert_eq!(parse(text), Err(format!("parse \"{text}\": {cause}")));
        }
    }

    #[test]
    fn endpoints_need_a_host_and_a_real_port() {
        assert!(check_endpoint("https://localhost:6443/").is_ok());
        assert!(check_endpoint("").is_err());
        assert!(check_endpoint("https://localhost:70000").is_err());
    }

    #[test]
    fn letters_of_hosts_are_escaped_and_read_again() {
        for text in [
            "https://caf\u{e9}.example:1/",
            "https://caf%C3%A9.example:1/",
        ] {
            let uri = parse(text).unwrap();
            assert_eq!(uri.hostname(), "caf\u{e9}.example");
            assert_eq!(uri.to_string(), "https://caf%C3%A9.example:1/");
        }
        for text in [
            "http://%41/",
            "http://a%C3/",
            "http://a%C3%zz/",
            "http://a%c",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
