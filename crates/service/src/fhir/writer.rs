//! Bundles as text, around resources that are text already.
//! <https://hl7.org/fhir/R4/bundle.html>

use bytes::Bytes;
use salus_fhir::json::write::string;

/// Writes a Bundle; entries are appended as they come.
pub(crate) struct BundleWriter {
    text: Vec<u8>,
    /// The text that is being quoted, kept for the next.
    quoted: String,
    entries: usize,
}

impl BundleWriter {
    /// Begins a bundle of this type.
    pub(crate) fn new(ty: &str, entries_bytes: usize) -> Self {
        let mut text = Vec::with_capacity(256 + entries_bytes);
        text.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"type\":\"");
        text.extend_from_slice(ty.as_bytes());
        text.push(b'"');
        Self {
            text,
            quoted: String::new(),
            entries: 0,
        }
    }

    /// The total of a search or history.
    pub(crate) fn total(&mut self, total: u64) {
        self.raw(",\"total\":");
        self.raw(&total.to_string());
    }

    /// Links, as relation and URL.
    pub(crate) fn links(&mut self, links: &[(&str, String)]) {
        for (i, (relation, url)) in links.iter().enumerate() {
            self.raw(if i == 0 { ",\"link\":[" } else { "," });
            self.raw("{\"relation\":\"");
            self.raw(relation);
            self.raw("\",\"url\":");
            self.string(url);
            self.raw("}");
        }
        if !links.is_empty() {
            self.raw("]");
        }
    }

    /// Begins an entry; its members follow, then [`Self::end_entry`].
    pub(crate) fn begin_entry(&mut self) -> Entry<'_> {
        let first = self.entries == 0;
        self.raw(if first { ",\"entry\":[{" } else { ",{" });
        self.entries += 1;
        Entry {
            writer: self,
            members: 0,
        }
    }

    /// The finished text.
    pub(crate) fn finish(mut self) -> Bytes {
        self.raw(if self.entries == 0 { "}" } else { "]}" });
        self.text.into()
    }

    fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        self.quoted.clear();
        string(&mut self.quoted, text);
        self.text.extend_from_slice(self.quoted.as_bytes());
    }
}

/// An entry being written.
pub(crate) struct Entry<'a> {
    writer: &'a mut BundleWriter,
    members: usize,
}

impl Entry<'_> {
    /// A member whose value is a text.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.writer.string(value);
        self
    }

    /// A member whose value is JSON already.
    pub(crate) fn json(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.name(name);
        self.writer.text.extend_from_slice(value);
        self
    }

    /// A member that is an object of texts, as `request` and `response`.
    pub(crate) fn object(&mut self, name: &str, members: &[(&str, &str)]) -> &mut Self {
        self.name(name);
        for (i, (key, value)) in members.iter().enumerate() {
            self.writer.raw(if i == 0 { "{\"" } else { ",\"" });
            self.writer.raw(key);
            self.writer.raw("\":");
            self.writer.string(value);
        }
        self.writer.raw("}");
        self
    }

    /// The `response`: texts, and the `outcome` if there is one.
    pub(crate) fn response(&mut self, members: &[(&str, &str)], outcome: Option<&str>) {
        self.object("response", members);
        if let Some(outcome) = outcome {
            self.writer.text.pop();
            self.writer.raw(",\"outcome\":");
            self.writer.raw(outcome);
            self.writer.raw("}");
        }
    }

    /// Ends the entry.
    pub(crate) fn end(self) {
        self.writer.raw("}");
    }

    fn name(&mut self, name: &str) {
        self.writer
            .raw(if self.members == 0 { "\"" } else { ",\"" });
        self.writer.raw(name);
        self.writer.raw("\":");
        self.members += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_bundles_with_and_without_entries() {
        assert_eq!(
            BundleWriter::new("searchset", 0).finish(),
            r#"{"resourceType":"Bundle","type":"searchset"}"#
        );
        let mut writer = BundleWriter::new("history", 0);
        writer.total(1);
        writer.links(&[("self", "http://x/\"".to_owned())]);
        let mut entry = writer.begin_entry();
        entry.text("fullUrl", "a");
        entry.json("resource", b"{}");
        entry.object("request", &[("method", "GET"), ("url", "b")]);
        entry.end();
        assert_eq!(
            writer.finish(),
            r#"{"resourceType":"Bundle","type":"history","total":1,"link":[{"relation":"self","url":"http://x/\""}],"entry":[{"fullUrl":"a","resource":{},"request":{"method":"GET","url":"b"}}]}"#
        );
    }
}
