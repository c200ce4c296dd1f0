//! The groups of fields that a schema declares.

/// Where a field's values stand in a batch. The fields of a channel stand twice: in the history and at the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Group {
    User,
    Context,
    Product,
    ProductEvent,
    Channel,
    ChannelEvent,
    Candidate,
    Target,
    Dynamic,
}

impl Group {
    /// Every group, in a fixed order.
    pub const ALL: [Self; 9] = [
        Self::User,
        Self::Context,
        Self::Product,
        Self::ProductEvent,
        Self::Channel,
        Self::ChannelEvent,
        Self::Candidate,
        Self::Target,
        Self::Dynamic,
    ];

    /// The name in `schema.toml`; candidates have the fields of `channel`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Context => "context",
            Self::Product => "product",
            Self::ProductEvent => "product_event",
            Self::Channel => "channel",
            Self::ChannelEvent => "channel_event",
            Self::Candidate => "candidate",
            Self::Target => "target",
            Self::Dynamic => "dynamic",
        }
    }
}

impl Group {
    /// The column of a feed file whose structs hold the group's fields.
    pub const fn column(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Context => "context",
            Self::Product | Self::ProductEvent => "products",
            Self::Channel | Self::ChannelEvent => "channels",
            Self::Candidate | Self::Target | Self::Dynamic => "candidates",
        }
    }
}
