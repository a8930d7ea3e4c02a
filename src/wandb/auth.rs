//! What a request is signed with. Where it was found is `config`'s knowledge; this is only its use.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::Error;

/// An API key or access token. Its text never shows in `Debug`, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where access tokens come from: the exchange of an identity token, with its cache and renewal.
#[async_trait]
pub trait TokenSource: Send + Sync + fmt::Debug {
    /// A token that is valid now; renewed where little of its time is left.
    async fn token(&self) -> Result<Secret, Error>;
}

/// How requests to the base URL's host are signed.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// `Basic base64("api:" + key)`; JWT-shaped keys travel the same way (protocol §1.3).
    Basic(Secret),
    /// `Bearer`, with a token asked for before each request.
    Bearer(Arc<dyn TokenSource>),
    /// No header at all; what a server shows to everybody.
    Anonymous,
}

impl Authorization {
    /// The value of the `Authorization` header, if there is one to send.
    pub(crate) async fn header(&self) -> Result<Option<Secret>, Error> {
        match self {
            Self::Basic(key) => {
                let pair = STANDARD.encode(format!("api:{}", key.expose()));
                Ok(Some(Secret::new(format!("Basic {pair}"))))
            }
            Self::Bearer(source) => {
                let token = source.token().await?;
                Ok(Some(Secret::new(format!("Bearer {}", token.expose()))))
            }
            Self::Anonymous => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_key_is_sent_as_the_user_api_and_never_shown() {
        let auth = Authorization::Basic(Secret::new("k3y"));
        let header = auth.header().await.unwrap().unwrap();
        assert_eq!(header.expose(), "Basic YXBpOmszeQ==");
        assert!(!format!("{auth:?} {header:?}").contains("k3y"));
    }
}
