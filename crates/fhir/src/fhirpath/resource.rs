//! FHIR's own functions: <https://hl7.org/fhir/R4/fhirpath.html#functions>.

use super::Error;
use super::evaluate::{Frame, Items, Run};
use super::function::{Ask, Resource};
use super::item::{Item, Shape, Value};
use super::navigate::is_primitive;
use super::op::Call;
use super::singleton::{as_string, boolean, single};
use super::unit;
use crate::definitions::r4;
use crate::json::Node;
use crate::xhtml;

impl<'a> Run<'_, 'a> {
    pub(super) fn of_resource(
        &self,
        function: Resource,
        call: &'a Call,
        input: Items<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        match function {
            Resource::Resolve => self.resolve(call, &input, out)?,
            Resource::Extension => {
                if let Some(url) = self.string_argument(call, 0, frame)? {
                    self.extensions(&input, &url, out)?;
                }
            }
            Resource::HasValue => out.push(boolean(has_value(&input))),
            Resource::GetValue => {
                let value = single(&input)?.and_then(Item::value);
                out.extend(value.filter(|_| has_value(&input)).map(Item::Value));
            }
            Resource::Type => out.extend(input.iter().map(|item| Item::Type(item.type_info()))),
            Resource::HtmlChecks => {
                if let Some(text) = as_string(&input)? {
                    self.charge(1 + text.len() / 16)?;
                    out.push(boolean(xhtml::check(&text).is_ok()));
                }
            }
            Resource::CheckModifiers => {
                self.check_modifiers(call, &input, frame)?;
                out.extend(input);
            }
            Resource::ElementDefinition | Resource::Slice => {
                return Err(Error::unsupported("profiles are not at hand here"));
            }
            Resource::Ask(question) => {
                let argument = self.argument(call, 0, frame)?;
                self.asked(question, &input, &argument, out)?;
            }
        }
        Ok(())
    }

    /// Functions of one item and one argument.
    fn asked(
        &self,
        question: Ask,
        input: &[Item<'a>],
        argument: &[Item<'a>],
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let (Some(item), Some(argument_item)) = (single(input)?, single(argument)?) else {
            return Ok(());
        };
        let environment = self.context.environment;
        let result = match question {
            Ask::Comparable => match (item.value(), argument_item.value()) {
                (Some(Value::Quantity(left)), Some(Value::Quantity(right))) => {
                    Some(unit::comparable(&left.unit, &right.unit))
                }
                _ => None,
            },
            Ask::Subsumes => environment.subsumes(item, argument_item)?,
            Ask::SubsumedBy => environment.subsumes(argument_item, item)?,
            Ask::MemberOf => match as_string(argument)? {
                Some(value_set) => environment.member_of(item, &value_set)?,
                None => None,
            },
            Ask::ConformsTo => match as_string(argument)? {
                Some(profile) => Some(environment.conforms_to(item, &profile)?),
                None => None,
            },
        };
        out.extend(result.map(boolean));
        Ok(())
    }

    /// `extension(url)`, the shortcut for `extension.where(url = ...)`.
    fn extensions(&self, input: &[Item<'a>], url: &str, out: &mut Items<'a>) -> Result<(), Error> {
        let shape = r4().type_named("Extension").map(Shape::of_type);
        for item in input {
            let object = item.element().and_then(|element| element.object());
            let Some(extensions) = object.and_then(|object| object.get("extension")) else {
                continue;
            };
            for node in extensions.children() {
                self.charge(1)?;
                if node.get("url").and_then(Node::str).as_deref() == Some(url) {
                    out.push(Item::Element(super::Element {
                        value: Some(node),
                        extra: None,
                        shape,
                    }));
                }
            }
        }
        Ok(())
    }

    fn check_modifiers(
        &self,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
    ) -> Result<(), Error> {
        let mut known = Vec::new();
        for at in 0..call.arguments.len() {
            known.extend(self.string_argument(call, at, frame)?);
        }
        for item in input {
            let object = item.element().and_then(|element| element.object());
            let Some(modifiers) = object.and_then(|object| object.get("modifierExtension")) else {
                continue;
            };
            for modifier in modifiers.children() {
                self.charge(1 + known.len())?;
                let url = modifier.get("url").and_then(Node::str).unwrap_or_default();
                if !known.contains(&url) {
                    return Err(Error::evaluation("there is an unknown modifier extension"));
                }
            }
        }
        Ok(())
    }
}

fn has_value(input: &[Item<'_>]) -> bool {
    match input {
        [Item::Element(element)] => element.has_value() && element.shape.is_none_or(is_primitive),
        [Item::Value(_)] => true,
        _ => false,
    }
}

/// Is a code, Coding or CodeableConcept in a value set of the definitions?
pub(super) fn member_of(item: &Item<'_>, value_set: &str) -> Option<bool> {
    let set = r4().value_set(value_set)?;
    if let Some(Value::String(code)) = item.value() {
        return set.contains(None, &code);
    }
    let node = item.element()?.value?;
    let coding = |node: Node<'_>| {
        let system = node.get("system").and_then(Node::str);
        let code = node.get("code").and_then(Node::str)?;
        set.contains(system.as_deref(), &code)
    };
    let Some(codings) = node.get("coding") else {
        return coding(node);
    };
    let mut result = Some(false);
    for node in codings.children() {
        match coding(node) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => result = None,
        }
    }
    result
}

/// Is an element of the type that a profile of the standard is the definition of?
pub(super) fn conforms_to(item: &Item<'_>, profile: &str) -> Result<bool, Error> {
    let canonical = profile.split('|').next().unwrap_or_default();
    let name = canonical.strip_prefix("http://hl7.org/fhir/StructureDefinition/");
    let Some(ty) = name.and_then(|name| r4().type_named(name)) else {
        return Err(Error::unsupported("the profile is not at hand here"));
    };
    let shape = item.element().and_then(|element| element.shape);
    Ok(shape.is_some_and(|shape| r4().is_subtype(shape.ty, ty)))
}
