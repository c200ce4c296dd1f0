//! Who may call what: bearer tokens with scopes.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};

use crate::error::Error;
use crate::problem::{Code, Problem};

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Recommendations, scores, explanations.
    Read,
    /// Events and rows of the tables.
    Ingest,
    /// Bundles and snapshots.
    Admin,
}

impl Scope {
    /// As in the file of tokens.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
        }
    }
}

/// One token.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// Who has it; told in the log in place of the token.
    name: String,
    #[serde(rename = "token")]
    secret: String,
    scopes: Vec<Scope>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    token: Vec<Token>,
}

/// Who has a token, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// As in the file of tokens.
    pub name: String,
    /// What is allowed.
    pub scopes: Vec<Scope>,
}

/// Whether the address that a caller wrote names this machine: a name of another site that leads here, by which a page of that site could
/// call, does not.
pub fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|of| of.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|of| of.to_canonical().is_loopback())
}

/// The tokens of a service; without any, everything is allowed, to callers on the same machine.
#[derive(Clone, Default)]
pub struct Tokens(Vec<Token>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|token| token.name.as_str()).collect();
        f.debug_tuple("Tokens").field(&names).finish()
    }
}

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

impl Tokens {
    /// Reads `[[token]]` tables with `name`, `token` and `scopes`; `origin` is named in errors.
    ///
    /// # Errors
    /// Bad TOML, no token at all, short tokens and tokens that two tables have.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Tokens { origin: origin.into(), reason };
        let file: File = toml::from_str(text).map_err(|error| {
            // The message of the parser may show the line, token included.
            let at = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
            wrong(format!(
                "line {at}: no [[token]] tables with name, token and scopes = [\"read\", \"ingest\", \"admin\"]"
            ))
        })?;
        if file.token.is_empty() {
            return Err(wrong("no token; without a file only this machine may call".into()));
        }
        for (i, token) in file.token.iter().enumerate() {
            let name = &token.name;
            if token.secret.len() < SHORTEST {
                return Err(wrong(format!("the token of {name:?} has less than {SHORTEST} bytes")));
            }
            if token.secret.bytes().any(|byte| !byte.is_ascii_graphic()) {
                return Err(wrong(format!("the token of {name:?} has characters no header can")));
            }
            if token.scopes.is_empty() {
                return Err(wrong(format!("the token of {name:?} has no scope")));
            }
            if let Some(other) = file.token[..i].iter().find(|of| of.secret == token.secret) {
                return Err(wrong(format!("{:?} and {name:?} have the same token", other.name)));
            }
        }
        Ok(Self(file.token))
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses an address that others can reach if there are no tokens.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn check_address(&self, address: SocketAddr) -> Result<(), Error> {
        if self.is_empty() && !address.ip().to_canonical().is_loopback() {
            return Err(Error::Open { address });
        }
        Ok(())
    }

    /// Who calls, if the headers' token has the scope. All tokens are compared, each in constant time.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`] without a known token, [`Code::Forbidden`] without the scope.
    pub fn authorize(&self, headers: &HeaderMap, scope: Scope) -> Result<Option<&str>, Problem> {
        if self.is_empty() {
            // Browsers always say it.
            return if !headers.contains_key(header::HOST) || names_this_machine(headers) {
                Ok(None)
            } else {
                let detail = "there are no tokens, so calls are answered under the names of this machine alone: localhost, 127.0.0.1, [::1]; for \
                              other names start with --tokens";
                Err(Problem::new(Code::Forbidden, detail))
            };
        }
        let none = || Problem::new(Code::Unauthenticated, "send `Authorization: Bearer TOKEN`");
        let given = headers.get(header::AUTHORIZATION).ok_or_else(none)?;
        let given = given.as_bytes();
        let (scheme, token) = given.split_at_checked(7).ok_or_else(none)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(none());
        }
        let Some(known) = self.find(token) else {
            return Err(Problem::new(Code::Unauthenticated, "nobody has this token"));
        };
        if !known.scopes.contains(&scope) {
            let detail =
                format!("the token of {:?} does not have the scope of this call", known.name);
            return Err(Problem::new(Code::Forbidden, detail));
        }
        Ok(Some(&known.name))
    }

    /// Who has a token; `None` if nobody has. Compared as [`Tokens::authorize`] does.
    pub fn holder(&self, token: &[u8]) -> Option<Holder> {
        let known = self.find(token)?;
        Some(Holder { name: known.name.clone(), scopes: known.scopes.clone() })
    }

    fn find(&self, token: &[u8]) -> Option<&Token> {
        let mut found = None;
        for (i, known) in self.0.iter().enumerate() {
            let equal: Choice = known.secret.as_bytes().ct_eq(token);
            if bool::from(equal) {
                found = Some(i);
            }
        }
        found.map(|i| &self.0[i])
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const FILE: &str = r#"
        [[token]]
        name = "shop"
        token = "0123456789abcdef"
        scopes = ["read", "ingest"]
        [[token]]
        name = "ops"
        token = "fedcba9876543210"
        scopes = ["admin"]
    "#;

    fn bearer(token: &str) -> HeaderMap {
        let value = HeaderValue::from_str(token).unwrap();
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    #[test]
    fn names_of_this_machine_are_known() {
        for (host, is_own) in [
            ("localhost", true),
            ("LOCALHOST:8088", true),
            ("127.0.0.1:8088", true),
            ("[::1]:8088", true),
            ("[::1]", true),
            ("evil.example:8088", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(names_this_machine(&headers), is_own, "{host}");
            let called = Tokens::default().authorize(&headers, Scope::Ingest).map(|_| ());
            assert_eq!(
                called.map_err(|problem| problem.code),
                if is_own { Ok(()) } else { Err(Code::Forbidden) }
            );
        }
        assert!(Tokens::default().authorize(&HeaderMap::new(), Scope::Read).is_ok());
    }

    #[test]
    fn scopes_decide() {
        let tokens = Tokens::parse(FILE, "tokens.toml").unwrap();
        let code = |value: &str, scope| {
            tokens.authorize(&bearer(value), scope).map(|_| ()).map_err(|problem| problem.code)
        };
        assert_eq!(code("Bearer 0123456789abcdef", Scope::Read), Ok(()));
        assert_eq!(code("bearer 0123456789abcdef", Scope::Ingest), Ok(()));
        assert_eq!(code("Bearer 0123456789abcdef", Scope::Admin), Err(Code::Forbidden));
        assert_eq!(code("Bearer fedcba9876543210", Scope::Admin), Ok(()));
        assert_eq!(code("Bearer 0123456789abcde", Scope::Read), Err(Code::Unauthenticated));
        assert_eq!(code("Basic 0123456789abcdef", Scope::Read), Err(Code::Unauthenticated));
        assert_eq!(code("B", Scope::Read), Err(Code::Unauthenticated));
        let shop = tokens.holder(b"0123456789abcdef").unwrap();
        assert_eq!((shop.name.as_str(), shop.scopes), ("shop", vec![Scope::Read, Scope::Ingest]));
        assert_eq!(tokens.holder(b""), None);
        let none = tokens.authorize(&HeaderMap::new(), Scope::Read).unwrap_err();
        assert_eq!(none.code, Code::Unauthenticated);
    }

    #[test]
    fn wrong_files_are_refused_without_showing_a_token() {
        let cases = [
            ("", "line 1: no [[token]]"),
            ("token = []", "no token"),
            ("[[token]]\nname = \"a\"\ntoken = \"short\"\nscopes = [\"read\"]", "less than 16"),
            ("[[token]]\nname = \"a\"\ntoken = \"0123456789abcdef\"\nscopes = []", "no scope"),
            (
                "[[token]]\nname = \"a\"\ntoken = \"0123456789abcde f\"\nscopes = [\"read\"]",
                "header",
            ),
        ];
        for (text, part) in cases {
            let message = Tokens::parse(text, "tokens.toml").unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("0123456789"), "{message}");
        }
        let twice = FILE.replace("fedcba9876543210", "0123456789abcdef");
        let message = Tokens::parse(&twice, "tokens.toml").unwrap_err().to_string();
        assert!(message.contains("the same token"), "{message}");
    }

    #[test]
    fn without_tokens_only_this_machine() {
        let open = Tokens::default();
        for address in ["127.0.0.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(open.check_address(address.parse().unwrap()).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"] {
            assert!(open.check_address(address.parse().unwrap()).is_err(), "{address}");
            let tokens = Tokens::parse(FILE, "f").unwrap();
            assert!(tokens.check_address(address.parse().unwrap()).is_ok(), "{address}");
        }
    }
}
