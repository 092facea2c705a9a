//! The page's pictures as inline SVG: availability bars, curves, and the graph of who needs whom. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Day, escape};

/// Most services that one picture shows; more would be a thicket.
pub(super) const MOST_NODES: usize = 60;

const NODE: (usize, usize) = (150, 44);
const GAP: (usize, usize) = (70, 18);

/// One bar a day, the oldest left. One path for each kind, so that a thousand services stay a light page.
pub(super) fn bars(days: &[Day]) -> String {
    let mut paths: BTreeMap<&str, String> = BTreeMap::new();
    for (index, day) in days.iter().enumerate() {
        let x = index * 5;
        // Shorter where less was right: it tells without colour.
        let (class, height) = match day.percent {
            None => ("b-none", 6),
            Some(percent) if percent >= 99.9 => ("b-ok", 30),
            Some(percent) if percent >= 95.0 => ("b-warn", 24),
            Some(_) => ("b-bad", 16),
        };
        let _ = write!(paths.entry(class).or_default(), "M{x} {}h3.6v{height}h-3.6z", 30 - height);
    }
    let mut svg =
        format!("<svg viewBox=\"0 0 {} 30\" preserveAspectRatio=\"none\" aria-hidden=\"true\">", days.len().max(1) * 5);
    for (class, path) in paths {
        let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    svg + "</svg>"
}

/// A curve over the last hour; gaps where nothing was measured.
pub(super) fn curve(values: &[Option<f64>]) -> String {
    let most = values.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut path = String::new();
    let mut pen_down = false;
    for (x, value) in values.iter().enumerate() {
        let Some(value) = value else {
            pen_down = false;
            continue;
        };
        let y = 21.0 - 20.0 * value / most;
        let _ = write!(path, "{}{x} {y:.1}", if pen_down { "L" } else { "M" });
        if !pen_down {
            // A single value is a dot.
            path.push_str("h.01");
        }
        pen_down = true;
    }
    let width = values.len().saturating_sub(1).max(1);
    format!(
        "<svg viewBox=\"0 0 {width} 22\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path class=\"line\" d=\"{path}\"/></svg>"
    )
}

/// A service in the picture.
pub(super) struct Node<'p> {
    pub(super) name: &'p str,
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) needs: Vec<&'p str>,
}

/// Who needs whom: what is needed stands left of those that need it. Nodes come in start order.
pub(super) fn graph(nodes: &[Node<'_>]) -> String {
    let mut level: BTreeMap<&str, usize> = BTreeMap::new();
    let mut columns: Vec<usize> = Vec::new();
    let mut places: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for node in nodes {
        let own = node.needs.iter().filter_map(|need| level.get(need)).map(|level| level + 1).max().unwrap_or(0);
        level.insert(node.name, own);
        if columns.len() <= own {
            columns.resize(own + 1, 0);
        }
        places.insert(node.name, (own * (NODE.0 + GAP.0) + 4, columns[own] * (NODE.1 + GAP.1) + 4));
        columns[own] += 1;
    }
    let width = columns.len() * (NODE.0 + GAP.0) + 8 - GAP.0.min(columns.len() * GAP.0);
    let height = columns.iter().max().copied().unwrap_or(0) * (NODE.1 + GAP.1) + 8;
    let mut svg =
        format!("<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-labelledby=\"graph-h\">");
    for node in nodes {
        let Some((x, y)) = places.get(node.name) else { continue };
        for (from_x, from_y) in node.needs.iter().filter_map(|need| places.get(need)) {
            let (from_x, from_y, to_y) = (from_x + NODE.0, from_y + NODE.1 / 2, y + NODE.1 / 2);
            let bend = from_x + GAP.0 / 2;
            let _ =
                write!(svg, "<path class=\"edge\" d=\"M{from_x} {from_y}C{bend} {from_y} {bend} {to_y} {x} {to_y}\"/>");
        }
    }
    for node in nodes {
        let Some((x, y)) = places.get(node.name) else { continue };
        let (class, word) = (node.class, node.word);
        let short: String = if node.name.chars().count() > 18 {
            node.name.chars().take(17).chain(['…']).collect()
        } else {
            node.name.to_owned()
        };
        let (icon_x, icon_y, text_x, name_y, word_y) = (x + 10, y + 13, x + 36, y + 19, y + 35);
        let _ = write!(
            svg,
            "<g class=\"node {class}\"><title>{}: {word}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"9\"/>\
             <svg class=\"{class}\" x=\"{icon_x}\" y=\"{icon_y}\" width=\"18\" height=\"18\"><use href=\"#i-{class}\"/></svg>\
             <text x=\"{text_x}\" y=\"{name_y}\">{}</text><text class=\"word\" x=\"{text_x}\" y=\"{word_y}\">{word}</text></g>",
            escape(node.name),
            NODE.0,
            NODE.1,
            escape(&short)
        );
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_tells_by_height_too() {
        let day = |percent| Day { percent };
        let svg = bars(&[day(None), day(Some(100.0)), day(Some(97.0)), day(Some(10.0))]);
        for part in ["M0 24h3.6v6", "M5 0h3.6v30", "M10 6h3.6v24", "M15 14h3.6v16"] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
    }

    #[test]
    fn curves_have_gaps_where_nothing_was_measured() {
        let svg = curve(&[Some(1.0), Some(2.0), None, Some(2.0)]);
        assert!(svg.contains("M0 11.0h.01L1 1.0M3 1.0h.01"), "{svg}");
        assert!(!curve(&[]).contains("NaN") && !curve(&[Some(0.0)]).contains("NaN"));
    }

    #[test]
    fn what_is_needed_stands_left_and_names_are_escaped() {
        let node = |name, needs| Node { name, class: "ok", word: "up", needs };
        let svg = graph(&[node("<b>", vec![]), node("api", vec!["<b>"])]);
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
        assert!(svg.contains("M154 26C189 26 189 26 224 26"), "{svg}");
    }
}
