//! Logistic regression: the floor that every other model has to be above.
//!
//! The wide half of H.-T. Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016: a number for every id of the
//! user's, the moment's and the candidate's fields, a weight for every dense field and match feature, and a bias. It sees no
//! history but through match features, and no products of fields.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use eliverec_core::schema::Group;
use eliverec_core::table::{Key, RowLaw};
use serde::{Deserialize, Serialize};

use crate::blocks::Tower;
use crate::builder::Builder;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::own::OwnTable;
use crate::site::Site;
use crate::trace::Trace;
use crate::trunk::{Encoded, Logit, Trunk, TrunkConfig};

/// `[model] name = "linear"` of an experiment file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearConfig {}

/// The groups it reads; e_d where the tower of other models sees it, too.
fn groups(site: &Site<'_>) -> Vec<Group> {
    let mut groups = vec![Group::User, Group::Context, Group::Candidate, Group::Target];
    groups.extend(site.tower.intra_dynamic.then_some(Group::Dynamic));
    groups
}

/// Every field with ids of those groups, with the name of its table.
fn fields(site: &Site<'_>) -> Vec<(Group, usize, usize, String)> {
    let of_group = |group: Group| {
        let fields = site.schema.fields(group).iter().enumerate();
        fields.filter_map(move |(i, field)| {
            let vocabulary = site.schema.vocabulary_of(field)?;
            Some((group, i, vocabulary, format!("{}.{}", group.name(), field.name)))
        })
    };
    groups(site).into_iter().flat_map(of_group).collect()
}

impl TrunkConfig for LinearConfig {
    type Trunk = Linear;

    fn tables(&self, site: &Site<'_>) -> Vec<OwnTable> {
        let table = |(_, _, vocabulary, name)| OwnTable {
            name,
            key: Key::Vocabulary(vocabulary),
            width: 1,
            law: RowLaw::Zero,
        };
        fields(site).into_iter().map(table).collect()
    }

    fn init(&self, site: &Site<'_>, builder: &Builder) -> Result<Linear, Error> {
        let numbers = |group: &Group| {
            let fields = site.schema.fields(*group).iter();
            let dense = fields.filter(|field| site.schema.vocabulary_of(field).is_none()).count();
            dense + site.schema.extra_numbers(*group)
        };
        let groups = groups(site).into_iter().filter(|group| numbers(group) > 0);
        let groups: Vec<Group> = groups.collect();
        let weights = groups.iter().map(|group| builder.constant(numbers(group), 0.0)).collect();
        let fields = fields(site).into_iter().map(|(group, i, _, name)| (group, i, name));
        Ok(Linear { weights, bias: builder.constant(1, 0.0), groups, fields: fields.collect() })
    }
}

/// A weight per number; those of ids are in the trunk's tables.
#[derive(Module, Debug)]
pub struct Linear {
    /// Of each of `groups`, `[k]`.
    weights: Vec<Param<Tensor<1>>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    groups: Vec<Group>,
    #[module(skip)]
    fields: Vec<(Group, usize, String)>,
}

impl Trunk for Linear {
    /// The fields that all models share: what the tasks read, if there are any. The logit does not.
    fn shape(&self, site: &Site<'_>) -> Vec<(&'static str, usize)> {
        site.shared_fields()
    }

    fn uses_tower(&self) -> bool {
        false
    }

    fn encode(&self, inputs: &Inputs, _: &Tower, _: &mut Trace) -> Encoded {
        let at_impressions = |group: Group, x: Tensor<2>| match group {
            Group::User | Group::Context => inputs.candidates.repeat(x),
            _ => x,
        };
        let rows = inputs.candidates.total();
        let mut logit = self.bias.val().expand([rows]);
        for (group, weights) in self.groups.iter().zip(&self.weights) {
            let numbers = inputs.numbers[group].clone(); //                     [entities, k]
            let part = numbers.matmul(weights.val().unsqueeze_dim(1));
            logit = logit + at_impressions(*group, part).squeeze_dim(1);
        }
        for (group, field, table) in &self.fields {
            let part = inputs.own.at(table, *group, *field); //                 [entities, 1]
            logit = logit + at_impressions(*group, part).squeeze_dim(1);
        }
        Encoded { logit: Logit::Own(logit), ..Encoded::of(inputs.shared_fields()) }
    }
}
