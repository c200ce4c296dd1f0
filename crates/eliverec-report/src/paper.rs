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
        title: "Table IV: adaptive multi-task learning of eLiveRec",
        main: "adaptive",
        rows: &[
            ("single", "single task", Some([0.8368, 0.7506, 0.4314, 0.3891])),
            ("vanilla", "vanilla MTL", Some([0.8383, 0.7551, 0.4325, 0.3904])),
            ("adaptive", "adaptive MTL", Some([0.8398, 0.7562, 0.4327, 0.3911])),
            ("uncertainty", "uncertainty weighting, not in the paper", None),
            ("meta-balance", "MetaBalance, not in the paper", None),
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
