//! Rows of the tables of users, products and channels, which may change while the service runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use eliverec_core::schema::Group;
use eliverec_state::Row;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::acknowledgement::Acknowledgement;
use crate::extract::{Batch, Body, Segments};
use crate::problem::{Code, Problem, ProblemBody};
use crate::service::Service;
use crate::wire::{Id, Shape, Values, at_most, values};

/// A row of a bulk call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableRow {
    /// Whose.
    id: Id,
    /// The table's fields by name.
    #[schema(value_type = Object)]
    values: Values,
}

/// The tables, as addresses name them.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(
    dead_code,
    reason = "what the description of the calls lists; an address is told in words that there is no such table"
)]
enum TableName {
    Users,
    Products,
    Channels,
}

fn group_of(table: &str) -> Result<Group, Problem> {
    match table {
        "users" => Ok(Group::User),
        "products" => Ok(Group::Product),
        "channels" => Ok(Group::Channel),
        _ => Err(Problem::new(
            Code::NotFound,
            format!("no table {table:?}; there are users, products, channels"),
        )),
    }
}

/// Sets the row of one user, product or channel: its fields by name, all of them.
#[utoipa::path(
    put, path = "/v1/{table}/{id}", tag = "tables",
    params(("table" = inline(TableName), Path, description = "which table"), ("id" = String, Path, description = "an integer or text, as ids of that table are; where that is not known an integer, if JSON writes it so, else text")),
    request_body = Object,
    responses((status = 200, body = Acknowledgement), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn put_row(
    State(service): State<Arc<Service>>,
    Segments((table, id)): Segments<(String, String)>,
    Body(given): Body<Values>,
) -> Result<Json<Acknowledgement>, Problem> {
    let group = group_of(&table)?;
    let ids = service.engine.ids();
    let shape = Shape { fields: service.engine.table_fields(group), ids: &ids };
    let id = service.id_of(group, &id)?;
    let row = Row { id: id.value(), values: values(shape, &given, &table)? };
    upsert(&service, group, vec![id], vec![row]).await
}

/// Sets many rows: an array or newline-delimited JSON of `{"id", "values"}`; all of them or none.
#[utoipa::path(
    put, path = "/v1/{table}", tag = "tables",
    params(("table" = inline(TableName), Path, description = "which table")),
    request_body = TableRow,
    responses((status = 200, body = Acknowledgement), (status = "default", body = ProblemBody, content_type = "application/problem+json")),
)]
pub(crate) async fn put_rows(
    State(service): State<Arc<Service>>,
    Segments(table): Segments<String>,
    Batch(rows): Batch<TableRow>,
) -> Result<Json<Acknowledgement>, Problem> {
    let group = group_of(&table)?;
    at_most(rows.len(), service.settings.batch, "rows")?;
    let known = service.engine.ids();
    let shape = Shape { fields: service.engine.table_fields(group), ids: &known };
    let ids = rows.iter().map(|row| row.id.clone()).collect();
    let rows = rows.into_iter().enumerate().map(|(i, row)| {
        let id = row.id.of_group(group, &known, "id");
        let of = id.and_then(|id| Ok(Row { id, values: values(shape, &row.values, "values")? }));
        of.map_err(|problem| problem.at_row(i))
    });
    upsert(&service, group, ids, rows.collect::<Result<Vec<_>, Problem>>()?).await
}

async fn upsert(
    service: &Arc<Service>,
    group: Group,
    ids: Vec<Id>,
    rows: Vec<Row>,
) -> Result<Json<Acknowledgement>, Problem> {
    let admitted = service.ingesting.enter().await?;
    let working = Arc::clone(service);
    let acknowledged = service
        .compute_admitted(admitted, move || {
            if group == Group::Channel {
                working.engine.learn_channels(ids.iter(), &[])?;
            }
            let now_ms = working.clock.now_ms();
            working.engine.upsert(group, rows, now_ms)
        })
        .await??;
    Ok(Json(acknowledged))
}
