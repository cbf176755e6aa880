//! Holds the description of the API against the code: nothing may be missing in it, and nothing made up.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::Value;
use touchstone_protocol::Dialect;

use super::body::{Done, Failed};
use super::faults::FaultRequest;
use super::{DESCRIPTION, Endpoint, observe, operate, provision};

/// A deserializer that only finds out which fields its struct has.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("this is no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("the fields are known"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

type Names = BTreeSet<String>;

/// What a request, or an answer, may have.
fn read<T: DeserializeOwned>() -> Names {
    let mut fields: &[&str] = &[];
    assert!(T::deserialize(Fields(&mut fields)).is_err());
    fields.iter().map(|field| (*field).to_owned()).collect()
}

fn description() -> Value {
    serde_json::from_str(DESCRIPTION).unwrap()
}

/// Paths with their methods.
fn described_routes(description: &Value) -> BTreeSet<(String, String)> {
    let paths = description["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &Value)| {
        let methods: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
        let path = path.clone();
        methods.into_iter().map(move |method| (path.clone(), method))
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn every_route_is_described_and_none_that_does_not_exist() {
    let served = Endpoint::ALL.iter().map(|endpoint| {
        let method = endpoint.method().as_str().to_ascii_lowercase();
        (format!("/admin{}", endpoint.path()), method)
    });
    assert_eq!(described_routes(&description()), served.collect());
}

#[test]
fn every_field_is_described_and_none_that_does_not_exist() {
    let description = description();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let described = schemas.iter().filter(|(_, schema)| schema["type"] == "object");
    let described: BTreeMap<_, Names> = described
        .map(|(name, schema)| {
            let properties = schema["properties"].as_object().unwrap();
            assert_eq!(schema["additionalProperties"], false, "{name}");
            (name.as_str(), properties.keys().cloned().collect())
        })
        .collect();
    let exists = BTreeMap::from([
        ("TenantsRequest", read::<provision::TenantsRequest>()),
        ("TenantEntry", read::<provision::TenantEntry>()),
        ("TenantsMade", read::<provision::TenantsMade>()),
        ("UsersRequest", read::<provision::UsersRequest>()),
        ("UserEntry", read::<provision::UserEntry>()),
        ("UsersMade", read::<provision::UsersMade>()),
        ("ChannelsRequest", read::<provision::ChannelsRequest>()),
        ("ChannelEntry", read::<provision::ChannelEntry>()),
        ("ChannelsMade", read::<provision::ChannelsMade>()),
        ("Made", read::<provision::MadeShown>()),
        ("PublishRequest", read::<operate::PublishRequest>()),
        ("Published", read::<operate::Published>()),
        ("DisconnectRequest", read::<operate::DisconnectRequest>()),
        ("ConnectionsShown", read::<observe::ConnectionsShown>()),
        ("ConnectionShown", read::<observe::ConnectionShown>()),
        ("EventsShown", read::<observe::EventsShown>()),
        ("EventShown", read::<observe::EventShown>()),
        ("SweepRequest", read::<operate::SweepRequest>()),
        ("DrainRequest", read::<operate::DrainRequest>()),
        ("DrainBegun", read::<operate::DrainBegun>()),
        ("FaultRequest", read::<FaultRequest>()),
        ("Done", read::<Done>()),
        ("Failed", read::<Failed>()),
    ]);
    assert_eq!(described, exists);
}

#[test]
fn every_query_parameter_is_described_and_none_that_does_not_exist() {
    let description = description();
    for (pointer, exists) in [
        (
            "/paths/~1admin~1users~1{id}/delete",
            read::<provision::UserQuery>(),
        ),
        (
            "/paths/~1admin~1connections/get",
            read::<observe::ConnectionsQuery>(),
        ),
        ("/paths/~1admin~1events/get", read::<observe::EventsQuery>()),
    ] {
        let parameters = description.pointer(pointer).unwrap()["parameters"]
            .as_array()
            .unwrap();
        let parameters = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let described: Names = parameters
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(described, exists, "{pointer}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    fn references(value: &Value, found: &mut Names) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match value.as_str() {
                Some(target) if name == "$ref" => {
                    found.insert(target.to_owned());
                }
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let description = description();
    let mut found = Names::new();
    references(&description, &mut found);
    let schemas = description["components"]["schemas"].as_object().unwrap().keys();
    let schemas: Names = schemas
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(found, schemas);
}

#[test]
fn every_dialect_is_named() {
    let names: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    assert_eq!(
        description()["components"]["schemas"]["Dialect"]["enum"],
        serde_json::json!(names)
    );
}
