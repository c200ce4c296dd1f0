//! Who looks at a page.

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    /// The token's name; `None` where there are no tokens.
    pub(crate) name: Option<String>,
    /// Whether bundles may be changed.
    pub(crate) may_change: bool,
}
