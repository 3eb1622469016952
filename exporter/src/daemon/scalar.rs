//! The values of the configuration file that have a form of their own: checked where they are read, so that an error has
//! its line.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use nix::unistd;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{Error, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::glob;
use crate::otlp::settings::{Flags, Settings};

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Glob(#[schemars(with = "String")] pub(super) glob::Glob);

/// A pattern of paths.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Path(#[schemars(with = "String")] pub(super) agentsight_ebpf::Glob);

/// An end of connections.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct End(#[schemars(with = "String")] pub(super) agentsight_ebpf::Network);

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub(super) Duration);

/// Where OTLP is taken.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Url(#[schemars(url)] pub(super) String);

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User(pub(super) u32);

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Several<T>(pub(super) Vec<T>);

impl<T> Default for Several<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A text that is checked while the parser still knows where it stands.
struct Checked<T> {
    expecting: &'static str,
    check: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Checked<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.check)(text).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let check = |text: &str| match text {
            "" => Err("an empty pattern matches nothing; expected one such as \"*/claude\"".to_owned()),
            text => Ok(Self(glob::Glob::new(text))),
        };
        deserializer.deserialize_str(Checked { expecting: "a pattern such as \"*/claude\"", check })
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let check = |text: &str| text.parse().map(Self).map_err(|error: agentsight_ebpf::GlobError| error.to_string());
        deserializer.deserialize_str(Checked { expecting: "a pattern of paths such as \"*.yaml\"", check })
    }
}

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let check =
            |text: &str| text.parse().map(Self).map_err(|error: agentsight_ebpf::NetworkError| error.to_string());
        deserializer.deserialize_str(Checked { expecting: "an end such as \"api.internal:8080\"", check })
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let check = |text: &str| {
            humantime::parse_duration(text)
                .map(Self)
                .map_err(|error| format!("{text:?} is no length of time ({error}); expected one such as 10s or 1m 30s"))
        };
        deserializer.deserialize_str(Checked { expecting: "a length of time such as 10s or 1m 30s", check })
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A length of time, such as 10s or 1m 30s", "pattern": "^[0-9]"})
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let check = |url: &str| {
            let flags = Flags { endpoint: Some(url.to_owned()), ..Flags::default() };
            let parsed = Settings::parse(&BTreeMap::new(), &flags, |_| Ok(Vec::new()));
            parsed.map(|_| Self(url.to_owned())).map_err(|error| error.to_string().replace("--endpoint", "endpoint"))
        };
        deserializer.deserialize_str(Checked { expecting: "a URL such as http://localhost:4317", check })
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UserVisitor)
    }
}

struct UserVisitor;

impl Visitor<'_> for UserVisitor {
    type Value = User;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or the number of a user")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<User, E> {
        match unistd::User::from_name(name) {
            Ok(Some(user)) => Ok(User(user.uid.as_raw())),
            Ok(None) => Err(E::custom(format!("no user of this machine is called {name:?}"))),
            Err(error) => Err(E::custom(format!("the user {name:?} could not be looked up: {}", error.desc()))),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<User, E> {
        u32::try_from(number).map(User).map_err(|_| E::custom(format!("{number} is no user's number")))
    }
}

impl JsonSchema for User {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "User".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "integer"], "description": "The name or the number of a user"})
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SeveralVisitor(PhantomData))
    }
}

struct SeveralVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SeveralVisitor<T> {
    type Value = Several<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Several<T>, E> {
        let one: StrDeserializer<'_, E> = text.into_deserializer();
        Ok(Several(vec![T::deserialize(one)?]))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Several<T>, E> {
        let one: U64Deserializer<E> = number.into_deserializer();
        Ok(Several(vec![T::deserialize(one)?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Several<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            all.push(one);
        }
        Ok(Several(all))
    }
}

impl<T: JsonSchema> JsonSchema for Several<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("SeveralOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}
