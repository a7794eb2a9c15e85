//! Rows for people, lined up.

/// Columns as wide as what stands in them; the last one is as long as it is.
pub(super) fn lined_up(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |at: usize| {
        let cells = all().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text of others without what moves a terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_lined_up() {
        let rows = [vec!["a".to_owned(), "bcd".to_owned(), String::new()]];
        assert_eq!(
            lined_up(&["ONE", "B", "C"], &rows),
            "ONE  B    C\na    bcd\n"
        );
        assert_eq!(plain("a\u{1b}[2Jb"), "a [2Jb");
    }
}
