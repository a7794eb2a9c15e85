//! The operations of a patch: so many at most, in their order, and each named by its place when it
//! fails.

use super::{Error, OPERATIONS_MAX};

/// Reads each of them.
pub(super) fn read_all<N, T>(
    nodes: impl Iterator<Item = N>,
    read: impl Fn(N) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let operations = nodes.enumerate().map(|(n, node)| {
        if n >= OPERATIONS_MAX {
            return Err(too_many());
        }
        read(node).map_err(|error| error.of(n))
    });
    operations.collect()
}

/// Carries out each of them, up to the first that fails.
pub(super) fn carry_out_all<T>(
    operations: &[T],
    mut carry_out: impl FnMut(&T) -> Result<(), Error>,
) -> Result<(), Error> {
    for (n, operation) in operations.iter().enumerate() {
        carry_out(operation).map_err(|error| error.of(n))?;
    }
    Ok(())
}

pub(super) fn too_many() -> Error {
    Error::costly(format!("a patch has {OPERATIONS_MAX} operations at most"))
}
