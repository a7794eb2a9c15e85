//! The guard of protected health information: what may hold some of it tells only its type's name
//! where code prints it, in a log, an error or a panic.
//!
//! Nothing is wrapped, copied or allocated: a guarded type is what it was, but for its `Debug`. A
//! type that is made of guarded ones may derive `Debug`. `cargo xtask tidy phi` finds a type that
//! derives it over a text of its own (docs/adr/0055).

/// Gives types a `Debug` that tells their names only, and does not compile for one that has a
/// `Display`. `tracing` takes no value of a type of ours but by one of the two.
///
/// ```
/// struct Name<'a>(&'a str);
/// salus_phi::guard!(Name<'_>);
/// assert_eq!(format!("{:?}", Name("Ada")), "Name<'_> [phi]");
/// ```
///
/// A value that can print itself is refused:
///
/// ```compile_fail
/// struct Name(String);
/// impl std::fmt::Display for Name {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str(&self.0)
///     }
/// }
/// salus_phi::guard!(Name);
/// ```
///
/// Nor does it go into a message:
///
/// ```compile_fail
/// struct Name(String);
/// salus_phi::guard!(Name);
/// let message = format!("there is no {}", Name("Ada".to_owned()));
/// ```
#[macro_export]
macro_rules! guard {
    ($($guarded:ty),+ $(,)?) => {$(
        $crate::guard_debug!($guarded);
        // Of a type with `Display` both apply, so that the compiler cannot tell which is meant.
        const _: fn() = || {
            trait NoDisplay<Of> {
                fn check() {}
            }
            impl<T: ?Sized> NoDisplay<()> for T {}
            struct HasDisplay;
            impl<T: ?Sized + ::std::fmt::Display> NoDisplay<HasDisplay> for T {}
            let _ = <$guarded as NoDisplay<_>>::check;
        };
    )+};
}

/// The same for types whose `Display` is a form that answers have: a date, a number, what is wrong
/// with a request. The names of fields in logs are what keeps these out of them.
///
/// ```
/// struct Day(u8);
/// salus_phi::guard_debug!(Day);
/// assert_eq!(format!("{:?}", Some(Day(7))), "Some(Day [phi])");
/// ```
#[macro_export]
macro_rules! guard_debug {
    ($($guarded:ty),+ $(,)?) => {$(
        impl ::std::fmt::Debug for $guarded {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(::std::concat!(::std::stringify!($guarded), " [phi]"))
            }
        }
    )+};
}
