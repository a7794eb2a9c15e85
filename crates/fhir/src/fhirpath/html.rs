//! `htmlChecks()`: is the narrative within the limits that FHIR sets?
//! (<https://hl7.org/fhir/R4/narrative.html#xhtml>)

/// The elements of XHTML that a narrative may have.
const ELEMENTS: [&str; 72] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "map",
    "area",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
    "main",
    "header",
    "footer",
];

/// Well-formed, inside one `div`, no active content, and something to read.
pub(super) fn is_allowed(text: &str) -> bool {
    check(text).is_some()
}

fn check(text: &str) -> Option<()> {
    let mut rest = text.trim();
    if !rest.starts_with("<div") {
        return None;
    }
    let mut open: Vec<&str> = Vec::new();
    let mut content = false;
    while let Some(at) = rest.find('<') {
        content |= !rest.get(..at)?.trim().is_empty();
        rest = rest.get(at..)?;
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.get(comment.find("-->")? + 3..)?;
            continue;
        }
        let end = tag_end(rest)?;
        let tag = rest.get(1..end)?;
        rest = rest.get(end + 1..)?;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop()? != name.trim() {
                return None;
            }
            if open.is_empty() {
                break;
            }
            continue;
        }
        let name = element(tag)?;
        content |= name == "img";
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    (open.is_empty() && rest.trim().is_empty() && content).then_some(())
}

/// Where the `>` of a tag is; those inside quotes do not end it.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The name of an opening tag, when the element and its attributes are allowed.
fn element(tag: &str) -> Option<&str> {
    let tag = tag.trim_end_matches('/');
    let end = tag.find(char::is_whitespace).unwrap_or(tag.len());
    let (name, mut attributes) = tag.split_at(end);
    if !ELEMENTS.contains(&name) {
        return None;
    }
    while let Some((attribute, rest)) = attributes.split_once('=') {
        let rest = rest.trim_start();
        let quote = rest
            .chars()
            .next()
            .filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, rest) = rest.get(1..)?.split_once(quote)?;
        let attribute = attribute.trim().to_ascii_lowercase();
        let script = value
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("javascript:");
        if attribute.starts_with("on") || script {
            return None;
        }
        attributes = rest;
    }
    attributes.trim().is_empty().then_some(name)
}
