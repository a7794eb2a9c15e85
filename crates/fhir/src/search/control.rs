//! Parameters that say how a result is to be given, rather than what is in it:
//! <https://hl7.org/fhir/R4/search.html#return>.

use super::name::{codes, location};
use super::operand::{Asking, type_name};
use super::parameters::{NotReady, Parameters};
use crate::definitions::{self, Parent, SearchKind, SearchParameter};
use crate::issue::{Issue, IssueType};
use crate::mask::Hidden;

/// How a result is to be given. What is not told is `None` or empty.
#[derive(Clone, Default)]
pub struct Control {
    /// `_sort`: most significant key first.
    pub sort: Vec<SortKey>,
    /// `_count`: at most so many a page.
    pub count: Option<u32>,
    /// `_total`.
    pub total: Option<Total>,
    /// `_include`.
    pub includes: Vec<Include>,
    /// `_revinclude`.
    pub reverse_includes: Vec<Include>,
    /// `_summary`.
    pub summary: Option<Summary>,
    /// `_elements`: names of elements at the top of the resource.
    pub elements: Vec<&'static str>,
    /// `_format`, as the client wrote it.
    pub format: Option<Box<str>>,
    /// `_pretty`.
    pub pretty: Option<bool>,
    /// `_explain`: tell how the result was found.
    pub explain: Option<bool>,
    /// `_contained`.
    pub contained: Option<Contained>,
    /// `_containedType`.
    pub contained_type: Option<ContainedType>,
}
salus_phi::guard!(Control);

/// Whether contained resources are searched:
/// <https://hl7.org/fhir/R4/search.html#contained>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contained {
    /// Only those that are not contained.
    False,
    /// Only contained ones.
    True,
    /// Both.
    Both,
}

/// What is given where a contained resource matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainedType {
    /// The resource that contains it.
    Container,
    /// The contained resource alone.
    Contained,
}

/// A key of an order.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// By the values of this parameter; `_id`, `_lastUpdated` and [`SCORE`] as well.
    pub parameter: &'static SearchParameter,
    /// Greatest first.
    pub descending: bool,
}

/// What `_sort=_score` sorts by, best first: how well `_text` and `_content`
/// are met. It is no parameter of the definitions.
pub static SCORE: SearchParameter = SearchParameter {
    code: "_score",
    kind: SearchKind::Special,
    expression: "",
    targets: &[],
    components: &[],
    multiple_or: false,
    multiple_and: false,
    url: "",
    limits: None,
};

/// How exact the number of matches must be: <https://hl7.org/fhir/R4/search.html#total>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// Not wanted.
    None,
    /// May be an estimate.
    Estimate,
    /// Exact.
    Accurate,
}

/// Which part of each resource is wanted: <https://hl7.org/fhir/R4/search.html#summary>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The elements marked as summary.
    True,
    /// Text, id, meta and mandatory elements.
    Text,
    /// All but the text.
    Data,
    /// No resources, only their number.
    Count,
    /// Everything.
    False,
}

/// Resources to add to a result: <https://hl7.org/fhir/R4/search.html#revinclude>.
#[derive(Clone, Debug)]
pub struct Include {
    /// The type of the resource that refers; `None` is any.
    pub source: Option<&'static str>,
    /// By which of its parameters; `None` is any reference.
    pub reference: Option<&'static SearchParameter>,
    /// Only targets of this type.
    pub target: Option<&'static str>,
    /// Follow the references of included resources too.
    pub iterate: bool,
}

/// Most keys, includes or elements of a request, each.
pub const CONTROLS_MAX: usize = 50;

const NAMES: [&str; 12] = [
    "_contained",
    "_containedType",
    "_sort",
    "_count",
    "_total",
    "_include",
    "_revinclude",
    "_summary",
    "_elements",
    "_format",
    "_pretty",
    "_explain",
];

/// Does the name, but for its modifier, belong here?
pub(super) fn is_control(name: &str) -> bool {
    let plain = name.split_once(':').map_or(name, |(plain, _)| plain);
    NAMES.contains(&plain)
}

impl Control {
    /// Reads one parameter for a search of type `ty`, perhaps among other types.
    pub(super) fn read(
        &mut self,
        asking: &Asking<'_>,
        (ty, among): (&'static str, &[&'static str]),
        name: &str,
        value: &str,
    ) -> Result<(), Issue> {
        let at = At {
            parameters: asking.parameters,
            hidden: asking.hidden,
            ty,
            among,
            name,
        };
        let (plain, modifier) = match name.split_once(':') {
            Some((plain, modifier)) => (plain, Some(modifier)),
            None => (name, None),
        };
        let includes = matches!(plain, "_include" | "_revinclude");
        let iterate = match modifier {
            None => false,
            Some("iterate" | "recurse") if includes => true,
            Some(_) if includes => return Err(at.unsupported("unknown modifier; allowed: iterate")),
            Some(_) => return Err(at.unsupported("this parameter has no modifiers")),
        };
        match plain {
            "_sort" => self.sort(&at, value),
            "_count" => at.once(&mut self.count, count(value), "must be a number, 0 or more"),
            "_total" => at.once(
                &mut self.total,
                total(value),
                "must be none, estimate or accurate",
            ),
            "_include" => at.add(&mut self.includes, at.include(value, iterate)?),
            "_revinclude" => at.add(&mut self.reverse_includes, at.reverse(value, iterate)?),
            "_summary" => {
                let expected = "must be true, text, data, count or false";
                at.once(&mut self.summary, summary(value), expected)
            }
            "_elements" => self.elements(&at, value),
            "_contained" => {
                let expected = "must be true, false or both";
                at.once(&mut self.contained, contained(value), expected)?;
                match self.contained {
                    Some(Contained::True | Contained::Both) => at.check_contained(),
                    Some(Contained::False) | None => Ok(()),
                }
            }
            "_containedType" => {
                let expected = "must be container or contained";
                at.once(&mut self.contained_type, contained_type(value), expected)
            }
            "_format" => {
                let format = (!value.is_empty()).then(|| value.into());
                at.once(&mut self.format, format, "must not be empty")
            }
            "_explain" => at.once(&mut self.explain, boolean(value), "must be true or false"),
            _ => at.once(&mut self.pretty, boolean(value), "must be true or false"),
        }
    }

    /// All keys or none: a part of an order is another order.
    fn sort(&mut self, at: &At<'_>, value: &str) -> Result<(), Issue> {
        let mut keys = self.sort.clone();
        for key in value.split(',') {
            let (code, descending) = match key.strip_prefix('-') {
                Some(code) => (code, true),
                None => (key, false),
            };
            let sorting = match key {
                "_score" => Some(&SCORE),
                _ => at.sorting(code),
            };
            let Some(parameter) = sorting else {
                let allowed = match at.among {
                    [] | [_] => codes(at.parameters, at.ty, sorts) + ", _score",
                    _ => "_id, _lastUpdated, _score, and what one of the types is sorted by"
                        .to_owned(),
                };
                return Err(at.unsupported(format!("cannot sort by that; allowed: {allowed}")));
            };
            if keys.iter().any(|key| key.parameter.code == code) {
                return Err(at.malformed("the value names a key twice".to_owned()));
            }
            at.check_ready(code)?;
            let key = SortKey {
                parameter,
                descending,
            };
            at.add(&mut keys, key)?;
        }
        self.sort = keys;
        Ok(())
    }

    fn elements(&mut self, at: &At<'_>, value: &str) -> Result<(), Issue> {
        let definitions = definitions::r4();
        let parent = definitions.resource_named(at.ty).map(Parent::Type);
        let mut elements = self.elements.clone();
        for name in value.split(',') {
            let named = |parent| definitions.named(parent, name.trim()).first();
            let of = |ty: &&str| named(Parent::Type(definitions.resource_named(ty)?));
            let element = match parent.and_then(named) {
                Some(key) => definitions.element(key.element).name,
                // Clients ask for it as for an element; it is always there, as the id is.
                None if name.trim() == "resourceType" => "id",
                // What there is of this type without it is its id.
                None if at.among.iter().any(|ty| of(ty).is_some()) => "id",
                None => {
                    let details = format!("the value names no element of {}", at.ty);
                    return Err(at.malformed(details));
                }
            };
            at.add(&mut elements, element)?;
        }
        self.elements = elements;
        Ok(())
    }
}

/// The parameter that is read, for its messages.
struct At<'r> {
    parameters: &'r Parameters,
    hidden: &'r Hidden,
    ty: &'static str,
    /// The types that are searched together, if there are several.
    among: &'r [&'static str],
    name: &'r str,
}

impl At<'_> {
    fn once<T>(&self, slot: &mut Option<T>, value: Option<T>, expected: &str) -> Result<(), Issue> {
        if slot.is_some() {
            return Err(self.malformed("the parameter must not be repeated".to_owned()));
        }
        *slot = Some(value.ok_or_else(|| self.malformed(format!("the value {expected}")))?);
        Ok(())
    }

    fn add<T>(&self, list: &mut Vec<T>, value: T) -> Result<(), Issue> {
        if list.len() == CONTROLS_MAX {
            let details = format!("more than {CONTROLS_MAX} of them");
            return Err(Issue::error(
                IssueType::TooCostly,
                location(self.name),
                details,
            ));
        }
        list.push(value);
        Ok(())
    }

    /// Whether the resources found may be of this type.
    fn finds(&self, ty: &str) -> bool {
        ty == self.ty || self.among.contains(&ty)
    }

    /// The parameter of a key, of this type or of another one searched with it.
    fn sorting(&self, code: &str) -> Option<&'static SearchParameter> {
        let types = std::iter::once(&self.ty).chain(self.among);
        let mut own = types.filter_map(|ty| self.parameters.find(ty, code));
        own.find(|parameter| sorts(parameter))
    }

    /// A key must be ready on each of the types that have it.
    fn check_ready(&self, code: &str) -> Result<(), Issue> {
        for ty in std::iter::once(&self.ty).chain(self.among) {
            if let Some(own) = self.parameters.find(ty, code) {
                let ready = self.parameters.check_ready(ty, own);
                ready.map_err(|not| not.at(location(self.name)))?;
                self.hidden.check(ty, own, || location(self.name))?;
            }
        }
        Ok(())
    }

    fn check_contained(&self) -> Result<(), Issue> {
        let ready = self.parameters.check_contained();
        ready.map_err(|not| not.at(location(self.name)))?;
        self.hidden.check_all(|| location(self.name))
    }

    /// All references must be ready, and shown: of the types found, or of any.
    fn check_references(&self, of_any: bool) -> Result<(), Issue> {
        let at = |not: NotReady| not.at(location(self.name));
        if of_any {
            self.parameters.check_references(None).map_err(at)?;
            return self.check_shown(None);
        }
        let mut types = std::iter::once(&self.ty).chain(self.among);
        types.try_for_each(|ty| {
            self.parameters.check_references(Some(ty)).map_err(at)?;
            self.check_shown(Some(ty))
        })
    }

    /// No reference of a type, or of any, may be hidden.
    fn check_shown(&self, ty: Option<&str>) -> Result<(), Issue> {
        let hidden = self.hidden;
        hidden.check_references(self.parameters, ty, || location(self.name))
    }

    /// `_include`: from the resources found, and from others only with `:iterate`.
    fn include(&self, value: &str, iterate: bool) -> Result<Include, Issue> {
        let include = self.link(value, iterate)?;
        if include.source.is_some_and(|source| !self.finds(source)) && !iterate {
            let details = format!("the value must begin with {}:, or have :iterate", self.ty);
            return Err(self.malformed(details));
        }
        Ok(include)
    }

    /// `_revinclude`: to the resources found, and to others only with `:iterate`.
    fn reverse(&self, value: &str, iterate: bool) -> Result<Include, Issue> {
        let include = self.link(value, iterate)?;
        if include.source.is_none() {
            let details = "the value must name the type that refers: Type:* or Type:parameter";
            return Err(self.malformed(details.to_owned()));
        }
        let reaches = |parameter: &SearchParameter| {
            let definitions = definitions::r4();
            let mut names = parameter.targets.iter().map(|id| definitions.ty(*id).name);
            names.any(|name| self.finds(name) || name == "Resource")
        };
        if !iterate
            && include
                .reference
                .is_some_and(|parameter| !reaches(parameter))
        {
            let details = format!("the reference does not lead to {}", self.ty);
            return Err(self.malformed(details));
        }
        Ok(include)
    }

    /// `*`, `Type:*`, `Type:parameter` or `Type:parameter:TargetType`.
    fn link(&self, value: &str, iterate: bool) -> Result<Include, Issue> {
        if value == "*" {
            self.check_references(iterate)?;
            return Ok(Include {
                source: None,
                reference: None,
                target: None,
                iterate,
            });
        }
        let mut parts = value.splitn(3, ':');
        let source = parts.next().and_then(type_name);
        let (Some(source), Some(code)) = (source, parts.next()) else {
            let shape = "the value must be Type:parameter or Type:parameter:TargetType";
            return Err(self.malformed(shape.to_owned()));
        };
        let target = match parts.next() {
            None => None,
            Some(name) => Some(type_name(name).ok_or_else(|| {
                self.malformed("the value names an unknown type of target".to_owned())
            })?),
        };
        let reference = if code == "*" {
            let ready = self.parameters.check_references(Some(source));
            ready.map_err(|not| not.at(location(self.name)))?;
            self.check_shown(Some(source))?;
            None
        } else {
            Some(self.reference(source, code)?)
        };
        Ok(Include {
            source: Some(source),
            reference,
            target,
            iterate,
        })
    }

    fn reference(&self, ty: &str, code: &str) -> Result<&'static SearchParameter, Issue> {
        let parameter = self.parameters.find(ty, code);
        let is_reference = |p: &&SearchParameter| p.kind == SearchKind::Reference;
        let parameter = parameter.filter(is_reference).ok_or_else(|| {
            let allowed = codes(self.parameters, ty, |p| is_reference(&p));
            self.malformed(format!(
                "the value names no reference of {ty}; allowed: {allowed}"
            ))
        })?;
        let ready = self.parameters.check_ready(ty, parameter);
        ready.map_err(|not| not.at(location(self.name)))?;
        self.hidden.check(ty, parameter, || location(self.name))?;
        Ok(parameter)
    }

    fn unsupported(&self, details: impl Into<std::borrow::Cow<'static, str>>) -> Issue {
        Issue::error(IssueType::NotSupported, location(self.name), details)
    }

    fn malformed(&self, details: String) -> Issue {
        Issue::error(IssueType::Value, location(self.name), details)
    }
}

fn sorts(parameter: &SearchParameter) -> bool {
    let unordered = matches!(parameter.kind, SearchKind::Composite | SearchKind::Special);
    !unordered && !parameter.expression.is_empty()
}

/// More than any server gives at once is as good as the most.
fn count(value: &str) -> Option<u32> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u32::MAX))
}

fn total(value: &str) -> Option<Total> {
    match value {
        "none" => Some(Total::None),
        "estimate" => Some(Total::Estimate),
        "accurate" => Some(Total::Accurate),
        _ => None,
    }
}

fn summary(value: &str) -> Option<Summary> {
    match value {
        "true" => Some(Summary::True),
        "text" => Some(Summary::Text),
        "data" => Some(Summary::Data),
        "count" => Some(Summary::Count),
        "false" => Some(Summary::False),
        _ => None,
    }
}

fn contained(value: &str) -> Option<Contained> {
    match value {
        "true" => Some(Contained::True),
        "false" => Some(Contained::False),
        "both" => Some(Contained::Both),
        _ => None,
    }
}

fn contained_type(value: &str) -> Option<ContainedType> {
    match value {
        "container" => Some(ContainedType::Container),
        "contained" => Some(ContainedType::Contained),
        _ => None,
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
