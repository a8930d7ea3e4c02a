//! The arguments of one field, as a noun reads them.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ServerError;

/// The arguments of one field: defaults filled in, enum values as strings, and null members left
/// out at every depth, since to this API null and absent are the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Args(pub(super) Map<String, Value>);

/// The paging arguments. Negative counts read as zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PageArgs {
    /// At most this many from the front.
    pub(crate) first: Option<usize>,
    /// Start behind this cursor.
    pub(crate) after: Option<String>,
    /// At most this many from the back.
    pub(crate) last: Option<usize>,
    /// End before this cursor.
    pub(crate) before: Option<String>,
}

impl Args {
    /// A string, an ID or an enum value.
    pub(crate) fn str(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A string the SDL declares without `!` but this server cannot do without.
    ///
    /// # Errors
    /// [`ServerError::Invalid`] when it is absent.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ServerError> {
        self.str(name)
            .ok_or_else(|| ServerError::Invalid(format!("argument \"{name}\" is required")))
    }

    /// An integer.
    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    /// A list of anything.
    pub(crate) fn list(&self, name: &str) -> Option<&[Value]> {
        self.0.get(name)?.as_array().map(Vec::as_slice)
    }

    /// A list of strings; other members are left out (the engine has checked the types already).
    pub(crate) fn strings(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.list(name)?.iter().filter_map(Value::as_str).collect())
    }

    /// An input object.
    pub(crate) fn input(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    /// These arguments with `member` of the input object set to `value` where the client sent `""`.
    pub(crate) fn with_default_member(&self, member: &str, value: &str) -> Self {
        let mut args = self.clone();
        if let Some(Value::Object(input)) = args.0.get_mut("input")
            && let Some(Value::String(text)) = input.get_mut(member)
            && text.is_empty()
        {
            value.clone_into(text);
        }
        args
    }

    /// The four paging arguments.
    pub(crate) fn page(&self) -> PageArgs {
        let count = |name| self.int(name).map(|n| usize::try_from(n).unwrap_or(0));
        let cursor = |name| self.str(name).filter(|c| !c.is_empty()).map(str::to_owned);
        PageArgs {
            first: count("first"),
            after: cursor("after"),
            last: count("last"),
            before: cursor("before"),
        }
    }

    /// One argument as a Rust value, for the inputs of mutations.
    ///
    /// # Errors
    /// [`ServerError::Invalid`] when the argument does not have the shape of `T`.
    pub(crate) fn deserialize<T: DeserializeOwned>(&self, name: &str) -> Result<T, ServerError> {
        let value = self.0.get(name).unwrap_or(&Value::Null);
        T::deserialize(value)
            .map_err(|error| ServerError::Invalid(format!("argument \"{name}\": {error}")))
    }
}

impl From<Map<String, Value>> for Args {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}
