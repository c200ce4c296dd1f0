//! What the description of the calls says beyond each call: who may make it, and that batches come in three forms.

use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Array, Object, OneOf, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi as _, ToSchema};

use crate::access::Scope;
use crate::problem::ProblemBody;
use crate::routes::tables::TableRow;
use crate::wire::WireEvent;

/// The name of the scheme in the document.
const TOKEN: &str = "token";

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "eliverec",
    description = "Ranked live channels, and the events that make their features."
))]
struct Document;

/// The document before it has calls.
pub(crate) fn begun() -> OpenApi {
    let mut document = Document::openapi();
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description = Some(
        "A token of the service's file of tokens; none is asked for without that file.".into(),
    );
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    document
}

/// Says of all calls which scope they need, and how they are refused without it.
pub(crate) fn scoped(document: &mut OpenApi, scope: Scope) {
    let problem = || {
        let body = RefOr::Ref(Ref::from_schema_name(ProblemBody::name()));
        ContentBuilder::new().schema(Some(body)).build()
    };
    let refusal = |said: &str| {
        let response = ResponseBuilder::new().description(said);
        response.content("application/problem+json", problem()).build()
    };
    for operation in operations(document) {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, [scope.name()])]);
        let refusals = [
            ("401", refusal("No token, or one that nobody has")),
            ("403", refusal("The token has not this scope")),
        ];
        for (status, response) in refusals {
            operation.responses.responses.insert(status.into(), RefOr::T(response));
        }
    }
}

/// Says of the calls that take batches that these are an object, an array, or lines.
pub(crate) fn batches(document: &mut OpenApi) {
    let paths = &mut document.paths.paths;
    let of_paths = [("/v1/events", WireEvent::name()), ("/v1/{table}", TableRow::name())];
    for (path, row) in of_paths {
        let Some(item) = paths.get_mut(path) else { continue };
        let row = || RefOr::Ref(Ref::from_schema_name(row.clone()));
        let both = OneOf::builder().item(row()).item(Array::new(row())).build();
        let lines = Object::builder()
            .schema_type(Type::String)
            .description(Some("one object a line"))
            .build();
        let body = [&mut item.post, &mut item.put]
            .into_iter()
            .flatten()
            .find_map(|operation| operation.request_body.as_mut());
        if let Some(RefOr::T(body)) = body {
            let content = |schema: Schema| RefOr::T(Content::new(Some(RefOr::T(schema))));
            body.content.insert("application/json".into(), content(Schema::OneOf(both)));
            let lines = content(Schema::Object(lines));
            body.content.insert("application/x-ndjson".into(), lines);
        }
    }
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document
        .paths
        .paths
        .values_mut()
        .flat_map(|item| [&mut item.get, &mut item.put, &mut item.post].into_iter().flatten())
}
