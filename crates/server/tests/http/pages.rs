//! The pages in a real browser: Debian's Chromium, driven by the npm package playwright-core, with a
//! virtual authenticator for passkeys, and held against WCAG 2.1 A and AA by axe-core.
//!
//! Skipped, with a message, where the packages, Node or Chromium are absent. With `SALUS_PICTURES` in the
//! environment, pictures of all pages are left in that folder.

use std::path::Path;

use serde_json::{Value, json};

use crate::clients::{check, skipped};
use crate::oauth_users::{BACK, CHALLENGE, PASSWORD, Place, place_with};
use crate::postbox::Postbox;
use crate::wire::Request;

/// Where Debian has it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// A PNG of one blue square.
const SQUARE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfz0AEYBxVSF8FAAhKDveksOjmAAAAAElFTkSuQmCC";

/// A place where people sign up, with users who have a password.
fn open_place(postbox: &Postbox) -> Place {
    let mail = postbox.place();
    let place = place_with(&["--mail", &mail, "--mail-from", "salus@example.org"]);
    let admin = |method: &str, path: &str, body: Value| {
        place.project.server.admin(method, path, &body);
    };
    admin("PUT", "/admin/identity", json!({"sign_up": "open"}));
    for name in ["ada", "ben"] {
        let email = format!("{name}@example.org");
        let user = json!({"email": email, "name": name, "password": PASSWORD});
        admin("POST", "/admin/users", user);
    }
    place
}

/// Asks for a link: the path that the mail leads to.
fn link(place: &Place, postbox: &Postbox, path: &str, email: &str) -> String {
    let body = json!({"email": email}).to_string();
    let asked = Request::new("POST", path).body(body);
    place.project.send(asked).expect(200);
    postbox.next().link()
}

#[test]
fn people_sign_in_with_a_real_browser() {
    if !Path::new(CHROMIUM).exists() {
        return skipped("there is no Chromium");
    }
    let postbox = Postbox::new();
    let place = open_place(&postbox);
    let server = &place.project.server;
    server
        .admin("POST", "/auth/me/verify", &json!({}))
        .expect(200);
    let verify = postbox.next().link();
    let about = json!({
        "chromium": CHROMIUM,
        // Passkeys need a name, and this one browsers trust without TLS.
        "origin": format!("http://localhost:{}", server.address().port()),
        "client": "app", "back": BACK, "challenge": CHALLENGE, "password": PASSWORD,
        "token": server.token(),
        "logo": {"type": "image/png", "data": SQUARE},
        "links": {
            "verify": verify,
            "join": link(&place, &postbox, "/auth/sign-up", "eve@example.org"),
            "password": link(&place, &postbox, "/auth/recover", "ada@example.org"),
        },
    });
    check("pages.mjs", &[&about.to_string()], "the pages are good");
}
