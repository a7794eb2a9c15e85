//! Every closed route against people who are in the wrong role or the wrong project: more
//! columns of the matrix in `routes.rs`.

use std::collections::BTreeMap;

use salus_api::route::Route;
use serde_json::json;

use crate::host::project;
use crate::routes::{
    check_audited, check_shows_nothing, check_untouched, closed, furnished, request,
};
use crate::wire::Request;

/// What users who are no administrators may, without any policy.
fn is_own(route: &Route) -> bool {
    route.path.starts_with("/auth/me")
        || matches!(
            route.name,
            "sign-out"
                | "userinfo"
                | "userinfo-post"
                | "step-up"
                | "step-up-options"
                | "step-up-provider"
                | "break-glass-own"
                | "break-glass-end"
        )
}

#[test]
fn a_user_without_a_policy_may_care_for_their_own_account_and_no_more() {
    let project = furnished("routes-user");
    let path = format!("/p/{}/admin/users", project.slug);
    let password = "a quiet green bicycle";
    let user = json!({"email": "u@example.org", "password": password});
    project.server.admin("POST", &path, &user).expect(201);
    let signed_in = Request::new("POST", &format!("/p/{}/auth/sign-in", project.slug));
    let token = project
        .send(signed_in.body(user.to_string()))
        .expect(200)
        .json();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let (mut requests, mut others_than_said) = (BTreeMap::new(), Vec::new());
    // Signing out comes last: the others need the token.
    let (last, others): (Vec<_>, Vec<_>) = closed().partition(|route| route.name == "sign-out");
    for route in others.into_iter().chain(last) {
        let request = request(&project, route).header("Authorization", bearer.clone());
        let answer = project.send(request);
        assert_ne!(answer.status, 401, "{}: {}", route.name, answer.body);
        if is_own(route) != (answer.status != 403) {
            others_than_said.push((route.name, answer.status));
        }
        if !is_own(route) {
            check_shows_nothing(&answer, route);
        }
        requests.insert(
            answer.header("x-request-id").unwrap().to_owned(),
            route.name,
        );
    }
    assert!(others_than_said.is_empty(), "{others_than_said:?}");
    check_untouched(&project);
    check_audited(&project, requests);
}

#[test]
fn no_route_answers_an_administrator_of_another_project() {
    let (project, other) = (furnished("routes-visited"), project("routes-visitor"));
    let path = format!("/p/{}/admin/users", other.slug);
    let user = json!({"email": "a@example.org", "password": "a quiet green bicycle",
        "administers": [other.slug]});
    other.server.admin("POST", &path, &user).expect(201);
    let signed_in = Request::new("POST", &format!("/p/{}/auth/sign-in", other.slug));
    let user = json!({"email": "a@example.org", "password": "a quiet green bicycle"});
    let token = other
        .send(signed_in.body(user.to_string()))
        .expect(200)
        .json();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let mut requests = BTreeMap::new();
    for route in closed() {
        let request = request(&project, route).header("Authorization", bearer.clone());
        let answer = project.send(request);
        assert_eq!(answer.status, 403, "{}: {}", route.name, answer.body);
        check_shows_nothing(&answer, route);
        requests.insert(
            answer.header("x-request-id").unwrap().to_owned(),
            route.name,
        );
    }
    // At home it is right.
    let home = Request::new("GET", &path).header("Authorization", bearer);
    other.send(home).expect(200);
    check_untouched(&project);
    check_audited(&project, requests);
}
