//! Changes of a part of a resource: <https://hl7.org/fhir/R4/http.html#patch>.
//!
//! JSON Patch, JSON Merge Patch and FHIRPath Patch change the JSON, XML Patch the XML form, which is read back.
//!
//! A [`Patch`] is read once and can be applied to one text after another, as a write that is
//! decided anew needs it. Each operation changes the text in one place and the text is parsed
//! again, so that decimals keep their digits and members their order. What that may cost is
//! bounded. Whether the result is a resource is for validation to say.

mod draft;
pub(crate) mod equal;
mod error;
mod fhirpath_patch;
mod json_patch;
mod list;
mod merge_patch;
mod operations;
mod pointer;
mod selector;
mod value;
mod xml_patch;

#[cfg(test)]
mod tests;

pub use error::{Error, ErrorKind};

use crate::json::{self, Document};
use crate::xml;
use draft::Draft;
use fhirpath_patch::FhirPathPatch;
use json_patch::JsonPatch;
use merge_patch::MergePatch;
use xml_patch::XmlPatch;

/// The operations of a patch at most.
pub const OPERATIONS_MAX: usize = 1_000;

/// A patch that was understood.
#[derive(Debug)]
pub struct Patch(Form);

#[derive(Debug)]
enum Form {
    Json(JsonPatch),
    Merge(MergePatch),
    FhirPath(FhirPathPatch),
    Xml(XmlPatch),
}

impl Patch {
    /// Reads a JSON Patch (RFC 6902).
    pub fn json(document: Document) -> Result<Patch, Error> {
        JsonPatch::read(document).map(Form::Json).map(Patch)
    }

    /// Reads a JSON Merge Patch (RFC 7396).
    pub fn merge(document: Document) -> Result<Patch, Error> {
        MergePatch::read(document).map(Form::Merge).map(Patch)
    }

    /// Reads a FHIRPath Patch: a Parameters resource
    /// (<https://hl7.org/fhir/R4/fhirpatch.html>).
    pub fn parameters(document: Document) -> Result<Patch, Error> {
        FhirPathPatch::read(document).map(Form::FhirPath).map(Patch)
    }

    /// Reads an XML Patch (RFC 5261).
    pub fn xml(text: &str) -> Result<Patch, Error> {
        XmlPatch::read(text).map(Form::Xml).map(Patch)
    }

    /// The text of a resource with all operations carried out, or the first that cannot be.
    /// The limits are those of the result.
    pub fn apply(&self, resource: &str, limits: &json::Limits) -> Result<String, Error> {
        let mut draft = Draft::of(resource, limits)?;
        match &self.0 {
            Form::Xml(patch) => return as_xml(patch, &draft, limits),
            Form::Json(patch) => {
                patch.apply(&mut draft)?;
                // What has no content has no place in a resource.
                draft.prune()?;
            }
            Form::Merge(patch) => {
                patch.apply(&mut draft)?;
                draft.prune()?;
            }
            Form::FhirPath(patch) => patch.apply(&mut draft)?,
        }
        Ok(draft.into_text())
    }
}

/// Patches the XML form; what that leaves as it is, stays as it is in JSON too.
fn as_xml(patch: &XmlPatch, draft: &Draft<'_>, limits: &json::Limits) -> Result<String, Error> {
    let root = draft.root();
    let before = xml::write(root, xml::Layout::Dense)
        .map_err(|error| Error::mismatch(format!("the resource has no XML form: {error}")))?;
    let after = patch.apply(before.clone(), limits.bytes_max)?;
    if after == before {
        return Ok(root.document().text().to_owned());
    }
    xml::read(after.as_bytes(), limits)
        .map_err(|error| Error::invalid(format!("the result is no resource: {error}")))
}
