//! Tables that fit the terminal; where something else reads, nothing is cut.

use super::text;

/// A column is not made narrower than this.
const NARROWEST: usize = 8;
/// Spaces between columns.
const GAP: usize = 2;

/// Lines of a table: the widest of the columns that may be cut give way until it fits into `width`.
pub(crate) fn lines<const N: usize>(
    head: [(&str, bool); N],
    rows: &[[String; N]],
    width: Option<usize>,
) -> Vec<String> {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| text::visible(cell))).collect();
    let mut widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.fold(head[column].0.len(), usize::max)
    });
    if let Some(width) = width {
        shrink(&mut widths, &head.map(|(_, flexible)| flexible), width);
    }
    let head = head.map(|(name, _)| name.to_owned());
    std::iter::once(&head).chain(&rows).map(|row| line(row, &widths)).collect()
}

fn shrink(widths: &mut [usize], flexible: &[bool], width: usize) {
    while widths.iter().sum::<usize>() + GAP * (widths.len() - 1) > width {
        let columns = widths.iter_mut().zip(flexible).filter(|(own, flexible)| **flexible && **own > NARROWEST);
        let Some((widest, _)) = columns.max_by_key(|(own, _)| **own) else { return };
        *widest -= 1;
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{:width$}", text::cut(cell, *width)));
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [(&str, bool); 2] = [("STATUS", false), ("WORKFLOW", true)];

    fn rows() -> [[String; 2]; 2] {
        [["Running".to_owned(), "a-rather-long-workflow-id".to_owned()], ["Failed".to_owned(), "b".to_owned()]]
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let cut = lines(HEAD, &rows(), Some(20));
        assert_eq!(cut, ["STATUS   WORKFLOW", "Running  a-rather-l…", "Failed   b"]);
        assert!(lines(HEAD, &rows(), Some(5))[1].starts_with("Running  a-rathe"), "there is a narrowest table");
    }

    #[test]
    fn nothing_is_cut_where_no_terminal_reads() {
        assert_eq!(lines(HEAD, &rows(), None)[1], "Running  a-rather-long-workflow-id");
    }
}
