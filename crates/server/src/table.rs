//! Rows for people, lined up.

/// Columns as wide as what stands in them; the last one is as long as it is.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The same below names of columns.
pub(crate) fn lined_up(head: &[&str], rows: &[Vec<String>]) -> String {
    let head = head.iter().map(|&name| name.to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().cloned()).collect();
    table(&all)
}

/// A text of others without what moves a terminal's cursor.
pub(crate) fn plain(text: &str) -> String {
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
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows = [row(&["a", "bb", "c"]), row(&["aaa", "b"])];
        assert_eq!(table(&rows), "a    bb  c\naaa  b\n");
        assert_eq!(table(&[]), "");
        assert_eq!(plain("a\u{1b}[2Jb"), "a [2Jb");
    }
}
