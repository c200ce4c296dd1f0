//! RecSys Challenge 2019 (trivago): hotel lists in display order, with prices and the click-out.
//!
//! A click-out is a watch; the user's earlier click-outs are the channels and the earlier item actions (image, info,
//! rating, deals, search) the products, over one set of hotels. Known before entering, and so fields of the target:
//! place in the list, price, and how many hotels of the list are cheaper. There is no dwell time, so `stay_s` stays
//! unknown. Only rows of an earlier second count as history. Split by time: November 7 is train, November 8 to noon
//! validation, the afternoon test (UTC).

use std::collections::HashMap;

use eliverec_core::id::text_id;

use super::output::NOTHING_SHOWN;
use super::record::{FeedInProgress, Label, Value};
use super::source::{Folder, Table};
use super::timeline::Timeline;
use super::{Options, Output, calendar};
use crate::{Error, Split};

/// 2018-11-08 00:00 UTC.
const VALIDATION_FROM_MS: i64 = 1_541_635_200_000;
/// 2018-11-08 12:00 UTC.
const TEST_FROM_MS: i64 = 1_541_678_400_000;

const ITEM_ACTIONS: [&str; 5] = [
    "interaction item image",
    "interaction item info",
    "interaction item rating",
    "interaction item deals",
    "search for item",
];

/// What the source writes for a hotel that it could not name.
const UNKNOWN_HOTEL: &str = "unknown";

struct Request {
    id: u64,
    user: u64,
    ts_ms: i64,
    platform: u64,
    city: u64,
    device: u64,
    filters: Vec<u64>,
    clicked: u64,
    shown: Vec<Shown>,
}

#[derive(Clone, Copy)]
struct Shown {
    position: u16,
    hotel: u64,
    price: f32,
    click: bool,
}

/// What a user did with a hotel.
#[derive(Clone, Copy)]
struct Action {
    hotel: u64,
    action: u64,
}

pub(super) fn read(from: &Folder, options: Options, out: &mut Output<'_>) -> Result<(), Error> {
    let mut requests = read_requests(from, out)?;
    requests.sort_by_key(|request| (request.ts_ms, request.id));
    let actions = read_actions(from, out)?;
    let clicks = Timeline::new(requests.iter().map(|r| (r.user, r.ts_ms, r.clicked)));

    for request in &requests {
        if request.shown.is_empty() {
            out.dropped(NOTHING_SHOWN);
            continue;
        }
        let ts_ms = request.ts_ms;
        let mut feed = FeedInProgress::new(&out.schema, request.id, request.user, ts_ms);
        feed.user(&[("user_id", Value::Id(request.user))]);
        feed.context(&[
            ("platform", Value::Id(request.platform)),
            ("city", Value::Id(request.city)),
            ("device", Value::Id(request.device)),
            ("hour", Value::Id(calendar::hour(ts_ms))),
            ("filters", Value::List(&request.filters)),
            ("filter_count", Value::Number(request.filters.len() as f32)),
        ]);
        for (at, Action { hotel, action }) in actions.newest(request.user, ts_ms, options.history) {
            feed.product(
                *at,
                &[("hotel_id", Value::Id(*hotel))],
                &[("action", Value::Id(*action))],
            );
        }
        for (at, hotel) in clicks.newest(request.user, ts_ms, options.history) {
            feed.channel(*at, &[("hotel_id", Value::Id(*hotel))], &[]);
        }
        for shown in &request.shown {
            let cheaper = request.shown.iter().filter(|other| other.price < shown.price).count();
            let target = [
                ("list_position", Value::Id(shown.position.into())),
                ("price", Value::Number(shown.price)),
                ("price_rank", Value::Id(cheaper as u64)),
            ];
            let label = Label { watched: shown.click, ..Label::default() };
            let channel = [("hotel_id", Value::Id(shown.hotel))];
            feed.candidate(&channel, &target, Some(shown.position), label);
        }
        let split = if ts_ms >= TEST_FROM_MS {
            Split::Test
        } else if ts_ms >= VALIDATION_FROM_MS {
            Split::Validation
        } else {
            Split::Train
        };
        out.feed(split, &feed.finish())?;
    }
    Ok(())
}

fn read_requests(from: &Folder, out: &mut Output<'_>) -> Result<Vec<Request>, Error> {
    let (mut table, [id, user, ts, platform, city, device, filters, clicked, in_list]) =
        Table::open(
            from,
            "requests.csv.gz",
            [
                "request_id",
                "user_id",
                "ts_s",
                "platform",
                "city",
                "device",
                "current_filters",
                "clicked_item_id",
                "click_in_list",
            ],
        )?;
    let (mut requests, mut rows) = (Vec::new(), HashMap::new());
    while table.advance()? {
        if !table.flag(in_list)? {
            out.remark("requests whose clicked hotel is not in the list: feeds without a watch");
        }
        let request = Request {
            id: table.number(id)?,
            user: text_id(table.text(user)),
            ts_ms: table.seconds(ts)?,
            platform: text_id(table.text(platform)),
            city: text_id(table.text(city)),
            device: text_id(table.text(device)),
            filters: table
                .text(filters)
                .split('|')
                .filter(|f| !f.is_empty())
                .map(text_id)
                .collect(),
            clicked: table.number(clicked)?,
            shown: Vec::new(),
        };
        if rows.insert(request.id, requests.len()).is_some() {
            return Err(table.wrong(id, format!("request {} stands there twice", request.id)));
        }
        requests.push(request);
    }
    let (mut table, [id, position, hotel, price, click]) = Table::open_distinct(
        from,
        "impressions.csv.gz",
        ["request_id", "position", "item_id", "price", "click"],
    )?;
    while table.advance()? {
        let request: u64 = table.number(id)?;
        let row = rows.get(&request).ok_or_else(|| {
            table.wrong(id, format!("request {request} is not in requests.csv.gz"))
        })?;
        let place: u16 = table.number(position)?;
        let shown = Shown {
            position: place
                .checked_sub(1)
                .ok_or_else(|| table.wrong(position, "0 is no place; the top is 1".into()))?,
            hotel: table.number(hotel)?,
            price: table.amount(price)?,
            click: table.flag(click)?,
        };
        requests[*row].shown.push(shown);
    }
    Ok(requests)
}

fn read_actions(from: &Folder, out: &mut Output<'_>) -> Result<Timeline<Action>, Error> {
    let (mut table, [user, ts, action, reference]) = Table::open_distinct(
        from,
        "events.csv.gz",
        ["user_id", "ts_s", "action_type", "reference"],
    )?;
    let mut actions = Vec::new();
    while table.advance()? {
        let action = table.text(action);
        if !ITEM_ACTIONS.contains(&action) {
            out.unused("events that concern no hotel (filters, sort orders, places)");
            continue;
        }
        if table.text(reference) == UNKNOWN_HOTEL {
            out.unused("item actions on a hotel that the source does not know");
            continue;
        }
        let action = Action { hotel: table.number(reference)?, action: text_id(action) };
        actions.push((text_id(table.text(user)), table.seconds(ts)?, action));
    }
    Ok(Timeline::new(actions))
}
