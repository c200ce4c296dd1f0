//! Gradients of a block back to the rows, through Adagrad with lazy decay.
//!
//! A row catches up on the decays that it missed when it is next updated, and ends with the bits of the dense rule:
//! between updates its gradient was zero, and a decay only ever touches the accumulator.

use eliverec_core::adagrad::AdagradConfig;

use crate::error::Error;
use crate::evict::saturate;
use crate::gather::Places;
use crate::table::{Page, ROWS_PER_TASK, Table, place};

/// One update of one vocabulary.
#[derive(Clone, Copy, Debug)]
struct Update<'a> {
    rule: AdagradConfig,
    rate: f32,
    period: u32,
    /// Row-major `[distinct ids, width]`.
    gradient: &'a [f32],
    width: usize,
}

impl Table {
    /// Whether a gradient fits what was gathered.
    pub(crate) fn check_gradient(&self, places: &Places, gradient: &[f32]) -> Result<(), Error> {
        let wrong =
            |reason: String| Err(Error::Gradient { vocabulary: self.spec.name.clone(), reason });
        let expected = (places.rows.len() + places.rare.len()) * self.spec.width;
        if gradient.len() != expected {
            return wrong(format!("has {} numbers, the block {expected}", gradient.len()));
        }
        let known = places.rows.last().is_none_or(|(slot, _)| (*slot as usize) < self.rows());
        if places.generation != self.generation || !known {
            return wrong("rows were evicted since the block was gathered; gather it again".into());
        }
        // A fold without an early exit, which the compiler turns into vector instructions.
        if !gradient.iter().fold(true, |finite, g| finite & g.is_finite()) {
            let position = gradient.iter().position(|g| !g.is_finite()).unwrap_or_default();
            let (row, column) = (position / self.spec.width, position % self.spec.width);
            return wrong(format!("is {} at row {row}, column {column}", gradient[position]));
        }
        Ok(())
    }

    /// The gradient of the rare-id row, the sum over the ids that shared it; `None` if none did.
    pub(crate) fn rare_sum(&self, places: &Places, gradient: &[f32]) -> Option<Vec<f32>> {
        let width = self.spec.width;
        let mut sum = vec![0.0; width];
        for position in &places.rare {
            let row = &gradient[*position as usize * width..][..width];
            sum.iter_mut().zip(row).for_each(|(s, g)| *s += g);
        }
        (!places.rare.is_empty()).then_some(sum)
    }

    /// Updates every gathered row, and the rare-id row with its gradient `rare`.
    pub(crate) fn scatter(
        &mut self,
        places: &Places,
        [gradient, rare]: [&[f32]; 2],
        step: u64,
        rule: AdagradConfig,
        rate: f32,
    ) {
        let width = self.spec.width;
        let period = saturate(rule.periods(step));
        let update = Update { rule, rate, period, gradient, width };
        update.pages(&mut self.pages, 0, &places.rows);

        if !rare.is_empty() {
            update.row(&mut self.rare.values, &mut self.rare.period, rare);
            self.rare.trained = true;
        }
    }
}

impl Update<'_> {
    /// Updates `rows` of `pages`, which start at page number `first`. Halves the work at a border of pages, so that
    /// each thread owns its pages and finding them costs nothing per page of the table.
    fn pages(&self, pages: &mut [Page], first: usize, rows: &[(u32, u32)]) {
        let page_of = |row: &(u32, u32)| place(row.0).0;
        if rows.len() > ROWS_PER_TASK && page_of(&rows[0]) != page_of(&rows[rows.len() - 1]) {
            let border = page_of(&rows[rows.len() / 2]).max(page_of(&rows[0]) + 1);
            let (left, right) = rows.split_at(rows.partition_point(|row| page_of(row) < border));
            let (pages_left, pages_right) = pages.split_at_mut(border - first);
            rayon::join(
                || self.pages(pages_left, first, left),
                || self.pages(pages_right, border, right),
            );
            return;
        }
        for (slot, position) in rows {
            let (page, row) = place(*slot);
            let page = &mut pages[page - first];
            let values = &mut page.values[row * 2 * self.width..][..2 * self.width];
            let gradient = &self.gradient[*position as usize * self.width..][..self.width];
            self.row(values, &mut page.marks[row].period, gradient);
        }
    }

    fn row(&self, values: &mut [f32], period: &mut u32, gradient: &[f32]) {
        let (vector, accumulator) = values.split_at_mut(self.width);
        if self.period > *period {
            self.rule.decay(accumulator, u64::from(self.period - *period));
            *period = self.period;
        }
        self.rule.update(vector, accumulator, gradient, self.rate);
    }
}
