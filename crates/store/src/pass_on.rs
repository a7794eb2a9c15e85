//! What a store that is laid around another does not do itself: for tests and measurements, in
//! which one thing goes otherwise.

/// In an `impl Store`: methods that a store in a field answers, as
/// `pass_on!(inner: changes, ready, check)`.
#[macro_export]
macro_rules! pass_on {
    ($inner:ident: $($method:ident),+ $(,)?) => {
        $($crate::pass_on!(@ $method $inner);)+
    };
    (@ snapshot $inner:ident) => {
        fn snapshot(
            &self,
            scope: $crate::Scope,
            at: $crate::At,
        ) -> $crate::Reply<'_, ::std::boxed::Box<dyn $crate::Snapshot>> {
            self.$inner.snapshot(scope, at)
        }
    };
    (@ changes $inner:ident) => {
        fn changes(
            &self,
            after: $crate::Seq,
            limit: usize,
        ) -> $crate::Reply<'_, ::std::vec::Vec<$crate::Change>> {
            self.$inner.changes(after, limit)
        }
    };
    (@ sealed $inner:ident) => {
        fn sealed<'a>(
            &'a self,
            scope: $crate::Scope,
            patient: &'a str,
            after: $crate::Seq,
            limit: usize,
        ) -> $crate::Reply<'a, $crate::SealedVersions> {
            self.$inner.sealed(scope, patient, after, limit)
        }
    };
    (@ forget $inner:ident) => {
        fn forget(&self) -> $crate::Reply<'_, ()> {
            self.$inner.forget()
        }
    };
    (@ audit_tree $inner:ident) => {
        fn audit_tree(&self) -> &dyn $crate::AuditTree {
            self.$inner.audit_tree()
        }
    };
    (@ ready $inner:ident) => {
        fn ready(&self) -> $crate::Reply<'_, ()> {
            self.$inner.ready()
        }
    };
    (@ check $inner:ident) => {
        fn check(&self) -> $crate::Reply<'_, ::std::vec::Vec<::std::string::String>> {
            self.$inner.check()
        }
    };
    (@ disk_bytes $inner:ident) => {
        fn disk_bytes(&self) -> u64 {
            self.$inner.disk_bytes()
        }
    };
    (@ close $inner:ident) => {
        fn close(&self) -> $crate::Reply<'_, ()> {
            self.$inner.close()
        }
    };
}
