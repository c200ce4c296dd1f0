//! The paper's figures (test split of its own data set), to stand beside ours: which experiment and row they belong to.

/// AUC, gAUC, Prec@10 and NDCG@10 of a row.
pub type Figures = [f64; 4];

/// The names of [`Figures`] in reports.
pub const METRICS: [&str; 4] = ["auc", "gauc_user", "paper_prec_at_10", "ndcg_at_10"];

/// A table or figure of the paper that a folder reproduces.
#[derive(Debug)]
pub struct Source {
    /// The folder's name.
    pub experiment: &'static str,
    /// What it is.
    pub title: &'static str,
    /// The row that the others are compared with.
    pub main: &'static str,
    /// Row, as the paper writes it, and its figures; none where the paper only draws them.
    pub rows: &'static [(&'static str, &'static str, Option<Figures>)],
}

/// Table II.
const TABLE2: &[(&str, &str, Option<Figures>)] = &[
    ("linear", "logistic regression, the floor; not in the paper", None),
    ("wdl-live", "WDL+, live alone", Some([0.8224, 0.7246, 0.4261, 0.3795])),
    ("din-live", "DIN, live alone", Some([0.8176, 0.7194, 0.4254, 0.3782])),
    ("dien-live", "DIEN, live alone", Some([0.8206, 0.7226, 0.4260, 0.3780])),
    ("hgn-live", "HGN, live alone", Some([0.8236, 0.7271, 0.4268, 0.3798])),
    ("bst-live", "BST, live alone", Some([0.8215, 0.7254, 0.4264, 0.3811])),
    ("can-live", "CAN, live alone", Some([0.8206, 0.7230, 0.4264, 0.3779])),
    ("eta-live", "ETA, live alone", Some([0.8304, 0.7383, 0.4291, 0.3854])),
    ("wdl-both", "WDL+ Dual", Some([0.8248, 0.7298, 0.4270, 0.3814])),
    ("din-both", "DIN Dual", Some([0.8199, 0.7233, 0.4261, 0.3790])),
    ("dien-both", "DIEN Dual", Some([0.8231, 0.7268, 0.4269, 0.3800])),
    ("hgn-both", "HGN Dual", Some([0.8251, 0.7302, 0.4273, 0.3808])),
    ("bst-both", "BST Dual", Some([0.8310, 0.7411, 0.4289, 0.3862])),
    ("can-both", "CAN Dual", Some([0.8235, 0.7270, 0.4268, 0.3796])),
    ("eta-both", "ETA Dual", Some([0.8338, 0.7451, 0.4304, 0.3873])),
    ("minet", "MiNet", Some([0.8278, 0.7359, 0.4279, 0.3843])),
    ("dasl", "DASL", Some([0.8236, 0.7267, 0.4266, 0.3801])),
    ("conet", "CoNet+", Some([0.8335, 0.7460, 0.4301, 0.3879])),
    ("dtcdr", "DTCDR+", Some([0.8354, 0.7499, 0.4309, 0.3893])),
    ("ddtcdr", "DDTCDR+", Some([0.8319, 0.7420, 0.4297, 0.3870])),
    ("elive-wo-m", "eLiveRec wo.M", Some([0.8368, 0.7506, 0.4314, 0.3891])),
    ("elive", "eLiveRec", Some([0.8398, 0.7562, 0.4327, 0.3911])),
];

/// Table III.
const TABLE3: &[(&str, &str, Option<Figures>)] = &[
    ("linear", "logistic regression, the floor; not in the paper", None),
    ("din-both", "DIN Dual", Some([0.8199, 0.7233, 0.4261, 0.3790])),
    ("eta-both", "ETA Dual", Some([0.8338, 0.7451, 0.4304, 0.3873])),
    ("wo-p", "eLiveRec wo.P", Some([0.8378, 0.7519, 0.4323, 0.3900])),
    ("wo-c", "eLiveRec wo.C", Some([0.8375, 0.7508, 0.4308, 0.3893])),
    ("wo-n", "eLiveRec wo.N", Some([0.8358, 0.7488, 0.4309, 0.3883])),
    ("wo-d", "eLiveRec wo.D", Some([0.8343, 0.7460, 0.4302, 0.3881])),
    ("cos", "eLiveRec Cos", Some([0.8325, 0.7438, 0.4294, 0.3850])),
    ("enc", "eLiveRec Enc", Some([0.8255, 0.7337, 0.4278, 0.3795])),
    ("sr", "eLiveRec SR", Some([0.8022, 0.6933, 0.4142, 0.3668])),
    ("elive", "eLiveRec", Some([0.8398, 0.7562, 0.4327, 0.3911])),
];

/// Every experiment that the paper has figures or a drawing of.
pub static SOURCES: &[Source] = &[
    Source { experiment: "table2", title: "Table II: all models", main: "elive", rows: TABLE2 },
    Source {
        experiment: "table3",
        title: "Table III: ablation study of the disentangled encoder",
        main: "elive",
        rows: TABLE3,
    },
    Source {
        experiment: "table3-moment",
        title: "Table III once more: models that can compare the target with the histories",
        main: "elive",
        rows: TABLE3,
    },
    Source {
        experiment: "table4",
        title: "Table IV: adaptive multi-task learning",
        main: "adaptive",
        rows: &[
            ("linear", "logistic regression, the floor; not in the paper", None),
            ("din-single", "DIN, single task", Some([0.8199, 0.7233, 0.4261, 0.3790])),
            ("din-vanilla", "DIN, vanilla MTL", Some([0.8237, 0.7279, 0.4269, 0.3812])),
            ("din-adaptive", "DIN, adaptive MTL", Some([0.8235, 0.7285, 0.4270, 0.3810])),
            ("hgn-single", "HGN, single task", Some([0.8251, 0.7302, 0.4273, 0.3808])),
            ("hgn-vanilla", "HGN, vanilla MTL", Some([0.8247, 0.7275, 0.4267, 0.3812])),
            ("hgn-adaptive", "HGN, adaptive MTL", Some([0.8265, 0.7323, 0.4278, 0.3820])),
            ("bst-single", "BST, single task", Some([0.8310, 0.7411, 0.4289, 0.3862])),
            ("bst-vanilla", "BST, vanilla MTL", Some([0.8260, 0.7334, 0.4270, 0.3834])),
            ("bst-adaptive", "BST, adaptive MTL", Some([0.8343, 0.7460, 0.4299, 0.3875])),
            ("eta-single", "ETA, single task", Some([0.8338, 0.7451, 0.4304, 0.3873])),
            ("eta-vanilla", "ETA, vanilla MTL", Some([0.8368, 0.7494, 0.4308, 0.3883])),
            ("eta-adaptive", "ETA, adaptive MTL", Some([0.8371, 0.7490, 0.4313, 0.3889])),
            ("minet-single", "MiNet, single task", Some([0.8278, 0.7359, 0.4279, 0.3843])),
            ("minet-vanilla", "MiNet, vanilla MTL", Some([0.8285, 0.7374, 0.4283, 0.3848])),
            ("minet-adaptive", "MiNet, adaptive MTL", Some([0.8298, 0.7399, 0.4286, 0.3862])),
            ("single", "eLiveRec, single task", Some([0.8368, 0.7506, 0.4314, 0.3891])),
            ("vanilla", "eLiveRec, vanilla MTL", Some([0.8383, 0.7551, 0.4325, 0.3904])),
            ("adaptive", "eLiveRec, adaptive MTL", Some([0.8398, 0.7562, 0.4327, 0.3911])),
            ("uncertainty", "eLiveRec, uncertainty weighting, not in the paper", None),
            ("meta-balance", "eLiveRec, MetaBalance, not in the paper", None),
        ],
    },
    Source {
        experiment: "fig5",
        title: "Fig. 5: basic sequence encoders",
        main: "transformer",
        rows: &[
            ("din", "eLive-DIN", None),
            ("hgn", "eLive-HGN", None),
            ("transformer", "eLive-BST", None),
            ("din-both", "DIN", None),
        ],
    },
    Source {
        experiment: "fig6",
        title: "Fig. 6: length of the product sequence",
        main: "length-050",
        rows: &[],
    },
    Source {
        experiment: "task-options",
        title: "Options of the inter-channel tasks that the paper does not settle",
        main: "adaptive",
        rows: &[],
    },
    Source {
        experiment: "init",
        title: "How dense matrices start, which the paper does not say",
        main: "elive-fan-in",
        rows: &[],
    },
    Source {
        experiment: "optimiser",
        title: "How the dense layers begin to learn",
        main: "elive-32-01",
        rows: &[],
    },
    Source {
        experiment: "next-event",
        title: "Which event comes next, as a signal for every model",
        main: "elive-next-means",
        rows: &[],
    },
    Source {
        experiment: "options",
        title: "Options of eLiveRec that the paper does not settle",
        main: "elive",
        rows: &[],
    },
];

/// What the paper has for a folder.
pub fn source(experiment: &str) -> Option<&'static Source> {
    SOURCES.iter().find(|source| source.experiment == experiment)
}

impl Source {
    /// The paper's name and figures of a row.
    pub fn row(&self, row: &str) -> Option<(&'static str, Option<Figures>)> {
        let found = self.rows.iter().find(|(name, _, _)| *name == row)?;
        Some((found.1, found.2))
    }
}
