//! Plots as SVG, to be put into a page.

use plotters::prelude::*;

use crate::Error;

/// A named line of points, sorted by x.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// (x, y), in the units of the axes.
    pub points: Vec<(f64, f64)>,
    /// Half the length of each point's error bar; empty for none.
    pub spread: Vec<f64>,
}

/// What a plot says on its axes.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    /// Stands above the plot.
    pub title: &'a str,
    /// What the horizontal axis counts, with its unit.
    pub x: &'a str,
    /// What the vertical axis measures, with its unit.
    pub y: &'a str,
}

/// Colours that differ in lightness, too, on a light and on a dark page.
const COLOURS: [RGBColor; 10] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 90, 20),
    RGBColor(44, 160, 44),
    RGBColor(190, 60, 120),
    RGBColor(130, 100, 200),
    RGBColor(150, 110, 60),
    RGBColor(20, 160, 170),
    RGBColor(120, 120, 120),
    RGBColor(200, 170, 30),
    RGBColor(90, 60, 90),
];
const AXIS: RGBColor = RGBColor(128, 128, 128);
const SIZE: (u32, u32) = (560, 340);

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Plot(error.to_string())
}

/// The least range that holds the values, with a little air; never empty.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let air = ((high - low) * 0.05).max(high.abs().max(1e-3) * 1e-3);
    low - air..high + air
}

/// The colour of the n-th line, for legends outside of the plot.
pub fn colour(n: usize) -> String {
    let RGBColor(r, g, b) = COLOURS[n % COLOURS.len()];
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Lines over a common x, with error bars and points where a line has few. Where all have one point, each stands beside its own name.
///
/// # Errors
/// What the drawing library says.
pub fn lines(axes: Axes<'_>, lines: &[Line]) -> Result<String, Error> {
    let all = || lines.iter().flat_map(|line| &line.points);
    let ends = lines.iter().flat_map(|line| {
        line.points.iter().zip(&line.spread).flat_map(|((_, y), s)| [y - s, y + s])
    });
    let (x, y) = (range(all().map(|p| p.0)), range(all().map(|p| p.1).chain(ends)));
    let are_points = lines.iter().all(|line| line.points.len() == 1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .caption(axes.title, ("sans-serif", 16).into_font().color(&AXIS))
            .margin(8)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(AXIS.mix(0.2))
            .axis_style(AXIS)
            .x_labels(7)
            .y_labels(6)
            .label_style(("sans-serif", 12).into_font().color(&AXIS))
            .axis_desc_style(("sans-serif", 13).into_font().color(&AXIS))
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .x_desc(axes.x)
            .y_desc(axes.y)
            .draw()
            .map_err(failed)?;
        for (n, line) in lines.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            let points = line.points.iter().copied();
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))
                .map_err(failed)?;
            if line.points.len() <= 20 {
                chart
                    .draw_series(points.clone().map(|point| Circle::new(point, 3, colour.filled())))
                    .map_err(failed)?;
            }
            let bars = points.zip(&line.spread).map(|((x, y), spread)| {
                PathElement::new(vec![(x, y - spread), (x, y + spread)], colour.mix(0.6))
            });
            chart.draw_series(bars).map_err(failed)?;
            if are_points {
                let style = ("sans-serif", 11).into_font().color(&AXIS);
                let name = |point| {
                    EmptyElement::at(point) + Text::new(line.name.clone(), (6, -12), style.clone())
                };
                chart.draw_series(line.points.iter().copied().map(name)).map_err(failed)?;
            }
        }
        area.present().map_err(failed)?;
    }
    Ok(scalable(&svg))
}

/// Numbers of an axis: as many digits as its labels need to differ, no more.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// One value with its spread per name: points with error bars, since the axis does not begin at 0.
///
/// # Errors
/// What the drawing library says.
pub fn points(title: &str, y: &str, values: &[(String, f64, f64)]) -> Result<String, Error> {
    let ends = values.iter().flat_map(|(_, mean, spread)| [mean - spread, mean + spread]);
    let y_range = range(ends);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16).into_font().color(&AXIS))
            .margin(8)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d((0..values.len().max(1)).into_segmented(), y_range)
            .map_err(failed)?;
        let name = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(i) => {
                values.get(*i).map_or(String::new(), |(name, _, _)| name.clone())
            }
            SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(AXIS.mix(0.2))
            .axis_style(AXIS)
            .x_labels(values.len() + 1)
            .y_labels(6)
            .label_style(("sans-serif", 11).into_font().color(&AXIS))
            .axis_desc_style(("sans-serif", 13).into_font().color(&AXIS))
            .x_label_formatter(&name)
            .y_label_formatter(&|y| short(*y))
            .y_desc(y)
            .draw()
            .map_err(failed)?;
        for (i, (_, mean, spread)) in values.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let centre = SegmentValue::CenterOf(i);
            let ends = vec![(centre.clone(), mean - spread), (centre.clone(), mean + spread)];
            let bar = PathElement::new(ends, colour.stroke_width(2));
            chart.draw_series(std::iter::once(bar)).map_err(failed)?;
            let point = Circle::new((centre, *mean), 5, colour.filled());
            chart.draw_series(std::iter::once(point)).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(scalable(&svg))
}

/// The drawing library writes a fixed size; a page scales it.
fn scalable(svg: &str) -> String {
    let (width, height) = SIZE;
    svg.replacen(
        &format!("<svg width=\"{width}\" height=\"{height}\""),
        "<svg role=\"img\" width=\"100%\"",
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_without_points_and_with_one_are_drawn() {
        let axes = Axes { title: "t", x: "update", y: "loss" };
        for points in [vec![], vec![(3.0, 0.5)], vec![(1.0, f64::NAN), (2.0, 0.1)]] {
            let line = Line { name: "a".into(), points, spread: Vec::new() };
            let svg = lines(axes, &[line]).unwrap();
            assert!(svg.starts_with("<svg role=\"img\" width=\"100%\" viewBox"), "{}", &svg[..80]);
        }
        let point =
            |name: &str, x| Line { name: name.into(), points: vec![(x, 0.7)], spread: vec![0.1] };
        let svg = lines(axes, &[point("din", 3.0), point("eta", 4.0)]).unwrap();
        assert!(svg.contains("din") && svg.contains("eta"), "{svg}");
        assert!(points("t", "AUC", &[]).unwrap().contains("</svg>"));
        assert!(points("t", "AUC", &[("din".into(), 0.7, 0.01)]).unwrap().contains("din"));
    }

    #[test]
    fn labels_have_no_needless_zeros() {
        assert_eq!(short(0.69), "0.69");
        assert_eq!(short(2.0), "2");
        assert_eq!(short(-0.00001), "0");
    }
}
