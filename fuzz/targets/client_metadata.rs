//! What a client says of itself when it registers: nothing gets past the setting of the
//! project, and what is taken is what an administrator could have registered.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_auth::Scopes;
use salus_auth::metadata::Metadata;
use salus_auth::record::{Client, DynamicRegistration};

fuzz_target!(|body: &[u8]| {
    let most = DynamicRegistration::default();
    let Ok(metadata) = Metadata::read(body, &most) else {
        return;
    };
    let registration = metadata.registration;
    let given = registration.scopes.intersect(&most.scopes);
    assert_eq!(
        Scopes::parse(&given.text()).expect("scopes are read again"),
        registration.scopes,
        "no more than the project lets clients have"
    );
    let mut grants = registration.grants.iter();
    assert!(grants.all(|grant| most.grant_types.contains(grant)));
    assert!(!registration.name.trim().is_empty() && registration.name.chars().count() <= 60);
    let client = Client::registered("app", registration, None, 0);
    let mut client = client.expect("an administrator could have registered it");
    for uri in client.value.redirects.clone() {
        assert!(client.value.leads_to(&uri));
    }
    let put = client.put().expect("it can be stored");
    client.version = 1;
    assert!(put.rows.is_empty(), "it has not registered itself yet");
});
