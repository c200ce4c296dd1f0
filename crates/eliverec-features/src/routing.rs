//! Whose folds an event concerns: the one rule that both drivers follow.

use eliverec_core::event::{Event, EventKind};

/// The user whose folds look at the event: it ends a visit, or is a product click outside channels.
pub fn user_of(event: &Event) -> Option<u64> {
    let concerns = match event.kind {
        EventKind::Leave => true,
        EventKind::ProductClick => event.channel_id.is_none(),
        _ => false,
    };
    event.user_id.filter(|_| concerns)
}

/// The channel whose folds look at the event.
pub fn channel_of(event: &Event) -> Option<u64> {
    let ignored = matches!(event.kind, EventKind::Follow | EventKind::Like | EventKind::Comment);
    event.channel_id.filter(|_| !ignored)
}

/// The product whose clicks the event counts to.
pub fn product_of(event: &Event) -> Option<u64> {
    event.product_id.filter(|_| event.kind == EventKind::ProductClick)
}
