//! Questions made at random, as clients write them, and what they mean.

use super::{Choice, LINKS, PLACES, Thing};

/// A question.
pub(super) enum Ask {
    Id(Vec<u64>),
    Code {
        not: bool,
        codes: Vec<u64>,
    },
    Missing(&'static str, bool),
    Link(&'static str, &'static str, u64),
    /// Does a display of this parameter have words that begin so?
    Words(&'static str, Vec<&'static str>),
    /// A component of this code with a number that is at least so great.
    Pair(u64, u64),
    Chain(&'static str, &'static str, bool, Box<Ask>),
    Has(&'static str, &'static str, Box<Ask>),
    /// Is it so near to a place, in degrees and kilometres?
    Near(f64, f64, u64),
    /// Is it on the List of this id?
    Listed(u64),
    /// An expression: `_filter`.
    Filter(Expression),
}

/// What `_filter` says.
pub(super) enum Expression {
    One(Box<Ask>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
}

impl Ask {
    pub(super) fn at_random(choice: &mut Choice, ty: &'static str, depth: u64) -> Self {
        let links: Vec<_> = LINKS.iter().filter(|link| link.0 == ty).collect();
        let into: Vec<_> = LINKS.iter().filter(|link| link.3.contains(&ty)).collect();
        loop {
            match choice.below(if depth == 0 { 11 } else { 21 }) {
                0 => return Self::Id((0..=choice.below(3)).map(|_| choice.below(8)).collect()),
                1 | 2 => {
                    let codes = (0..=choice.below(2)).map(|_| choice.below(4)).collect();
                    let not = choice.below(3) == 0;
                    return Self::Code { not, codes };
                }
                3 if !links.is_empty() => {
                    return Self::Missing(choice.of(&links).1, choice.below(2) == 0);
                }
                4 if !links.is_empty() => {
                    let link = choice.of(&links);
                    return Self::Link(link.1, choice.of(link.3), choice.below(9));
                }
                5 if ty == "Observation" => return Self::Pair(choice.below(3), choice.below(5)),
                6..9 if ty == "Location" => {
                    let (latitude, longitude) = choice.of(&PLACES);
                    let kilometres = choice.of(&[0, 1, 10, 100, 5000, 30_000]);
                    return Self::Near(latitude, longitude, kilometres);
                }
                9 => return Self::Listed(choice.below(8)),
                10 => {
                    let parameter = match links.is_empty() || choice.below(2) == 0 {
                        true => code_of(ty),
                        false => choice.of(&links).1,
                    };
                    let starts = ["al", "alpha", "alphabet", "Beta", "gam", "x"];
                    let words = (0..=choice.below(2)).map(|_| choice.of(&starts));
                    return Self::Words(parameter, words.collect());
                }
                11..14 if !links.is_empty() => {
                    let (_, parameter, _, targets) = choice.of(&links);
                    let target = choice.of(targets);
                    let ask = Self::at_random(choice, target, depth - 1).into();
                    return Self::Chain(parameter, target, choice.below(2) == 0, ask);
                }
                14..17 => {
                    return Self::Filter(Expression::at_random(choice, ty, depth));
                }
                17.. if !into.is_empty() => {
                    let (from, parameter, ..) = choice.of(&into);
                    let ask = Self::at_random(choice, from, depth - 1).into();
                    return Self::Has(from, parameter, ask);
                }
                _ => {}
            }
        }
    }

    /// As a client writes it.
    pub(super) fn text(&self, ty: &str) -> (String, String) {
        let list = |codes: &[u64], of: &dyn Fn(u64) -> String| {
            let all: Vec<String> = codes.iter().map(|code| of(*code)).collect();
            all.join(",")
        };
        match self {
            Self::Id(ids) => ("_id".to_owned(), list(ids, &|id| id.to_string())),
            Self::Code { not, codes } => {
                let name = code_of(ty);
                let modifier = if *not { ":not" } else { "" };
                (
                    format!("{name}{modifier}"),
                    list(codes, &|code| format!("urn:s|c{code}")),
                )
            }
            Self::Missing(parameter, missing) => {
                (format!("{parameter}:missing"), missing.to_string())
            }
            Self::Link(parameter, target, id) => {
                ((*parameter).to_owned(), format!("{target}/{id}"))
            }
            Self::Words(parameter, words) => (format!("{parameter}:text"), words.join(" ")),
            Self::Pair(code, number) => (
                "component-code-value-quantity".to_owned(),
                format!("c{code}$ge{number}"),
            ),
            Self::Chain(parameter, target, named, ask) => {
                let (name, value) = ask.text(target);
                // Where a parameter leads to several types the type is named.
                let named = *named || *parameter == "general-practitioner";
                let ty = if named {
                    format!(":{target}")
                } else {
                    String::new()
                };
                (format!("{parameter}{ty}.{name}"), value)
            }
            Self::Has(from, parameter, ask) => {
                let (name, value) = ask.text(from);
                (format!("_has:{from}:{parameter}:{name}"), value)
            }
            Self::Near(latitude, longitude, kilometres) => (
                "near".to_owned(),
                format!("{latitude}|{longitude}|{kilometres}|km"),
            ),
            Self::Listed(id) => ("_list".to_owned(), id.to_string()),
            Self::Filter(expression) => ("_filter".to_owned(), expression.text(ty)),
        }
    }

    /// Does it ask what refers to the resource? Nothing refers to contained ones.
    pub(super) fn is_of_referring(&self) -> bool {
        match self {
            Self::Has(..) | Self::Listed(_) => true,
            Self::Filter(_)
            | Self::Id(_)
            | Self::Code { .. }
            | Self::Missing(..)
            | Self::Link(..)
            | Self::Words(..)
            | Self::Pair(..)
            | Self::Chain(..)
            | Self::Near(..) => false,
        }
    }

    /// As one comparison of an expression, or several in parentheses; `None`
    /// if no expression says so.
    fn compared(&self, ty: &str) -> Option<String> {
        let any = |name: &str, values: Vec<String>| {
            let all: Vec<String> = values.iter().map(|v| format!("{name} eq {v}")).collect();
            format!("({})", all.join(" or "))
        };
        Some(match self {
            Self::Id(ids) => any("_id", ids.iter().map(u64::to_string).collect()),
            Self::Code { not, codes } => {
                let codes = codes.iter().map(|code| format!("urn:s|c{code}")).collect();
                let is = any(code_of(ty), codes);
                if *not { format!("not{is}") } else { is }
            }
            Self::Missing(parameter, missing) => format!("{parameter} pr {}", !missing),
            Self::Link(parameter, target, id) => format!("{parameter} re {target}/{id}"),
            Self::Pair(code, number) => {
                format!(r#"component-code-value-quantity eq "c{code}$ge{number}""#)
            }
            Self::Chain(parameter, target, _, ask) => {
                format!("{parameter}[{}]._id pr true", ask.compared(target)?)
            }
            Self::Filter(expression) => format!("({})", expression.text(ty)),
            Self::Near(latitude, longitude, kilometres) => {
                format!("near eq {latitude}|{longitude}|{kilometres}")
            }
            Self::Has(..) | Self::Listed(_) | Self::Words(..) => return None,
        })
    }

    /// Read plainly; what is hidden is not there.
    pub(super) fn holds(&self, world: &[Thing], visible: &[&str], thing: &Thing) -> bool {
        let leads = |thing: &Thing, parameter: &str, ty: &str, id: &str| {
            let mut links = thing.links.iter();
            links.any(|link| link.0 == parameter && link.1 == ty && link.2 == id)
        };
        let mut others = world.iter().filter(|other| visible.contains(&other.ty));
        match self {
            Self::Id(ids) => ids.iter().any(|id| id.to_string() == thing.id),
            Self::Code { not, codes } => {
                thing.code.is_some_and(|code| codes.contains(&code)) != *not
            }
            Self::Missing(parameter, missing) => {
                thing.links.iter().any(|link| link.0 == *parameter) != *missing
            }
            Self::Link(parameter, target, id) => leads(thing, parameter, target, &id.to_string()),
            Self::Words(parameter, words) => {
                let of_code = thing.code.is_some() && *parameter == code_of(thing.ty);
                let own = of_code.then_some(&thing.display);
                let links = thing.links.iter().zip(&thing.displays);
                let linked = links.filter(|(link, _)| link.0 == *parameter);
                let mut displays = own.into_iter().chain(linked.map(|(_, display)| display));
                displays.any(|display| {
                    let begins = |start: &str| {
                        let mut said = display.split(' ');
                        said.any(|word| word.starts_with(&start.to_lowercase()))
                    };
                    words.iter().all(|word| begins(word))
                })
            }
            Self::Pair(code, number) => thing
                .pairs
                .iter()
                .any(|pair| pair.0 == *code && pair.1 >= *number),
            Self::Chain(parameter, target, _, ask) => others.any(|other| {
                other.ty == *target
                    && leads(thing, parameter, target, &other.id)
                    && ask.holds(world, visible, other)
            }),
            Self::Has(from, parameter, ask) => others.any(|other| {
                other.ty == *from
                    && leads(other, parameter, thing.ty, &thing.id)
                    && ask.holds(world, visible, other)
            }),
            Self::Near(latitude, longitude, kilometres) => thing.place.is_some_and(|place| {
                kilometres_between(place, (*latitude, *longitude)) <= *kilometres as f64
            }),
            Self::Listed(id) => others.any(|list| {
                let on = |(ty, id): &(&str, String)| *ty == thing.ty && *id == thing.id;
                list.ty == "List" && list.id == id.to_string() && list.listed.iter().any(on)
            }),
            Self::Filter(expression) => expression.holds(world, visible, thing),
        }
    }
}

impl Expression {
    fn at_random(choice: &mut Choice, ty: &'static str, depth: u64) -> Self {
        let two = |choice: &mut Choice| {
            let one = Self::at_random(choice, ty, depth - 1).into();
            (one, Self::at_random(choice, ty, depth - 1).into())
        };
        match choice.below(if depth == 0 { 1 } else { 6 }) {
            1 | 2 => {
                let (one, other) = two(choice);
                Self::And(one, other)
            }
            3 | 4 => {
                let (one, other) = two(choice);
                Self::Or(one, other)
            }
            5 => Self::Not(Self::at_random(choice, ty, depth - 1).into()),
            _ => loop {
                let ask = Ask::at_random(choice, ty, depth.saturating_sub(1));
                if ask.compared(ty).is_some() {
                    return Self::One(ask.into());
                }
            },
        }
    }

    /// With as few parentheses as can be: `and` and `or` are taken from left
    /// to right.
    fn text(&self, ty: &str) -> String {
        let right = |other: &Self| match other {
            Self::And(..) | Self::Or(..) => format!("({})", other.text(ty)),
            Self::One(_) | Self::Not(_) => other.text(ty),
        };
        match self {
            Self::One(ask) => ask.compared(ty).unwrap(),
            Self::And(one, other) => format!("{} and {}", one.text(ty), right(other)),
            Self::Or(one, other) => format!("{} or {}", one.text(ty), right(other)),
            Self::Not(inner) => format!("not ({})", inner.text(ty)),
        }
    }

    fn holds(&self, world: &[Thing], visible: &[&str], thing: &Thing) -> bool {
        let holds = |it: &Self| it.holds(world, visible, thing);
        match self {
            Self::One(ask) => ask.holds(world, visible, thing),
            Self::And(one, other) => holds(one) && holds(other),
            Self::Or(one, other) => holds(one) || holds(other),
            Self::Not(inner) => !holds(inner),
        }
    }
}

/// The parameter of the code of a type.
fn code_of(ty: &str) -> &'static str {
    match ty {
        "Patient" => "language",
        "Observation" | "List" => "code",
        _ => "type",
    }
}

/// By the angle between two directions from the middle of the Earth.
fn kilometres_between(one: (f64, f64), other: (f64, f64)) -> f64 {
    let direction = |(latitude, longitude): (f64, f64)| {
        let (north, east) = (latitude.to_radians(), longitude.to_radians());
        [
            north.cos() * east.cos(),
            north.cos() * east.sin(),
            north.sin(),
        ]
    };
    let (a, b) = (direction(one), direction(other));
    let cross = [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ];
    let length = cross.iter().map(|part| part * part).sum::<f64>().sqrt();
    let along: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    6371.0088 * length.atan2(along)
}
