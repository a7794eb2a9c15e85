//! Running a compiled expression.
//!
//! Steps that look at one item at a time are run depth first, straight into the output; only a
//! step that needs the whole collection (an index, most functions) makes one be built.

use super::ast::{Logic, Operator};
use super::item::{Item, Value};
use super::op::{Chain, Expr, Path, Step, Variable};
use super::singleton::{as_integer, as_truth, boolean, borrowed, integer, single};
use super::{Context, Error};
use std::borrow::Cow;
use std::cell::Cell;

/// Steps of a path that run into each other before a collection is built: bounds the stack.
const STREAM_MAX: usize = 32;

pub(super) type Items<'a> = Vec<Item<'a>>;

/// One evaluation.
pub(super) struct Run<'c, 'a> {
    pub(super) context: &'c Context<'a>,
    pub(super) focus: &'c Item<'a>,
    steps: Cell<u64>,
}

/// What `$this`, `$index` and `$total` are.
#[derive(Clone, Copy)]
pub(super) struct Frame<'f, 'a> {
    pub(super) this: Option<&'f Item<'a>>,
    pub(super) index: Option<usize>,
    pub(super) total: &'f [Item<'a>],
}

impl<'f, 'a> Frame<'f, 'a> {
    pub(super) fn of(this: &'f Item<'a>) -> Frame<'f, 'a> {
        Frame {
            this: Some(this),
            index: None,
            total: &[],
        }
    }

    /// The same frame for another item of a collection.
    pub(super) fn with(self, this: &'f Item<'a>, index: usize) -> Frame<'f, 'a> {
        Frame {
            this: Some(this),
            index: Some(index),
            total: self.total,
        }
    }
}

impl<'c, 'a> Run<'c, 'a> {
    pub(super) fn new(context: &'c Context<'a>, focus: &'c Item<'a>) -> Run<'c, 'a> {
        Run {
            context,
            focus,
            steps: Cell::new(context.steps_max),
        }
    }

    pub(super) fn steps_left(&self) -> u64 {
        self.steps.get()
    }

    /// Pays for work; an evaluation that has spent its steps ends.
    #[inline]
    pub(super) fn charge(&self, steps: usize) -> Result<(), Error> {
        match self.steps.get().checked_sub(steps as u64) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(Error::costly("the evaluation took too many steps")),
        }
    }

    /// Appends the value of an expression.
    pub(super) fn expr(
        &self,
        expr: &'a Expr,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        match expr {
            Expr::Empty => {}
            Expr::Literal(value) => out.push(Item::Value(borrowed(value))),
            Expr::Variable(variable) => self.variable(variable, out)?,
            Expr::This => out.extend(frame.this.cloned()),
            Expr::Index => out.extend(frame.index.map(integer)),
            Expr::Total => out.extend_from_slice(frame.total),
            Expr::Path(path) => self.path(path, frame, out)?,
            Expr::Negate(of) => self.negate(&self.items(of, frame)?, out)?,
            Expr::Plus(of) => out.append(&mut self.items(of, frame)?),
            Expr::Union(parts) => {
                let start = out.len();
                for part in parts {
                    let items = self.items(part, frame)?;
                    self.merge(start, items, out)?;
                }
            }
            Expr::Logic(chain) => out.extend(self.logic(chain, frame)?.map(boolean)),
            Expr::Chain(chain) => self.chain(chain, frame, out)?,
        }
        Ok(())
    }

    /// The value of an expression.
    pub(super) fn items(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<Items<'a>, Error> {
        let mut items = Vec::new();
        self.expr(expr, frame, &mut items)?;
        Ok(items)
    }

    /// The value of an expression where a truth value is expected.
    pub(super) fn truth(
        &self,
        expr: &'a Expr,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<bool>, Error> {
        match expr {
            Expr::Logic(chain) => self.logic(chain, frame),
            Expr::Path(path) => match (&path.base, path.steps.as_slice()) {
                (None, [Step::TargetIs(test)]) => match frame.this {
                    Some(this) => self.target_is(this, test),
                    None => Ok(None),
                },
                _ => as_truth(&self.items(expr, frame)?),
            },
            Expr::Chain(chain) => match chain.rest.as_slice() {
                // The usual filter, `system = 'phone'`, without a collection for each side.
                [(Operator::Equal, Expr::Literal(right))] => {
                    let left = self.items(&chain.first, frame)?;
                    self.equal(&left, &[Item::Value(borrowed(right))])
                }
                _ => as_truth(&self.items(expr, frame)?),
            },
            Expr::Empty
            | Expr::Literal(_)
            | Expr::Variable(_)
            | Expr::This
            | Expr::Index
            | Expr::Total
            | Expr::Negate(_)
            | Expr::Plus(_)
            | Expr::Union(_) => as_truth(&self.items(expr, frame)?),
        }
    }

    fn logic(&self, chain: &'a Chain<Logic>, frame: Frame<'_, 'a>) -> Result<Option<bool>, Error> {
        let mut value = self.truth(&chain.first, frame)?;
        for (operator, right) in &chain.rest {
            self.charge(1)?;
            value = match (operator, value) {
                (Logic::And, Some(false)) => Some(false),
                (Logic::Or, Some(true)) | (Logic::Implies, Some(false)) => Some(true),
                _ => three_valued(*operator, value, self.truth(right, frame)?),
            };
        }
        Ok(value)
    }

    fn chain(
        &self,
        chain: &'a Chain<Operator>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let mut left = self.items(&chain.first, frame)?;
        for (operator, right) in &chain.rest {
            let right = self.items(right, frame)?;
            left = self.operate(*operator, left, right)?;
        }
        out.append(&mut left);
        Ok(())
    }

    fn variable(&self, variable: &'a Variable, out: &mut Items<'a>) -> Result<(), Error> {
        match variable {
            Variable::Context => out.push(self.focus.clone()),
            Variable::Resource => out.push(self.resource()),
            Variable::RootResource => out.push(self.root_resource()),
            Variable::Fixed(url) => out.push(Item::Value(Value::String(Cow::Borrowed(url)))),
            Variable::Named(name) => {
                let variables = self.context.variables;
                let Some((_, items)) = variables.iter().find(|(known, _)| known == name) else {
                    return Err(Error::evaluation(format!("there is no variable %{name}")));
                };
                self.charge(items.len())?;
                out.extend_from_slice(items);
            }
        }
        Ok(())
    }

    pub(super) fn resource(&self) -> Item<'a> {
        match self.context.resource {
            Some(node) => Item::resource(node),
            None => self.focus.clone(),
        }
    }

    pub(super) fn root_resource(&self) -> Item<'a> {
        match self.context.root_resource {
            Some(node) => Item::resource(node),
            None => self.resource(),
        }
    }

    fn path(&self, path: &'a Path, frame: Frame<'_, 'a>, out: &mut Items<'a>) -> Result<(), Error> {
        let mut current = match &path.base {
            Some(base) => Some(self.items(base, frame)?),
            None => None,
        };
        let mut steps = path.steps.as_slice();
        loop {
            let ahead = steps.iter().take(STREAM_MAX);
            let streamed = ahead.take_while(|step| !step.is_barrier()).count();
            let (stream, rest) = steps.split_at(streamed);
            let Some((barrier, rest)) = rest.split_first() else {
                return self.stream_all(stream, current, frame, out);
            };
            let input = match current {
                Some(items) if stream.is_empty() => items,
                current => {
                    let mut items = Vec::new();
                    self.stream_all(stream, current, frame, &mut items)?;
                    items
                }
            };
            if !barrier.is_barrier() {
                // Only the bound on the stack stopped it.
                steps = steps.split_at(streamed).1;
                current = Some(input);
                continue;
            }
            if rest.is_empty() {
                return self.barrier(barrier, input, frame, out);
            }
            let mut output = Vec::new();
            self.barrier(barrier, input, frame, &mut output)?;
            current = Some(output);
            steps = rest;
        }
    }

    /// Runs steps on each of the items; without items on `$this`.
    fn stream_all(
        &self,
        steps: &'a [Step],
        items: Option<Items<'a>>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        match items {
            Some(items) => items
                .into_iter()
                .try_for_each(|item| self.stream(steps, item, frame, out)),
            None => match frame.this {
                Some(this) => self.stream(steps, this.clone(), frame, out),
                None => Ok(()),
            },
        }
    }

    /// Runs steps that need one item at a time.
    pub(super) fn stream(
        &self,
        steps: &'a [Step],
        item: Item<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        self.charge(1)?;
        let Some((step, rest)) = steps.split_first() else {
            out.push(item);
            return Ok(());
        };
        let passes = match step {
            Step::Member(member) => {
                return self.member(
                    member,
                    &item,
                    &mut |child, out| self.stream(rest, child, frame, out),
                    out,
                );
            }
            Step::Start(test) => test.is(&item),
            Step::OfType(test) => test.selects(&item),
            Step::Where(criteria) => {
                let frame = Frame {
                    this: Some(&item),
                    ..frame
                };
                self.truth(criteria, frame)? == Some(true)
            }
            Step::As(_) | Step::Is(_) | Step::TargetIs(_) | Step::Index(_) | Step::Call(_) => false,
        };
        if passes {
            return self.stream(rest, item, frame, out);
        }
        Ok(())
    }

    /// Runs a step that needs the whole collection.
    fn barrier(
        &self,
        step: &'a Step,
        input: Items<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        self.charge(1 + input.len())?;
        match step {
            Step::Call(call) => self.call(call, input, frame, out),
            Step::Is(test) => {
                out.extend(single(&input)?.map(|item| boolean(test.is(item))));
                Ok(())
            }
            Step::TargetIs(test) => {
                let truth = match single(&input)? {
                    Some(item) => self.target_is(item, test)?,
                    None => None,
                };
                out.extend(truth.map(boolean));
                Ok(())
            }
            Step::As(test) => {
                let item = single(&input)?.filter(|item| test.selects(item));
                out.extend(item.cloned());
                Ok(())
            }
            Step::Index(index) => {
                let index = self.items(index, frame)?;
                let at = as_integer(&index)?.and_then(|at| usize::try_from(at).ok());
                out.extend(at.and_then(|at| input.into_iter().nth(at)));
                Ok(())
            }
            Step::Member(_) | Step::Start(_) | Step::OfType(_) | Step::Where(_) => input
                .into_iter()
                .try_for_each(|item| self.stream(std::slice::from_ref(step), item, frame, out)),
        }
    }
}

/// The logic of three values: <http://hl7.org/fhirpath/N1/#boolean-logic>.
pub(super) fn three_valued(
    operator: Logic,
    left: Option<bool>,
    right: Option<bool>,
) -> Option<bool> {
    let or = |left: Option<bool>, right: Option<bool>| match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    let not = |value: Option<bool>| value.map(|value| !value);
    match operator {
        Logic::And => not(or(not(left), not(right))),
        Logic::Or => or(left, right),
        Logic::Implies => or(not(left), right),
        Logic::Xor => left.zip(right).map(|(left, right)| left != right),
    }
}
