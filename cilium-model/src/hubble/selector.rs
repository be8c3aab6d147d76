//! The text form of label selectors: `app in (a, b), tier=web, !old, env!=prod`.

use crate::policy::selector::Label;

#[derive(Clone, Debug)]
pub(super) struct TextSelector(Vec<Requirement>);

#[derive(Clone, Debug)]
struct Requirement {
    source: Option<String>,
    key: String,
    condition: Condition,
}

#[derive(Clone, Debug)]
enum Condition {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

const SIGNS: [&str; 9] = ["!=", "==", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(text: &str) -> Vec<Token> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return all;
        }
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            all.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || "!=(),><".contains(c))
            .unwrap_or(rest.len());
        all.push(Token::Word(rest[..end].to_owned()));
        rest = &rest[end..];
    }
}

impl TextSelector {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let tokens = tokens(text);
        let mut parser = Parser {
            tokens: &tokens,
            at: 0,
        };
        let mut all = Vec::new();
        while parser.peek().is_some() {
            all.push(parser.requirement()?);
            match parser.next() {
                None => break,
                Some(Token::Sign(",")) if parser.peek().is_some() => {}
                Some(Token::Sign(",")) => {
                    return Err("a requirement is missing after the comma".to_owned());
                }
                Some(other) => return Err(format!("expected a comma, found {}", show(other))),
            }
        }
        Ok(Self(all))
    }

    pub(super) fn matches(&self, labels: &[Label]) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

fn show(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("{word:?}"),
        Token::Sign(sign) => format!("{sign:?}"),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token> {
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    fn key(&mut self) -> Result<(Option<String>, String), String> {
        let word = match self.next() {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        let (source, key) = match word.split_once(':') {
            Some((source, key)) => (Some(source), key),
            None => (None, word),
        };
        if !is_key(key) {
            return Err(format!("{key:?} is no label key"));
        }
        let source = source.filter(|source| *source != "any").map(str::to_owned);
        Ok((source, key.to_owned()))
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        if self.peek() == Some(&Token::Sign("!")) {
            self.at += 1;
            let (source, key) = self.key()?;
            return Ok(Requirement {
                source,
                key,
                condition: Condition::Absent,
            });
        }
        // A sign in place of a key is an empty key.
        let (source, key) = match self.peek() {
            Some(Token::Word(_)) => self.key()?,
            _ => return Err("a label key is missing".to_owned()),
        };
        let condition = match self.peek() {
            None | Some(Token::Sign(",")) => Condition::Exists,
            Some(Token::Sign("=" | "==")) => {
                self.at += 1;
                Condition::In(vec![self.value()?])
            }
            Some(Token::Sign("!=")) => {
                self.at += 1;
                Condition::NotIn(vec![self.value()?])
            }
            Some(Token::Sign(sign @ (">" | "<"))) => {
                self.at += 1;
                let text = self.value()?;
                let number = text
                    .parse()
                    .map_err(|_| format!("{text:?} is no whole number"))?;
                if *sign == ">" {
                    Condition::Greater(number)
                } else {
                    Condition::Less(number)
                }
            }
            Some(Token::Word(word)) if word == "in" || word == "notin" => {
                self.at += 1;
                let values = self.values()?;
                if word == "in" {
                    Condition::In(values)
                } else {
                    Condition::NotIn(values)
                }
            }
            Some(other) => return Err(format!("expected a comparison, found {}", show(other))),
        };
        Ok(Requirement {
            source,
            key,
            condition,
        })
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                check_value(word)
            }
            None | Some(Token::Sign(",")) => Ok(String::new()),
            Some(other) => Err(format!("expected a value, found {}", show(other))),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if self.next() != Some(&Token::Sign("(")) {
            return Err("expected an opening parenthesis".to_owned());
        }
        let mut all = Vec::new();
        loop {
            match self.next() {
                Some(Token::Word(word)) => all.push(check_value(word)?),
                Some(Token::Sign(",")) => {
                    if matches!(self.peek(), Some(Token::Sign("," | ")"))) {
                        all.push(String::new());
                    }
                }
                Some(Token::Sign(")")) => {
                    if all.is_empty() {
                        all.push(String::new());
                    }
                    return Ok(all);
                }
                _ => return Err("the closing parenthesis is missing".to_owned()),
            }
        }
    }
}

fn check_value(word: &str) -> Result<String, String> {
    let bytes = word.as_bytes();
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let fine = bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fine {
        Ok(word.to_owned())
    } else {
        Err(format!("{word:?} is no label value"))
    }
}

fn is_key(key: &str) -> bool {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    check_value(name).is_ok()
}

impl Requirement {
    fn matches(&self, labels: &[Label]) -> bool {
        let named = |label: &&Label| {
            label.key == self.key
                && self
                    .source
                    .as_ref()
                    .is_none_or(|source| *source == label.source)
        };
        let found = labels.iter().find(named);
        let number = || found.and_then(|label| label.value.parse::<i64>().ok());
        match &self.condition {
            Condition::In(values) => found.is_some_and(|label| values.contains(&label.value)),
            Condition::NotIn(values) => found.is_none_or(|label| !values.contains(&label.value)),
            Condition::Exists => found.is_some(),
            Condition::Absent => found.is_none(),
            Condition::Greater(than) => number().is_some_and(|n| n > *than),
            Condition::Less(than) => number().is_some_and(|n| n < *than),
        }
    }
}
