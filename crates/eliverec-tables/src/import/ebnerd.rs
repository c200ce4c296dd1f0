//! EB-NeRD (Ekstra Bladet, Danish news): logged lists with clicks, reading time and scroll depth.
//!
//! One catalogue becomes two domains: free articles are the channels, paywalled ones the products (mapping (a) of the
//! set's README). A click is a watch whatever its reading time; `stay_s` is the reading time and `bag_click` stands for
//! "scrolled at least half of the article". Both are known only where a request has one click: a second click leaves
//! open whose they are. The list's order in the log is not the display order, so candidates have no position.
//!
//! A user's history is the union of `history_events` and the clicks of the requests themselves, because the former
//! ends where the last week begins. A request's click is left out where `history_events` has the same user on the same
//! article within the following hour: that is the same click, told twice. Windows over all users count the requests'
//! clicks and impressions only, so that they mean the same in every week. The week of the source's `validation` is the
//! test split; the day before it is the validation split.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use eliverec_core::event::{Event, EventKind, Scalar};
use eliverec_core::schema::Group;

use super::ebnerd_tables::{Read, Request, UNKNOWN, read_articles, read_history, read_requests};
use super::log::LogOutput;
use super::output::NOTHING_SHOWN;
use super::record::{FeedInProgress, Label, Value};
use super::source::Folder;
use super::timeline::Timeline;
use super::{Options, Output, calendar};
use crate::{Error, Split};
use eliverec_core::{Dimension, Dimensions};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Scroll depth in percent from which `bag_click` is true.
const DEEP_SCROLL: f32 = 50.0;

const TOLD_TWICE: &str = "clicks that history_events.csv.gz tells of, too, taken once";

/// Everything that is asked with "before the request".
struct Past {
    free: Timeline<Read>,
    premium: Timeline<Read>,
    shown: Timeline<()>,
    clicked: Timeline<()>,
    read: Timeline<()>,
}

pub(super) fn read(from: &Folder, options: Options, out: &mut Output<'_>) -> Result<(), Error> {
    let articles = read_articles(from)?;
    let requests = read_requests(from)?;
    let history = read_history(from)?;
    let known = |article: u64| articles.get(&article);
    for (_, _, read) in &history {
        if known(read.article).is_none() {
            out.remark("history events on articles that items.csv.gz lacks, taken as free");
        }
    }
    let past = gather(&requests, history, |article| known(article).is_some_and(|a| a.premium), out);

    let test_from = requests.iter().filter(|r| r.held_out).map(|r| r.ts_ms).min();
    let validation_from = test_from.map(|ts_ms| ts_ms - DAY_MS);
    let mut order: Vec<&Request> = requests.iter().collect();
    order.sort_by_key(|request| (request.ts_ms, request.id));
    for request in order {
        if request.shown.is_empty() {
            out.dropped(NOTHING_SHOWN);
            continue;
        }
        let split = if request.held_out {
            Split::Test
        } else if validation_from.is_some_and(|from| request.ts_ms >= from) {
            Split::Validation
        } else {
            Split::Train
        };
        let length = |article: u64| known(article).map_or(UNKNOWN, |a| a.length);
        let feed = feed(&out.schema, request, &past, options.history, length);
        out.feed(split, &feed.finish())?;
    }
    Ok(())
}

/// A visit to an article, with the request whose list led there if one is known.
struct Visit {
    user: u64,
    article: u64,
    ts_ms: i64,
    stay_s: Option<f32>,
    request: Option<u64>,
    deep_scroll: bool,
}

/// The set as a log: lists become impressions, visits watches of the article as a channel, with a bag click if at least
/// half was scrolled. Where the reading time is not known the leave says that it was at least 0 s; samples with a threshold
/// of 0 s take every click for a watch. A paywalled article is also a product: a visit to it is a product click, and a
/// watch only where a list showed it.
pub(super) fn log(from: &Folder, _seed: u64, out: &mut LogOutput) -> Result<Dimensions, Error> {
    let articles = read_articles(from)?;
    let mut requests = read_requests(from)?;
    requests.sort_by_key(|request| (request.ts_ms, request.id));
    let visits = visits(&requests, read_history(from)?, out);
    for request in &requests {
        if request.shown.is_empty() {
            out.dropped(NOTHING_SHOWN);
        }
        let context =
            [calendar::hour(request.ts_ms), calendar::weekday(request.ts_ms), request.device];
        for (article, _) in &request.shown {
            out.event(Event {
                user_id: Some(request.user),
                channel_id: Some(*article),
                request_id: Some(request.id),
                context: context.map(Scalar::Id).to_vec(),
                ..Event::new(0, request.ts_ms, EventKind::Impression)
            })?;
        }
    }
    for visit in &visits {
        let known = articles.get(&visit.article);
        if known.is_none() {
            out.remark("visits to articles that items.csv.gz lacks, taken as free");
        }
        let premium = known.is_some_and(|article| article.premium);
        let left_ms =
            visit.ts_ms + visit.stay_s.map_or(0, |s| (f64::from(s) * 1000.0).round() as i64);
        let event = |kind, ts_ms| Event {
            user_id: Some(visit.user),
            channel_id: Some(visit.article),
            request_id: visit.request,
            ..Event::new(0, ts_ms, kind)
        };
        if premium {
            out.event(Event {
                channel_id: None,
                product_id: Some(visit.article),
                request_id: None,
                ..event(EventKind::ProductClick, visit.ts_ms)
            })?;
        }
        if premium && visit.request.is_none() {
            continue;
        }
        out.event(event(EventKind::Watch, visit.ts_ms))?;
        if visit.deep_scroll {
            out.event(event(EventKind::BagClick, left_ms))?;
        }
        if visit.stay_s.is_none() {
            out.remark("visits of unknown reading time, left after 0 s");
        }
        let stay_s = visit.stay_s.map_or(0.0, f64::from);
        out.event(Event { value: Some(stay_s), ..event(EventKind::Leave, left_ms) })?;
    }
    let shown = requests.iter().flat_map(|request| &request.shown).map(|(article, _)| *article);
    let all: BTreeSet<u64> = shown.chain(visits.iter().map(|visit| visit.article)).collect();
    let rows = all.iter().map(|article| {
        let length = articles.get(article).map_or(UNKNOWN, |known| known.length);
        (*article, [Scalar::Id(*article), Scalar::Number(length)])
    });
    // The published set's weeks have one subscription and one kind of account per user.
    let mut users: BTreeMap<u64, [bool; 2]> = BTreeMap::new();
    for request in &requests {
        let row = [request.subscriber, request.sso];
        if users.insert(request.user, row).is_some_and(|before| before != row) {
            out.remark("changes of a user's subscription or account: the table has the newest");
        }
    }
    let users =
        users.into_iter().map(|(user, row)| (user, row.map(|flag| Scalar::Id(flag.into()))));
    Ok(Dimensions {
        users: Dimension::from_rows(&out.schema, Group::User, users)?,
        products: Dimension::from_rows(&out.schema, Group::Product, rows.clone())?,
        channels: Dimension::from_rows(&out.schema, Group::Channel, rows)?,
    })
}

/// The visits that the history tells of, and the clicks that it does not. A click that the history tells of too takes
/// its moment from there, and the reading time from the request.
fn visits(requests: &[Request], history: Vec<(u64, i64, Read)>, out: &mut LogOutput) -> Vec<Visit> {
    let visit = |(user, ts_ms, Read { article, stay_s }): (u64, i64, Read)| Visit {
        user,
        article,
        ts_ms,
        stay_s,
        request: None,
        deep_scroll: false,
    };
    let mut visits: Vec<Visit> = history.into_iter().map(visit).collect();
    visits.sort_by_key(|visit| visit.ts_ms);
    let mut told: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
    for (i, visit) in visits.iter().enumerate() {
        told.entry((visit.user, visit.article)).or_default().push(i);
    }
    for request in requests {
        let one_click = request.shown.iter().filter(|(_, click)| *click).count() == 1;
        let stay_s = request.stay_s.filter(|_| one_click);
        for (article, _) in request.shown.iter().filter(|(_, click)| *click) {
            let known = told.get(&(request.user, *article)).into_iter().flatten().find(|i| {
                let delay_ms = visits[**i].ts_ms - request.ts_ms;
                visits[**i].request.is_none() && (0..=HOUR_MS).contains(&delay_ms)
            });
            if known.is_some() {
                out.remark(TOLD_TWICE);
            }
            let place = known.copied().unwrap_or_else(|| {
                visits.push(visit((
                    request.user,
                    request.ts_ms,
                    Read { article: *article, stay_s },
                )));
                visits.len() - 1
            });
            let visit = &mut visits[place];
            visit.request = Some(request.id);
            visit.stay_s = stay_s.or(visit.stay_s);
            visit.deep_scroll =
                one_click && request.scroll.is_some_and(|percent| percent >= DEEP_SCROLL);
        }
    }
    visits
}

fn feed<'a>(
    schema: &'a eliverec_core::Schema,
    request: &Request,
    past: &Past,
    newest: usize,
    length: impl Fn(u64) -> f32,
) -> FeedInProgress<'a> {
    let ts_ms = request.ts_ms;
    let mut feed = FeedInProgress::new(schema, request.id, request.user, ts_ms);
    feed.user(&[
        ("user_id", Value::Id(request.user)),
        ("is_subscriber", Value::Id(request.subscriber.into())),
        ("is_sso_user", Value::Id(request.sso.into())),
    ]);
    feed.context(&[
        ("hour", Value::Id(calendar::hour(ts_ms))),
        ("weekday", Value::Id(calendar::weekday(ts_ms))),
        ("device", Value::Id(request.device)),
    ]);
    let entity = |article: u64| {
        [("article_id", Value::Id(article)), ("article_length", Value::Number(length(article)))]
    };
    // A stay that has not ended yet is known only as far as it got.
    let stay = |at: i64, read: &Read| {
        let so_far = (ts_ms - at) as f32 / 1000.0;
        [("stay", Value::Number(read.stay_s.map_or(UNKNOWN, |stay_s| stay_s.min(so_far))))]
    };
    for (at, read) in past.premium.newest(request.user, ts_ms, newest) {
        feed.product(*at, &entity(read.article), &stay(*at, read));
    }
    for (at, read) in past.free.newest(request.user, ts_ms, newest) {
        feed.channel(*at, &entity(read.article), &stay(*at, read));
    }
    let one_click = request.shown.iter().filter(|(_, click)| *click).count() == 1;
    for &(article, watched) in &request.shown {
        let count = |log: &Timeline<()>, minutes: i64| {
            log.within(article, ts_ms, minutes * MINUTE_MS) as f32
        };
        let (clicks, impressions) = (count(&past.clicked, 60), count(&past.shown, 60));
        let first = [past.shown.first(article, ts_ms), past.read.first(article, ts_ms)];
        let first = first.into_iter().flatten().min();
        let target = [
            ("clicks_10m", Value::Number(count(&past.clicked, 10))),
            ("clicks_60m", Value::Number(clicks)),
            ("impressions_10m", Value::Number(count(&past.shown, 10))),
            ("impressions_60m", Value::Number(impressions)),
            ("click_rate_60m", Value::Number((clicks + 1.0) / (impressions + 20.0))),
            (
                "age_since_first_seen_s",
                Value::Number(first.map_or(0.0, |at| (ts_ms - at) as f32 / 1000.0)),
            ),
        ];
        let label = Label {
            watched,
            stay_s: request.stay_s.filter(|_| watched && one_click),
            bag_click: request
                .scroll
                .filter(|_| watched && one_click)
                .map(|percent| percent >= DEEP_SCROLL),
        };
        feed.candidate(&entity(article), &target, None, label);
    }
    feed
}

fn gather(
    requests: &[Request],
    history: Vec<(u64, i64, Read)>,
    premium: impl Fn(u64) -> bool,
    out: &mut Output<'_>,
) -> Past {
    let mut told: HashMap<(u64, u64), Vec<i64>> = HashMap::new();
    for (user, ts_ms, read) in &history {
        told.entry((*user, read.article)).or_default().push(*ts_ms);
    }
    let told_twice = |user: u64, article: u64, ts_ms: i64| {
        told.get(&(user, article))
            .is_some_and(|times| times.iter().any(|at| (0..=HOUR_MS).contains(&(at - ts_ms))))
    };
    let mut clicks = Vec::new();
    for request in requests {
        let one_click = request.shown.iter().filter(|(_, click)| *click).count() == 1;
        for (article, _) in request.shown.iter().filter(|(_, click)| *click) {
            if told_twice(request.user, *article, request.ts_ms) {
                out.remark(TOLD_TWICE);
            } else {
                let stay_s = request.stay_s.filter(|_| one_click);
                clicks.push((request.user, request.ts_ms, Read { article: *article, stay_s }));
            }
        }
    }
    let impressions = || {
        requests.iter().flat_map(|request| {
            request.shown.iter().map(|(article, click)| (*article, request.ts_ms, *click))
        })
    };
    let read = Timeline::new(history.iter().map(|(_, ts_ms, read)| (read.article, *ts_ms, ())));
    let (paid, free): (Vec<_>, Vec<_>) =
        history.into_iter().chain(clicks).partition(|(_, _, read)| premium(read.article));
    Past {
        free: Timeline::new(free),
        premium: Timeline::new(paid),
        shown: Timeline::new(impressions().map(|(article, ts_ms, _)| (article, ts_ms, ()))),
        clicked: Timeline::new(
            impressions().filter(|(_, _, click)| *click).map(|(article, ts, _)| (article, ts, ())),
        ),
        read,
    }
}
