//! The netrc file, as the SDK's parser (Python's `netrc`) reads it.
//!
//! Tokens are divided by blanks; double quotes hold blanks together; a backslash takes the next
//! character as it is; `#` begins a comment where a keyword could stand. Which logins a machine has
//! does not matter: the password is the key. `default` answers for every machine not named.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::wandb::Secret;

/// Why a netrc file cannot be used; the SDK only warns about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetrcError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It is not in netrc's syntax. The offending word is not shown: it may be a password.
    #[error("line {line}: {problem}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In words.
        problem: &'static str,
    },
}

/// A parsed file.
#[derive(Debug, Default)]
pub(crate) struct Netrc {
    passwords: HashMap<String, Secret>,
    default: Option<Secret>,
}

impl Netrc {
    /// Reads a file; `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, NetrcError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes)).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(NetrcError::Unreadable(error)),
        }
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, NetrcError> {
        let mut tokens = Tokens::new(text);
        let mut netrc = Self::default();
        while let Some(word) = tokens.next_keyword() {
            match word.as_str() {
                "machine" => {
                    let name = tokens.value("a machine without a name")?;
                    let password = entry(&mut tokens)?;
                    netrc.passwords.insert(name, password);
                }
                "default" => netrc.default = Some(entry(&mut tokens)?),
                "macdef" => {
                    tokens.value("a macro without a name")?;
                    tokens.skip_macro()?;
                }
                _ => return Err(tokens.problem("a word that netrc does not know")),
            }
        }
        Ok(netrc)
    }

    /// The password for a machine (`host` or `host:port`), and whether it came from `default`. It
    /// may be empty.
    pub(crate) fn password(&self, machine: &str) -> Option<(&Secret, bool)> {
        match self.passwords.get(machine) {
            Some(password) => Some((password, false)),
            None => self.default.as_ref().map(|password| (password, true)),
        }
    }
}

/// Where the file is: `$NETRC`, else `~/.netrc`, else `~/_netrc` where only that exists.
pub(crate) fn locate(from_environment: Option<&str>, home: &Path) -> PathBuf {
    if let Some(path) = from_environment.filter(|path| !path.is_empty()) {
        return super::expand_user(path, home);
    }
    let usual = home.join(".netrc");
    let other = home.join("_netrc");
    if !usual.exists() && other.exists() {
        return other;
    }
    usual
}

fn entry(tokens: &mut Tokens<'_>) -> Result<Secret, NetrcError> {
    let mut password = String::new();
    while let Some(word) = tokens.next_keyword() {
        match word.as_str() {
            "machine" | "default" | "macdef" => {
                tokens.give_back(word);
                break;
            }
            "login" | "user" | "account" => {
                tokens.next();
            }
            "password" => password = tokens.next().unwrap_or_default(),
            _ => return Err(tokens.problem("a word that netrc does not know")),
        }
    }
    Ok(Secret::new(password))
}

struct Tokens<'a> {
    rest: std::str::Chars<'a>,
    line: usize,
    given_back: Option<String>,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars(),
            line: 1,
            given_back: None,
        }
    }

    fn read(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn give_back(&mut self, word: String) {
        self.given_back = Some(word);
    }

    fn problem(&self, problem: &'static str) -> NetrcError {
        NetrcError::Syntax {
            line: self.line,
            problem,
        }
    }

    fn value(&mut self, missing: &'static str) -> Result<String, NetrcError> {
        self.next()
            .filter(|word| !word.is_empty())
            .ok_or_else(|| self.problem(missing))
    }

    /// The next word that is not part of a comment. An empty quoted word ends the file, as it does
    /// for the SDK's parser.
    fn next_keyword(&mut self) -> Option<String> {
        loop {
            let line = self.line;
            let word = self.next().filter(|word| !word.is_empty())?;
            if !word.starts_with('#') {
                return Some(word);
            }
            if self.line == line {
                self.skip_line();
            }
        }
    }

    fn skip_line(&mut self) -> Option<bool> {
        let mut empty = true;
        loop {
            match self.read()? {
                '\n' => return Some(empty),
                _ => empty = false,
            }
        }
    }

    fn skip_macro(&mut self) -> Result<(), NetrcError> {
        loop {
            match self.skip_line() {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => return Err(self.problem("a macro without an empty line at its end")),
            }
        }
    }
}

/// Words; quoted ones without their quotes. White space is what the SDK's parser takes for it.
impl Iterator for Tokens<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if let Some(word) = self.given_back.take() {
            return Some(word);
        }
        let first = loop {
            match self.read()? {
                '\n' | '\t' | '\r' | ' ' => {}
                other => break other,
            }
        };
        let quoted = first == '"';
        let mut word = String::new();
        let mut next = if quoted { self.read() } else { Some(first) };
        while let Some(c) = next {
            match c {
                '"' if quoted => return Some(word),
                '\n' | '\t' | '\r' | ' ' if !quoted => return Some(word),
                '\\' => word.extend(self.read()),
                other => word.push(other),
            }
            next = self.read();
        }
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str, machine: &str) -> Option<String> {
        let netrc = Netrc::parse(text).unwrap();
        netrc
            .password(machine)
            .map(|(secret, _)| secret.expose().to_owned())
    }

    #[test]
    fn a_machine_is_host_and_port_and_any_login_will_do() {
        let text = "machine 127.0.0.1:8080 login whoever password abc\n";
        assert_eq!(key(text, "127.0.0.1:8080").as_deref(), Some("abc"));
        assert_eq!(key(text, "127.0.0.1"), None);
    }

    #[test]
    fn default_answers_for_machines_that_are_not_named() {
        let text = "machine a password 1\ndefault\n  login x\n  password 2\n";
        assert_eq!(key(text, "a").as_deref(), Some("1"));
        assert_eq!(key(text, "b").as_deref(), Some("2"));
    }

    #[test]
    fn comments_quotes_escapes_and_macros_are_understood() {
        let text = "# a comment with machine x\nmacdef init\ncd /\n\nmachine h # aside\n password \"a b\\\"c\"\n";
        assert_eq!(key(text, "h").as_deref(), Some("a b\"c"));
    }

    #[test]
    fn the_last_of_two_entries_of_a_machine_wins() {
        let text = "machine h password 1\nmachine h password 2\n";
        assert_eq!(key(text, "h").as_deref(), Some("2"));
    }

    #[test]
    fn a_problem_names_its_line_and_not_the_word() {
        let error = Netrc::parse("machine h\nlogin u\nhunter2 x\n").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(error.to_string().contains("line 3"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(?s)[a-z #\"\\\\\\n]{0,200}|(machine |default |macdef |password |\\n){0,20}") {
            let _ = Netrc::parse(&text);
        }
    }
}
