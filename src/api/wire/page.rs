//! A page of a collection, and its schema in the document (spec/contract/CONTRACT.md §8).

use std::marker::PhantomData;

use poem::http::StatusCode;
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponses, MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType};

use super::{
    answer::{Answer, response},
    json::{JSON, to_json},
    resource::Resource,
    scalar::Continuation,
};
use crate::{
    domain::collection::Field,
    service::{Error, Result as ServiceResult},
};

/// The maximum size of the items' JSON on a page, in bytes.
const LARGEST_PAGE: usize = 1024 * 1024;

/// Metadata of a page of a collection.
#[derive(Debug, Serialize, Object)]
pub struct ListMetadata {
    /// Send this as `continue` to get the next page. Absent on the last page.
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "continue", skip_serializing_if_is_none)]
    pub resume: Option<Continuation>,
    /// With `count=true`: the number of items that match, on all pages together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub count: Option<i64>,
}

/// 200 with a page of resources.
pub(in crate::api) struct Listed<T>(PhantomData<T>);

impl<T: Resource> ApiResponse for Answer<Listed<T>> {
    fn meta() -> MetaResponses {
        let schema = MetaSchemaRef::Reference(list_name::<T>());
        let content = vec![MetaMediaType { content_type: JSON, schema }];
        MetaResponses {
            responses: vec![response(200, "Some of the collection's items, or all of them.", content, &[])],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
        ListMetadata::register(registry);
        registry.create_schema::<Row, _>(Row::NAME.to_owned(), |_| Row::schema());
        registry.create_schema::<FieldValue, _>(FieldValue::NAME.to_owned(), |_| MetaSchema::new("object"));
        registry.create_schema::<Row, _>(item_name::<T>(), |_| item_schema::<T>());
        registry.create_schema::<Listed<T>, _>(list_name::<T>(), |_| list_schema::<T>());
    }
}

/// An item in a response to a request with `include`: an array of field values.
struct Row;

impl Row {
    const NAME: &'static str = "Row";

    fn schema() -> MetaSchema {
        MetaSchema {
            description: Some("With `include`: the values of the fields that were asked for, in that order."),
            items: Some(Box::new(MetaSchemaRef::Reference(FieldValue::NAME.to_owned()))),
            ..MetaSchema::new("array")
        }
    }
}

/// The value of a field: any JSON value.
pub(in crate::api) struct FieldValue;

impl FieldValue {
    /// The name of the schema in the document.
    pub const NAME: &'static str = "FieldValue";

    /// The schema of any JSON value, in utoipa's model: utoipa can't read a schema without a type, as poem-openapi
    /// generates it, but can write one.
    pub fn schema() -> Schema {
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        any.description(Some("What a field holds: whatever JSON it is, `null` where it is absent.")).into()
    }
}

fn list_name<T: Type>() -> String {
    format!("{}List", T::name())
}

fn item_name<T: Type>() -> String {
    format!("{}ListItem", T::name())
}

fn item_schema<T: Resource>() -> MetaSchema {
    MetaSchema {
        description: Some("An item: the resource, or with `include` just some of its fields."),
        any_of: vec![T::schema_ref(), MetaSchemaRef::Reference(Row::NAME.to_owned())],
        ..MetaSchema::ANY
    }
}

fn list_schema<T: Resource>() -> MetaSchema {
    let constant = |value: &str, description| {
        let schema =
            MetaSchema { enum_items: vec![value.into()], description: Some(description), ..MetaSchema::new("string") };
        MetaSchemaRef::Inline(Box::new(schema))
    };
    let items = MetaSchema {
        description: Some("The items, in order."),
        items: Some(Box::new(MetaSchemaRef::Reference(item_name::<T>()))),
        ..MetaSchema::new("array")
    };
    MetaSchema {
        description: Some("Some of the collection's items, or all of them."),
        required: vec!["type", "version", "items", "metadata"],
        properties: vec![
            ("type", constant(T::COLLECTION_TYPE, "What the collection holds.")),
            ("version", constant(T::VERSION, "The version of the items' schema.")),
            ("items", MetaSchemaRef::Inline(Box::new(items))),
            ("metadata", ListMetadata::schema_ref()),
        ],
        ..MetaSchema::new("object")
    }
}

/// The items of a page under construction, as JSON.
pub(in crate::api) struct Items<T> {
    json: Vec<u8>,
    include: Option<Vec<&'static Field>>,
    /// The error of an item that couldn't be serialized.
    failed: Option<Error>,
    of: PhantomData<fn(T)>,
}

impl<T: Resource> Items<T> {
    pub fn new(include: Option<Vec<&'static Field>>) -> Self {
        Self { json: vec![], include, failed: None, of: PhantomData }
    }

    /// Adds an item, or returns `false` if the page ends before it. The first item always fits.
    pub fn take(&mut self, item: impl Into<T>) -> bool {
        let before = self.json.len();
        if before > 0 {
            self.json.push(b',');
        }
        if let Err(error) = self.write(&item.into()) {
            self.failed = Some(error);
            return false;
        }
        let has_room = before == 0 || self.json.len() <= LARGEST_PAGE;
        if !has_room {
            self.json.truncate(before);
        }
        has_room
    }

    /// The response with the page.
    ///
    /// # Errors
    /// When an item couldn't be serialized: a defect.
    pub fn finish(self, metadata: &ListMetadata) -> ServiceResult<Answer<Listed<T>>> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let head = format!(r#"{{"type":"{}","version":"{}","items":["#, T::COLLECTION_TYPE, T::VERSION);
        let json = [head.as_bytes(), &self.json, br#"],"metadata":"#, &to_json(metadata)?, b"}"].concat();
        Ok(Answer::new(StatusCode::OK).body(JSON, json))
    }

    fn write(&mut self, item: &T) -> ServiceResult<()> {
        match &self.include {
            None => serde_json::to_writer(&mut self.json, item),
            Some(fields) => serde_json::to_value(item).and_then(|value| {
                let columns: Vec<_> = fields.iter().map(|field| value.get(field.path)).collect();
                serde_json::to_writer(&mut self.json, &columns)
            }),
        }
        .map_err(Error::internal)
    }
}
