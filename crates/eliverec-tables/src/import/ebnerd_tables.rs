//! The tables of EB-NeRD as [`super::ebnerd`] reads them.

use std::collections::HashMap;

use super::source::{Folder, Table};
use crate::Error;

/// What the buckets of the schema take for unknown.
pub(super) const UNKNOWN: f32 = -1.0;

#[derive(Clone, Copy)]
pub(super) struct Article {
    pub(super) premium: bool,
    pub(super) length: f32,
}

pub(super) struct Request {
    pub(super) id: u64,
    pub(super) user: u64,
    pub(super) ts_ms: i64,
    pub(super) held_out: bool,
    pub(super) device: u64,
    pub(super) sso: bool,
    pub(super) subscriber: bool,
    pub(super) stay_s: Option<f32>,
    pub(super) scroll: Option<f32>,
    /// Article and whether it was clicked.
    pub(super) shown: Vec<(u64, bool)>,
}

/// A read article of a user's past.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) article: u64,
    pub(super) stay_s: Option<f32>,
}

pub(super) fn read_articles(from: &Folder) -> Result<HashMap<u64, Article>, Error> {
    let (mut table, [id, premium, length]) =
        Table::open(from, "items.csv.gz", ["article_id", "premium", "article_length"])?;
    let mut articles = HashMap::new();
    while table.advance()? {
        let length = table.known_amount(length)?.unwrap_or(UNKNOWN);
        let article = table.number(id)?;
        if articles.insert(article, Article { premium: table.flag(premium)?, length }).is_some() {
            return Err(table.wrong(id, format!("article {article} stands there twice")));
        }
    }
    Ok(articles)
}

pub(super) fn read_requests(from: &Folder) -> Result<Vec<Request>, Error> {
    let (mut table, [id, split, user, ts, device, sso, subscriber, stay, scroll]) = Table::open(
        from,
        "requests.csv.gz",
        [
            "request_id",
            "split",
            "user_id",
            "ts_ms",
            "device_type",
            "is_sso_user",
            "is_subscriber",
            "click_read_time_s",
            "click_scroll_pct",
        ],
    )?;
    let (mut requests, mut rows) = (Vec::new(), HashMap::new());
    while table.advance()? {
        let request = Request {
            id: table.number(id)?,
            user: table.number(user)?,
            ts_ms: table.milliseconds(ts)?,
            held_out: table.choice(split, ["train", "validation"])? == 1,
            device: table.number(device)?,
            sso: table.flag(sso)?,
            subscriber: table.flag(subscriber)?,
            stay_s: table.known_stay(stay)?,
            scroll: table.known_amount(scroll)?,
            shown: Vec::new(),
        };
        if rows.insert(request.id, requests.len()).is_some() {
            return Err(table.wrong(id, format!("request {} stands there twice", request.id)));
        }
        requests.push(request);
    }
    let (mut table, [id, article, click]) =
        Table::open_distinct(from, "impressions.csv.gz", ["request_id", "article_id", "click"])?;
    while table.advance()? {
        let request: u64 = table.number(id)?;
        let row = rows.get(&request).ok_or_else(|| {
            table.wrong(id, format!("request {request} is not in requests.csv.gz"))
        })?;
        requests[*row].shown.push((table.number(article)?, table.flag(click)?));
    }
    Ok(requests)
}

pub(super) fn read_history(from: &Folder) -> Result<Vec<(u64, i64, Read)>, Error> {
    let (mut table, [user, ts, article, stay]) = Table::open_distinct(
        from,
        "history_events.csv.gz",
        ["user_id", "ts_ms", "article_id", "read_time_s"],
    )?;
    let mut history = Vec::new();
    while table.advance()? {
        let read = Read { article: table.number(article)?, stay_s: table.known_stay(stay)? };
        history.push((table.number(user)?, table.milliseconds(ts)?, read));
    }
    Ok(history)
}
