//! Results of experiment folders as tables and plots.
