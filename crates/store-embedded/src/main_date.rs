//! Which date parameters of a kind are the main date of every record.
//!
//! References are ordered by the main date of the record. When a query wants a
//! patient's newest records by a date parameter, that order will do if the
//! parameter has always been the main date: exactly one value, beginning
//! there, or none where there is no main date. The contract does not say which
//! parameter that is, so it is observed on every put, and kept.
//!
//! Stored format 1: 1 byte format, 1 byte 0 or 1 (`Only`), then parameters in 4
//! bytes each.

use salus_store::{Error, Param};

use crate::prepare::Dates;

const FORMAT: u8 = 1;

/// What was observed so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MainDate {
    /// No record had a main date: any parameter but these may be it.
    AnyBut(Vec<Param>),
    /// Only these may be it.
    Only(Vec<Param>),
}

impl Default for MainDate {
    fn default() -> Self {
        Self::AnyBut(Vec::new())
    }
}

impl MainDate {
    /// Takes a new record into account; says whether that changed anything.
    pub(crate) fn observe(&mut self, dates: &Dates) -> bool {
        match (self, dates.has_main) {
            (Self::Only(only), true) => keep(only, |param| dates.same.contains(param)),
            (Self::Only(only), false) => keep(only, |param| !dates.other.contains(param)),
            (Self::AnyBut(but), false) => {
                let before = but.len();
                let new = dates.other.iter().filter(|param| !but.contains(param));
                let new: Vec<_> = new.copied().collect();
                but.extend(new);
                but.len() > before
            }
            (this @ Self::AnyBut(_), true) => {
                let Self::AnyBut(but) = std::mem::take(this) else {
                    return false;
                };
                let same = dates.same.iter().filter(|param| !but.contains(param));
                *this = Self::Only(same.copied().collect());
                true
            }
        }
    }

    /// Whether this parameter has always been the main date.
    pub(crate) fn is(&self, param: Param) -> bool {
        match self {
            Self::AnyBut(_) => false,
            Self::Only(only) => only.contains(&param),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (form, params) = match self {
            Self::AnyBut(params) => (0, params),
            Self::Only(params) => (1, params),
        };
        let mut bytes = vec![FORMAT, form];
        bytes.extend(params.iter().flat_map(|param| param.0.to_be_bytes()));
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let read = || {
            let ([FORMAT, form], rest) = bytes.split_first_chunk()? else {
                return None;
            };
            let (params, []) = rest.as_chunks::<4>() else {
                return None;
            };
            let params = params.iter().map(|param| Param(u32::from_be_bytes(*param)));
            match form {
                0 => Some(Self::AnyBut(params.collect())),
                1 => Some(Self::Only(params.collect())),
                _ => None,
            }
        };
        read().ok_or_else(|| Error::Damaged("the main dates of a kind".into()))
    }
}

fn keep(params: &mut Vec<Param>, wanted: impl Fn(&Param) -> bool) -> bool {
    let before = params.len();
    params.retain(wanted);
    params.len() < before
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Param = Param(1);
    const B: Param = Param(2);

    fn dates(has_main: bool, same: &[Param], other: &[Param]) -> Dates {
        Dates {
            has_main,
            same: same.into(),
            other: other.into(),
        }
    }

    #[track_caller]
    fn check(puts: &[Dates], main: &[Param]) {
        let mut observed = MainDate::default();
        for put in puts {
            observed.observe(put);
        }
        let read = MainDate::read(&observed.to_bytes()).unwrap();
        assert_eq!(read, observed);
        for param in [A, B] {
            assert_eq!(observed.is(param), main.contains(&param), "{param:?}");
        }
    }

    #[test]
    fn a_parameter_stays_the_main_date_until_a_record_differs() {
        check(&[], &[]);
        check(&[dates(true, &[A], &[B])], &[A]);
        check(&[dates(true, &[A, B], &[]), dates(true, &[A], &[])], &[A]);
        check(&[dates(true, &[A], &[]), dates(false, &[], &[B])], &[A]);
        check(&[dates(true, &[A], &[]), dates(false, &[], &[A])], &[]);
        check(&[dates(false, &[], &[A]), dates(true, &[A, B], &[])], &[B]);
        check(&[dates(true, &[A], &[]), dates(true, &[], &[])], &[]);
    }
}
