//! Reads `types.tsv`. The table is ours and tested: what it does not understand
//! is left out.

use super::{
    Binding, Element, ElementId, ElementType, Invariant, Primitive, Strength, Type, TypeId,
    TypeKind, Types, find,
};
use crate::definitions::index::Index;
use crate::definitions::values::ValueSets;

/// The columns of a line behind its first.
type Columns = std::str::Split<'static, char>;

pub(super) fn types(table: &'static str, values: &ValueSets) -> Types {
    let mut reader = Reader::named(table);
    let mut current = None;
    for line in table.lines() {
        let mut columns = line.split('\t');
        match columns.next() {
            Some("T") => current = columns.next().and_then(|name| reader.find(name)),
            Some("E") => reader.element(current, columns, values),
            Some("I") => reader.invariant(current, columns),
            _ => {}
        }
    }
    reader.finish()
}

/// Types and elements while lists still grow.
struct Reader {
    types: Vec<Type>,
    names: Index,
    elements: Vec<Element>,
    of_type: Vec<Vec<ElementId>>,
    rules_of_type: Vec<Vec<Invariant>>,
    rules_of_element: Vec<(ElementId, Invariant)>,
    contents: Vec<(ElementId, &'static str)>,
}

impl Reader {
    /// A first pass over the names, which elements refer to.
    fn named(table: &'static str) -> Reader {
        let mut types = Vec::with_capacity(256);
        for line in table.lines() {
            if let Some(columns) = line.strip_prefix("T\t")
                && let Ok(id) = u16::try_from(types.len())
            {
                types.push(one(TypeId(id), columns));
            }
        }
        let names = Index::new(types.iter().map(|ty| ty.name));
        for (at, line) in table.lines().filter(|l| l.starts_with("T\t")).enumerate() {
            let base = line.split('\t').nth(3).unwrap_or_default();
            let base = find(&types, &names, base);
            if let Some(ty) = types.get_mut(at) {
                ty.base = base;
            }
        }
        Reader {
            of_type: vec![Vec::new(); types.len()],
            rules_of_type: vec![Vec::new(); types.len()],
            types,
            names,
            elements: Vec::with_capacity(6000),
            rules_of_element: Vec::new(),
            contents: Vec::new(),
        }
    }

    fn find(&self, name: &str) -> Option<TypeId> {
        find(&self.types, &self.names, name)
    }

    fn element(&mut self, owner: Option<TypeId>, mut columns: Columns, values: &ValueSets) {
        let mut next = || columns.next().unwrap_or_default();
        let (path, range, flags, types, binding) = (next(), next(), next(), next(), next());
        let id = ElementId(u32::try_from(self.elements.len()).unwrap_or(u32::MAX));
        if let Some(content) = types.strip_prefix('@') {
            self.contents.push((id, content));
        }
        let (min, max) = range.split_once("..").unwrap_or_default();
        self.elements.push(Element {
            min: min.parse().unwrap_or(0),
            max: max.parse().ok(),
            types: self.types_of(types),
            binding: bound(binding, values),
            is_modifier: flags.contains('M'),
            is_summary: flags.contains('S'),
            is_attribute: flags.contains('A'),
            ..at(path)
        });
        if let Some(all) = owner.and_then(|owner| self.of_type.get_mut(owner.index())) {
            all.push(id);
        }
    }

    fn types_of(&self, column: &'static str) -> &'static [ElementType] {
        let types: Vec<ElementType> = column
            .split(' ')
            .filter_map(|text| self.type_of(text))
            .collect();
        Vec::leak(types)
    }

    fn type_of(&self, text: &'static str) -> Option<ElementType> {
        let (text, profile) = match text.split_once(':') {
            Some((text, profile)) => (text, Some(profile)),
            None => (text, None),
        };
        let (name, targets) = match text.split_once('(') {
            Some((name, targets)) => (name, targets.strip_suffix(')')?),
            None => (text, ""),
        };
        let targets: Vec<TypeId> = targets.split('|').filter_map(|t| self.find(t)).collect();
        Some(ElementType {
            ty: self.find(name)?,
            targets: Vec::leak(targets),
            profile,
        })
    }

    fn invariant(&mut self, owner: Option<TypeId>, mut columns: Columns) {
        let mut next = || columns.next().unwrap_or_default();
        let rule = Invariant {
            key: next(),
            is_error: next() == "error",
            expression: next(),
        };
        let Some(owner) = owner.map(TypeId::index) else {
            return;
        };
        match self.of_type.get(owner).and_then(|all| all.last()) {
            Some(element) => self.rules_of_element.push((*element, rule)),
            None => {
                if let Some(rules) = self.rules_of_type.get_mut(owner) {
                    rules.push(rule);
                }
            }
        }
    }

    fn finish(mut self) -> Types {
        for (ty, elements) in self.types.iter_mut().zip(self.of_type) {
            ty.elements = Vec::leak(elements);
        }
        for (ty, rules) in self.types.iter_mut().zip(self.rules_of_type) {
            ty.invariants = Vec::leak(rules);
        }
        for rules in self.rules_of_element.chunk_by(|a, b| a.0 == b.0) {
            let id = rules.first().map_or(usize::MAX, |(id, _)| id.index());
            if let Some(element) = self.elements.get_mut(id) {
                element.invariants = Vec::leak(rules.iter().map(|(_, rule)| *rule).collect());
            }
        }
        link(&mut self.elements, &self.contents);
        Types {
            types: self.types,
            elements: self.elements,
            names: self.names,
        }
    }
}

fn one(id: TypeId, columns: &'static str) -> Type {
    let mut columns = columns.split('\t');
    let mut next = || columns.next().unwrap_or_default();
    let (name, kind, _base, pattern) = (next(), next(), next(), next());
    Type {
        id,
        name,
        kind: match kind {
            "primitive" => TypeKind::Primitive,
            "resource" => TypeKind::Resource,
            "abstract" => TypeKind::Abstract,
            _ => TypeKind::Complex,
        },
        base: None,
        primitive: Primitive::named(name),
        pattern: (!pattern.is_empty()).then_some(pattern),
        invariants: &[],
        elements: &[],
    }
}

/// An element of which only the path is known.
fn at(path: &'static str) -> Element {
    let last = path.rsplit('.').next().unwrap_or(path);
    Element {
        path,
        name: last.strip_suffix("[x]").unwrap_or(last),
        choice: last.ends_with("[x]"),
        min: 0,
        max: None,
        types: &[],
        content: None,
        binding: None,
        invariants: &[],
        is_modifier: false,
        is_summary: false,
        is_attribute: false,
        is_backbone: false,
    }
}

fn bound(column: &'static str, values: &ValueSets) -> Option<Binding> {
    let (strength, value_set) = column.split_once(' ')?;
    Some(Binding {
        strength: match strength {
            "required" => Strength::Required,
            "extensible" => Strength::Extensible,
            "preferred" => Strength::Preferred,
            _ => Strength::Example,
        },
        value_set,
        set: values.named(value_set),
    })
}

/// Marks backbones, and leads content references to them. A backbone comes
/// directly before its first element.
fn link(elements: &mut [Element], contents: &[(ElementId, &'static str)]) {
    for at in 1..elements.len() {
        let path = elements[at].path;
        let parent = path.rsplit_once('.').map(|(parent, _)| parent);
        let before = &mut elements[at - 1];
        if parent == Some(before.path) {
            before.is_backbone = true;
        }
    }
    for (id, path) in contents {
        let target = elements.iter().position(|element| element.path == *path);
        if let Some(element) = elements.get_mut(id.index()) {
            element.content = target.and_then(|at| u32::try_from(at).ok()).map(ElementId);
        }
    }
}
