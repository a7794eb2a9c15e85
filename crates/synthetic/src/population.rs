//! A population: patients one by one, and the directory they share.

use jiff::civil::Date;

use crate::chart::Form;
use crate::{directory, life};

/// A seeded population. Making it costs nothing; each life is generated when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    seed: u64,
    size: usize,
    today: Date,
    history_years: i64,
    form: Form,
}

/// One patient's resources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life {
    /// The patient's place in the population, from 0.
    pub index: usize,
    /// The id of the Patient resource.
    pub patient: String,
    /// JSON in the population's [`Form`].
    pub text: String,
    /// How many resources `text` holds.
    pub resources: usize,
}

impl Population {
    /// `today` is the day the records end; nothing lies after it.
    pub fn new(seed: u64, size: usize, today: Date) -> Population {
        Population {
            seed,
            size,
            today,
            history_years: 7,
            form: Form::default(),
        }
    }

    /// Records reach so many years back (7 unless said otherwise, 100 at most), or to birth.
    #[must_use]
    pub fn history_years(self, years: u8) -> Population {
        Population {
            history_years: i64::from(years.clamp(1, 100)),
            ..self
        }
    }

    /// Writes lives in this form instead of transaction bundles.
    #[must_use]
    pub fn form(self, form: Form) -> Population {
        Population { form, ..self }
    }

    /// How many patients there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The organizations, locations and practitioners that lives refer to: load this first. It
    /// is the same for every seed.
    pub fn directory(&self) -> (String, usize) {
        directory::write(self.form)
    }

    /// Patient `index`, who is the same in populations of any size.
    pub fn life(&self, index: usize) -> Life {
        let number = index as u64;
        let (patient, text, resources) =
            life::write(self.seed, number, self.today, self.history_years, self.form);
        Life {
            index,
            patient: patient.text(),
            text,
            resources,
        }
    }

    /// All patients, one by one.
    pub fn lives(&self) -> impl Iterator<Item = Life> + '_ {
        (0..self.size).map(|index| self.life(index))
    }
}
