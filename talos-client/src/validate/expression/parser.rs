//! From tokens to an expression.

use super::Issue;
use super::lexer::{Kind, Token, quoted, tokens};

/// Deepest nesting.
const DEEPEST: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Null,
    Name(String),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Select(Box<Expr>, String),
    /// A function or an operator (`_+_`), on a target where there is one.
    Call {
        name: String,
        target: Option<Box<Expr>>,
        arguments: Vec<Expr>,
    },
    /// A message made field by field.
    Message(String),
}

/// A part of an expression and where problems with it are told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expr {
    pub(super) form: Form,
    pub(super) at: usize,
    depth: usize,
}

/// What can begin an operand.
const FIRST: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

pub(super) fn parse(text: &str) -> Result<Expr, Vec<Issue>> {
    let (tokens, issues) = tokens(text);
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
        issues,
    };
    let parsed = parser.expression().and_then(|parsed| {
        parser.end()?;
        Ok(parsed)
    });
    match parsed {
        Ok(parsed) if parser.issues.is_empty() => Ok(parsed),
        Ok(_) | Err(Stop) => Err(parser.issues),
    }
}

/// A problem was noted and nothing after it makes sense.
struct Stop;

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    issues: Vec<Issue>,
}

type Parsed = Result<Expr, Stop>;

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn after(&self) -> &Token {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn is(&self, mark: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Mark && token.text == mark
    }

    fn accept(&mut self, marks: &[&str]) -> Option<Token> {
        let found = marks.iter().any(|mark| self.is(mark));
        found.then(|| self.take())
    }

    fn stop(&mut self, at: usize, message: impl Into<String>) -> Stop {
        self.issues.push(Issue::new(at, message));
        Stop
    }

    fn unexpected(&mut self, how: &str, expected: &str) -> Stop {
        let token = self.peek().clone();
        let message = format!(
            "Syntax error: {how} input {} expecting {expected}",
            quoted(&token.text)
        );
        self.stop(token.at, message)
    }

    fn end(&mut self) -> Result<(), Stop> {
        if self.peek().kind == Kind::End {
            return Ok(());
        }
        let how = if self.after().kind == Kind::End {
            "extraneous"
        } else {
            "mismatched"
        };
        Err(self.unexpected(how, "<EOF>"))
    }

    /// A closing bracket; one that is missing is told, and the rest is read on.
    fn close(&mut self, mark: &str) -> Result<(), Stop> {
        if self.accept(&[mark]).is_some() {
            return Ok(());
        }
        let token = self.peek().clone();
        let message = format!("Syntax error: missing '{mark}' at {}", quoted(&token.text));
        Err(self.stop(token.at, message))
    }

    fn make(&mut self, at: usize, form: Form, parts: &[usize]) -> Parsed {
        let depth = parts.iter().copied().max().unwrap_or_default() + 1;
        if depth > DEEPEST {
            return Err(self.too_deep());
        }
        Ok(Expr { form, at, depth })
    }

    fn too_deep(&mut self) -> Stop {
        self.stop(0, format!("expression recursion limit exceeded: {DEEPEST}"))
    }

    fn binary(&mut self, operator: &Token, left: Expr, right: Expr) -> Parsed {
        let name = match operator.text.as_str() {
            "in" => "@in".to_owned(),
            text => format!("_{text}_"),
        };
        let depths = [left.depth, right.depth];
        let form = Form::Call {
            name,
            target: None,
            arguments: vec![left, right],
        };
        self.make(operator.at, form, &depths)
    }

    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.too_deep());
        }
        let condition = self.level(0)?;
        let parsed = match self.accept(&["?"]) {
            None => condition,
            Some(operator) => {
                let yes = self.level(0)?;
                if self.accept(&[":"]).is_none() {
                    return Err(self.unexpected("mismatched", "':'"));
                }
                let no = self.expression()?;
                let depths = [condition.depth, yes.depth, no.depth];
                let form = Form::Call {
                    name: "_?_:_".to_owned(),
                    target: None,
                    arguments: vec![condition, yes, no],
                };
                self.make(operator.at, form, &depths)?
            }
        };
        self.depth -= 1;
        Ok(parsed)
    }

    /// Binary operators from the weakest to the strongest.
    fn level(&mut self, level: usize) -> Parsed {
        const LEVELS: [&[&str]; 5] = [
            &["||"],
            &["&&"],
            &["<", "<=", ">=", ">", "==", "!=", "in"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.accept(operators) {
            let right = self.level(level + 1)?;
            left = self.binary(&operator, left, right)?;
        }
        Ok(left)
    }

    fn begins_operand(token: &Token) -> bool {
        match token.kind {
            Kind::End => false,
            Kind::Mark => matches!(
                token.text.as_str(),
                "[" | "{" | "(" | "." | "-" | "!" | "true" | "false" | "null"
            ),
            _ => true,
        }
    }

    fn unary(&mut self) -> Parsed {
        if !Self::begins_operand(self.peek()) {
            if !Self::begins_operand(self.after()) || self.peek().kind == Kind::End {
                return Err(self.unexpected("mismatched", FIRST));
            }
            // One token too many: it is told and passed over.
            let _ = self.unexpected("extraneous", FIRST);
            self.next += 1;
        }
        for (mark, name) in [("!", "!_"), ("-", "-_")] {
            if !self.is(mark) {
                continue;
            }
            let first = self.peek().at;
            let mut count = 0;
            while self.accept(&[mark]).is_some() {
                count += 1;
            }
            if mark == "-" && count == 1 && matches!(self.peek().kind, Kind::Int | Kind::Double) {
                self.peek_mut().text.insert(0, '-');
                return self.member();
            }
            let operand = self.member()?;
            // Two of them cancel each other.
            if count % 2 == 0 {
                return Ok(operand);
            }
            let depth = operand.depth;
            let form = Form::Call {
                name: name.to_owned(),
                target: None,
                arguments: vec![operand],
            };
            return self.make(first, form, &[depth]);
        }
        self.member()
    }

    fn peek_mut(&mut self) -> &mut Token {
        let at = self.next.min(self.tokens.len() - 1);
        &mut self.tokens[at]
    }

    fn member(&mut self) -> Parsed {
        let mut base = self.primary()?;
        loop {
            if let Some(dot) = self.accept(&["."]) {
                self.accept(&["?"]);
                if self.peek().kind != Kind::Identifier {
                    let token = self.peek().clone();
                    let message = format!(
                        "Syntax error: no viable alternative at input {}",
                        quoted(&format!(".{}", token.text.replace("<EOF>", "")))
                    );
                    return Err(self.stop(token.at, message));
                }
                let name = self.take();
                base = match self.accept(&["("]) {
                    Some(open) => {
                        let arguments = self.arguments(")")?;
                        let depths = depths(&arguments, base.depth);
                        let form = Form::Call {
                            name: name.text,
                            target: Some(Box::new(base)),
                            arguments,
                        };
                        self.make(open.at, form, &depths)?
                    }
                    None => {
                        let depth = base.depth;
                        let form = Form::Select(Box::new(base), name.text);
                        self.make(dot.at, form, &[depth])?
                    }
                };
            } else if let Some(open) = self.accept(&["["]) {
                let optional = self.accept(&["?"]).is_some();
                let index = self.expression()?;
                self.close("]")?;
                let depths = [base.depth, index.depth];
                let form = Form::Call {
                    name: if optional { "_[?_]" } else { "_[_]" }.to_owned(),
                    target: None,
                    arguments: vec![base, index],
                };
                base = self.make(open.at, form, &depths)?;
            } else {
                return Ok(base);
            }
        }
    }

    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, Stop> {
        let mut arguments = Vec::new();
        while !self.is(close) {
            arguments.push(self.expression()?);
            if self.accept(&[","]).is_none() {
                break;
            }
        }
        self.close(close)?;
        Ok(arguments)
    }

    fn primary(&mut self) -> Parsed {
        let token = self.take();
        let at = token.at;
        let literal = |form: Form| Expr { form, at, depth: 1 };
        match (token.kind, token.text.as_str()) {
            (Kind::Mark, "true" | "false") => Ok(literal(Form::Bool)),
            (Kind::Mark, "null") => Ok(literal(Form::Null)),
            (Kind::Text, _) => Ok(literal(Form::Text)),
            (Kind::Bytes, _) => Ok(literal(Form::Bytes)),
            (Kind::Int, text) => {
                if int(text) {
                    return Ok(literal(Form::Int));
                }
                self.issues.push(Issue::new(at, "invalid int literal"));
                Ok(literal(Form::Int))
            }
            (Kind::Uint, text) => {
                let digits = text.trim_end_matches(['u', 'U']);
                let fine = match digits.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16).is_ok(),
                    None => digits.parse::<u64>().is_ok(),
                };
                if !fine {
                    self.issues.push(Issue::new(at, "invalid uint literal"));
                }
                Ok(literal(Form::Uint))
            }
            (Kind::Double, text) => {
                if !text.parse::<f64>().is_ok_and(f64::is_finite) {
                    self.issues.push(Issue::new(at, "invalid double literal"));
                }
                Ok(literal(Form::Double))
            }
            (Kind::Mark, "(") => {
                let inner = self.expression()?;
                self.close(")")?;
                Ok(inner)
            }
            (Kind::Mark, "[") => {
                let items = self.arguments("]")?;
                let depths = depths(&items, 0);
                self.make(at, Form::List(items), &depths)
            }
            (Kind::Mark, "{") => self.map(at),
            (Kind::Mark, ".") if self.peek().kind == Kind::Identifier => {
                let name = self.take();
                self.name(name)
            }
            (Kind::Identifier, _) => self.name(token),
            _ => {
                self.next -= 1;
                Err(self.unexpected("mismatched", FIRST))
            }
        }
    }

    fn name(&mut self, name: Token) -> Parsed {
        if RESERVED.contains(&name.text.as_str()) {
            let message = format!("reserved identifier: {}", name.text);
            self.issues.push(Issue::new(name.at, message));
        }
        if let Some(open) = self.accept(&["("]) {
            let arguments = self.arguments(")")?;
            let depths = depths(&arguments, 0);
            let form = Form::Call {
                name: name.text,
                target: None,
                arguments,
            };
            return self.make(open.at, form, &depths);
        }
        if let Some(open) = self.accept(&["{"]) {
            while !self.is("}") {
                let field = self.take();
                if field.kind != Kind::Identifier {
                    self.next -= 1;
                    return Err(self.unexpected("mismatched", "IDENTIFIER"));
                }
                if self.accept(&[":"]).is_none() {
                    return Err(self.unexpected("mismatched", "':'"));
                }
                self.expression()?;
                if self.accept(&[","]).is_none() {
                    break;
                }
            }
            self.close("}")?;
            return self.make(open.at, Form::Message(name.text), &[]);
        }
        self.make(name.at, Form::Name(name.text), &[])
    }

    fn map(&mut self, at: usize) -> Parsed {
        let mut entries = Vec::new();
        let mut deepest = 0;
        while !self.is("}") {
            let key = self.expression()?;
            if self.accept(&[":"]).is_none() {
                return Err(self.unexpected("mismatched", "':'"));
            }
            let value = self.expression()?;
            deepest = deepest.max(key.depth).max(value.depth);
            entries.push((key, value));
            if self.accept(&[","]).is_none() {
                break;
            }
        }
        self.close("}")?;
        self.make(at, Form::Map(entries), &[deepest])
    }
}

fn depths(parts: &[Expr], more: usize) -> Vec<usize> {
    let mut depths: Vec<usize> = parts.iter().map(|part| part.depth).collect();
    depths.push(more);
    depths
}

fn int(text: &str) -> bool {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16),
        None => digits.parse::<i128>(),
    };
    value.is_ok_and(|value| i64::try_from(if negative { -value } else { value }).is_ok())
}
