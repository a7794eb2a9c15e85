//! Compartments (<https://hl7.org/fhir/R4/compartmentdefinition.html>).

pub(super) struct Compartments {
    names: Vec<&'static str>,
    /// Sorted by compartment and type of resource.
    rows: Vec<(&'static str, &'static str, Box<[&'static str]>)>,
}

impl Compartments {
    /// Reads `compartments.tsv`.
    pub(super) fn read(table: &'static str) -> Compartments {
        let mut rows: Vec<_> = table
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut columns = line.split('\t');
                let (name, resource) = (columns.next()?, columns.next()?);
                Some((name, resource, columns.next()?.split(' ').collect()))
            })
            .collect();
        rows.sort_unstable();
        let mut names: Vec<&str> = rows.iter().map(|(name, _, _)| *name).collect();
        names.dedup();
        Compartments { names, rows }
    }

    pub(super) fn names(&self) -> &[&'static str] {
        &self.names
    }

    pub(super) fn parameters(&self, name: &str, resource: &str) -> &[&'static str] {
        let found = self
            .rows
            .binary_search_by(|(n, r, _)| (*n, *r).cmp(&(name, resource)));
        found
            .ok()
            .and_then(|at| self.rows.get(at))
            .map_or(&[], |(_, _, parameters)| parameters)
    }
}
