//! The route table: every request Salus answers is one row of it.
//!
//! A row also makes the entry in the CapabilityStatement, the name in logs and
//! metrics, and the cases of the coverage tests (every route against no,
//! weak and foreign credentials).

use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use http::Method;
use salus_service::audit::entry::What;

use crate::call::Call;
use crate::failure::Failure;

/// What a handler gives: an answer, or the reason why there is none.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send + 'a>>;

/// One row of the table.
pub struct Route {
    /// The method.
    pub method: Method,
    /// Where the path begins.
    pub mount: Mount,
    /// The rest of the path; `{name}` stands for one segment.
    pub path: &'static str,
    /// Its name in logs, metrics and tests; FHIR's code of the interaction where there is one.
    pub name: &'static str,
    /// Who may call it at all, before policy decides.
    pub access: Access,
    pub(crate) handler: for<'a> fn(&'a mut Call) -> Answer<'a>,
}

impl Route {
    /// The operation that it calls, with its `$`, or nothing.
    pub(crate) fn operation(&self) -> &'static str {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        if last.starts_with('$') { last } else { "" }
    }
}

/// Where a route's path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// At the root of the server.
    Root,
    /// In a project: at the root for the default one, below `/p/{project}` for any.
    Project,
    /// About a project, at the root: with `/p/{project}` behind it for any (RFC 8414, 3.1),
    /// and below that, too, where clients look as often (OpenID Connect Discovery, 4).
    WellKnown,
    /// In a project's FHIR endpoint: below `/fhir` or `/p/{project}/fhir`.
    Fhir,
}

impl Mount {
    /// The paths where a route of this mount is found.
    #[must_use]
    pub fn paths(self, path: &str) -> Vec<String> {
        match self {
            Self::Root => vec![path.to_owned()],
            Self::Project => vec![path.to_owned(), format!("/p/{{project}}{path}")],
            Self::WellKnown => vec![
                path.to_owned(),
                format!("{path}/p/{{project}}"),
                format!("/p/{{project}}{path}"),
            ],
            // Clients write the endpoint itself with a slash at its end, too.
            Self::Fhir if path.is_empty() => [below_endpoints(""), below_endpoints("/")].concat(),
            Self::Fhir => below_endpoints(path).into(),
        }
    }
}

/// Whether a route of this path, as the router has it, takes a patch.
pub(crate) fn takes_patches(path: &str) -> bool {
    let mut patched = ROUTES.iter().filter(|route| {
        let resources = route.mount == Mount::Fhir;
        resources && route.method == Method::PATCH
    });
    patched.any(|route| {
        route
            .mount
            .paths(route.path)
            .iter()
            .any(|known| known == path)
    })
}

fn below_endpoints(path: &str) -> [String; 2] {
    [format!("/fhir{path}"), format!("/p/{{project}}/fhir{path}")]
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone: health, capabilities, signing in.
    Public,
    /// Whoever brings a valid token; policy decides the rest. The audit has it
    /// as this, also when the request cannot be read and never gets to policy.
    Token(What),
}

macro_rules! routes {
    ($($method:ident $mount:ident $path:literal $name:literal $access:ident$(($what:ident))? $handler:path;)*) => {
        &[$(Route {
            method: Method::$method,
            mount: Mount::$mount,
            path: $path,
            name: $name,
            access: Access::$access$((What::$what))?,
            handler: |call| Box::pin($handler(call)),
        }),*]
    };
}

/// Every route.
pub static ROUTES: &[Route] = {
    use crate::{
        accounts, admin, alerts, audit_log, auth, break_glass, cold, disclosures, entry, factors,
        fhir, health, keyring, mail, oauth, openapi, policies, providers, retention,
    };
    routes! {
        GET    Root    "/"                              "home"              Public                  health::home;
        GET    Root    "/health/live"                   "health-live"       Public                  health::live;
        GET    Root    "/health/ready"                  "health-ready"      Public                  health::ready;
        GET    Root    "/metrics"                       "metrics"           Token(AdminRead)        health::metrics;

        GET    Root    "/audit/checkpoint"              "audit-checkpoint"  Public                  audit_log::checkpoint;
        GET    Root    "/audit/key"                     "audit-key"         Public                  audit_log::key;
        GET    Root    "/audit/export"                  "audit-export"      Token(Search)           audit_log::export;

        GET    Root    "/openapi.json"                  "openapi"           Public                  openapi::document;

        GET    Root    "/setup"                         "setup-page"        Public                  auth::setup_page;
        POST   Root    "/setup"                         "setup"             Public                  auth::setup;
        GET    WellKnown "/.well-known/oauth-authorization-server" "authorization-server" Public    oauth::authorization_server;
        GET    WellKnown "/.well-known/openid-configuration" "openid-configuration" Public          oauth::openid;
        GET    Fhir    "/.well-known/smart-configuration" "smart-configuration" Public              oauth::smart;
        GET    Project "/auth/jwks"                     "jwks"              Public                  oauth::jwks;
        POST   Project "/auth/token"                    "token"             Public                  oauth::token;
        GET    Project "/auth/style.css"                "auth-style"        Public                  oauth::style;
        GET    Project "/auth/logo"                     "auth-logo"         Public                  oauth::logo;
        GET    Project "/auth/brands"                   "brands"            Public                  oauth::brands;
        GET    Project "/auth/smart-style.json"         "smart-style"       Public                  oauth::smart_style;
        GET    Project "/auth/authorize"                "authorize"         Public                  oauth::authorize;
        POST   Project "/auth/authorize"                "authorize-post"    Public                  oauth::authorize_post;
        POST   Project "/auth/par"                      "par"               Public                  oauth::push;
        POST   Project "/auth/device_authorization"     "device-authorization" Public               oauth::begin_device;
        GET    Project "/auth/device"                   "device-page"       Public                  oauth::device_page;
        POST   Project "/auth/register"                 "register"          Public                  oauth::registration::register;
        GET    Project "/auth/register/{id}"            "register-read"     Public                  oauth::registration::read;
        PUT    Project "/auth/register/{id}"            "register-change"   Public                  oauth::registration::change;
        DELETE Project "/auth/register/{id}"            "register-delete"   Public                  oauth::registration::delete;
        GET    Project "/auth/logout"                   "logout-page"       Public                  oauth::logout_page;
        POST   Project "/auth/logout"                   "logout"            Public                  oauth::logout;
        POST   Project "/auth/logout/decision"          "logout-decision"   Public                  oauth::logout_decision;
        POST   Project "/auth/launch"                   "launch"            Token(AdminWrite)       oauth::launch;
        POST   Project "/auth/authorize/patient"        "authorize-patient" Public                  oauth::pick;
        POST   Project "/auth/authorize/sign-in"        "authorize-sign-in" Public                  oauth::sign_in;
        GET    Project "/auth/passkey.js"               "auth-script"       Public                  oauth::script;
        POST   Project "/auth/authorize/passkey"        "authorize-passkey" Public                  oauth::passkey;
        POST   Project "/auth/authorize/factor"         "authorize-factor"  Public                  oauth::factor;
        POST   Project "/auth/authorize/decision"       "authorize-decision" Public                 oauth::decide;
        POST   Project "/auth/authorize/provider"       "authorize-provider" Public                 oauth::providers::go;
        POST   Project "/auth/authorize/connect"        "authorize-connect" Public                  oauth::providers::connect;
        GET    Project "/auth/providers"                "provider-names"    Public                  providers::names;
        GET    Project "/auth/providers/begin"          "provider-page"     Public                  oauth::providers::errand;
        POST   Project "/auth/providers/begin"          "provider-begin"    Public                  oauth::providers::go_on_errand;
        GET    Project "/auth/providers/{id}/callback"  "provider-callback" Public                  oauth::providers::came_back;
        GET    Project "/auth/userinfo"                 "userinfo"          Token(AdminRead)        oauth::user_info;
        POST   Project "/auth/userinfo"                 "userinfo-post"     Token(AdminRead)        oauth::user_info;
        POST   Project "/auth/introspect"               "introspect"        Public                  oauth::introspect;
        POST   Project "/auth/revoke"                   "revoke"            Public                  oauth::revoke;
        POST   Project "/auth/sign-in"                  "sign-in"           Public                  auth::sign_in;
        POST   Project "/auth/sign-in/factor"           "sign-in-factor"    Public                  factors::finish;
        POST   Project "/auth/passkey"                  "passkey-options"   Public                  factors::passkey_options;
        POST   Project "/auth/sign-in/passkey"          "sign-in-passkey"   Public                  factors::sign_in_by_passkey;
        POST   Project "/auth/step-up/passkey"          "step-up-options"   Token(SignIn)           factors::step_up_options;
        POST   Project "/auth/step-up/provider"         "step-up-provider"  Token(SignIn)           providers::step_up;
        POST   Project "/auth/step-up"                  "step-up"           Token(SignIn)           factors::step_up;
        POST   Project "/auth/sign-out"                 "sign-out"          Token(SignIn)           auth::sign_out;
        GET    Project "/auth/sign-up"                  "sign-up-page"      Public                  entry::sign_up_page;
        POST   Project "/auth/sign-up"                  "sign-up"           Public                  entry::sign_up;
        GET    Project "/auth/join"                     "join-page"         Public                  entry::join_page;
        POST   Project "/auth/join"                     "join"              Public                  entry::join;
        GET    Project "/auth/recover"                  "recover-page"      Public                  entry::recover_page;
        POST   Project "/auth/recover"                  "recover"           Public                  entry::recover;
        GET    Project "/auth/password"                 "password-page"     Public                  entry::password_page;
        POST   Project "/auth/password"                 "password"          Public                  entry::choose_password;
        GET    Project "/auth/verify"                   "verify-page"       Public                  entry::verify_page;
        POST   Project "/auth/verify"                   "verify"            Public                  entry::verify;
        PATCH  Project "/auth/me"                       "account-change"    Token(AdminWrite)       accounts::change_account;
        POST   Project "/auth/me/delete"                "account-delete"    Token(AdminWrite)       accounts::delete_account;
        POST   Project "/auth/me/verify"                "account-verify"    Token(AdminWrite)       accounts::ask_to_verify;
        GET    Project "/auth/me"                       "account-read"      Token(AdminRead)        accounts::read_account;
        POST   Project "/auth/me/password"              "account-password"  Token(AdminWrite)       accounts::change_password;
        GET    Project "/auth/me/sessions"              "account-sessions"  Token(AdminRead)        accounts::list_own_sessions;
        DELETE Project "/auth/me/sessions"              "account-sessions-end" Token(AdminWrite)    accounts::end_other_sessions;
        DELETE Project "/auth/me/sessions/{session}"    "account-session-end" Token(AdminWrite)     accounts::end_own_session;
        POST   Project "/auth/break-glass"              "break-glass"       Token(BreakGlass)       break_glass::begin;
        GET    Project "/auth/break-glass"              "break-glass-own"   Token(AdminRead)        break_glass::list_own;
        DELETE Project "/auth/break-glass/{id}"         "break-glass-end"   Token(BreakGlass)       break_glass::end;

        GET    Project "/auth/me/apps"                  "account-apps"      Token(AdminRead)        oauth::apps::list;
        DELETE Project "/auth/me/apps/{app}"            "account-app-end"   Token(AdminWrite)       oauth::apps::end;
        GET    Project "/auth/me/providers"             "account-providers" Token(AdminRead)        providers::own;
        POST   Project "/auth/me/providers"             "account-provider-connect" Token(AdminWrite) providers::connect;
        DELETE Project "/auth/me/providers/{id}"        "account-provider-remove" Token(AdminWrite) providers::remove_own;
        GET    Project "/auth/me/factors"               "factors-list"      Token(AdminRead)        factors::list;
        POST   Project "/auth/me/factors"               "factors-enrol"     Token(AdminWrite)       factors::enrol;
        POST   Project "/auth/me/factors/{id}/confirm"  "factors-confirm"   Token(AdminWrite)       factors::confirm;
        DELETE Project "/auth/me/factors/{id}"          "factors-remove"    Token(AdminWrite)       factors::remove;
        POST   Project "/auth/me/passkeys"              "passkeys-add"      Token(AdminWrite)       factors::add_passkey;
        POST   Project "/auth/me/recovery-codes"        "recovery-codes"    Token(AdminWrite)       factors::renew_codes;

        GET    Project "/admin/users"                   "users-list"        Token(AdminRead)        accounts::list_users;
        POST   Project "/admin/users"                   "users-create"      Token(AdminWrite)       accounts::create_user;
        GET    Project "/admin/users/{id}"              "users-read"        Token(AdminRead)        accounts::read_user;
        PATCH  Project "/admin/users/{id}"              "users-change"      Token(AdminWrite)       accounts::change_user;
        DELETE Project "/admin/users/{id}"              "users-delete"      Token(AdminWrite)       accounts::delete_user;
        GET    Project "/admin/users/{id}/sessions"     "sessions-list"     Token(AdminRead)        accounts::list_sessions;
        DELETE Project "/admin/users/{id}/sessions"     "sessions-revoke"   Token(AdminWrite)       accounts::revoke_sessions;
        DELETE Project "/admin/users/{id}/sessions/{session}" "session-revoke" Token(AdminWrite)    accounts::revoke_session;
        DELETE Project "/admin/sessions"                "sessions-end-all"  Token(AdminWrite)       accounts::end_all_sessions;
        DELETE Project "/admin/users/{id}/factors"      "factors-reset"     Token(AdminWrite)       factors::reset;
        GET    Project "/admin/users/{id}/providers"    "users-providers"   Token(AdminRead)        providers::of_user;
        DELETE Project "/admin/users/{id}/providers/{key}" "users-provider-remove" Token(AdminWrite) providers::revoke;
        GET    Project "/admin/groups"                  "groups-list"       Token(AdminRead)        accounts::list_groups;
        POST   Project "/admin/groups"                  "groups-create"     Token(AdminWrite)       accounts::create_group;
        GET    Project "/admin/groups/{id}"             "groups-read"       Token(AdminRead)        accounts::read_group;
        PUT    Project "/admin/groups/{id}"             "groups-change"     Token(AdminWrite)       accounts::change_group;
        DELETE Project "/admin/groups/{id}"             "groups-delete"     Token(AdminWrite)       accounts::delete_group;
        GET    Project "/admin/invitations"             "invitations-list"  Token(AdminRead)        mail::list_invitations;
        POST   Project "/admin/invitations"             "invitations-create" Token(AdminWrite)      mail::invite;
        DELETE Project "/admin/invitations/{id}"        "invitations-delete" Token(AdminWrite)      mail::revoke_invitation;
        GET    Project "/admin/mails"                   "mails-list"        Token(AdminRead)        mail::list;
        GET    Project "/admin/mails/{id}"              "mails-read"        Token(AdminRead)        mail::read;
        PUT    Project "/admin/mails/{id}"              "mails-write"       Token(AdminWrite)       mail::write;
        DELETE Project "/admin/mails/{id}"              "mails-delete"      Token(AdminWrite)       mail::delete;
        GET    Project "/admin/identity"                "identity-read"     Token(AdminRead)        accounts::read_identity;
        PUT    Project "/admin/identity"                "identity-write"    Token(AdminWrite)       accounts::write_identity;

        GET    Project "/admin/providers"               "providers-list"    Token(AdminRead)        providers::list;
        POST   Project "/admin/providers"               "providers-create"  Token(AdminWrite)       providers::create;
        GET    Project "/admin/providers/{id}"          "providers-read"    Token(AdminRead)        providers::read;
        PUT    Project "/admin/providers/{id}"          "providers-change"  Token(AdminWrite)       providers::change;
        DELETE Project "/admin/providers/{id}"          "providers-delete"  Token(AdminWrite)       providers::delete;

        GET    Root    "/admin/projects"                "projects-list"     Token(AdminRead)        admin::list_projects;
        POST   Root    "/admin/projects"                "projects-create"   Token(AdminWrite)       admin::create_project;
        GET    Root    "/admin/keyring"                 "keyring-read"      Token(AdminRead)        keyring::read;
        POST   Root    "/admin/keyring/rotate"          "keyring-rotate"    Token(AdminWrite)       keyring::rotate;
        POST   Root    "/admin/keyring/check"           "keyring-check"     Token(AdminRead)        keyring::check;
        GET    Project "/admin/clients"                 "clients-list"      Token(AdminRead)        admin::list_clients;
        POST   Project "/admin/clients"                 "clients-create"    Token(AdminWrite)       admin::create_client;
        DELETE Project "/admin/clients/{id}"            "clients-delete"    Token(AdminWrite)       admin::delete_client;
        GET    Project "/admin/clients/{id}/keys"       "client-keys-list"  Token(AdminRead)        oauth::keys::list;
        POST   Project "/admin/clients/{id}/keys"       "client-keys-create" Token(AdminWrite)      oauth::keys::create;
        DELETE Project "/admin/clients/{id}/keys/{key}" "client-keys-delete" Token(AdminWrite)      oauth::keys::delete;
        GET    Project "/admin/registration"            "registration-read" Token(AdminRead)        oauth::registration::read_setting;
        PUT    Project "/admin/registration"            "registration-write" Token(AdminWrite)      oauth::registration::write_setting;
        GET    Project "/admin/registration/tokens"     "registration-tokens-list" Token(AdminRead) oauth::registration::list_tokens;
        POST   Project "/admin/registration/tokens"     "registration-tokens-create" Token(AdminWrite) oauth::registration::make_token;
        DELETE Project "/admin/registration/tokens/{key}" "registration-tokens-delete" Token(AdminWrite) oauth::registration::end_token;
        POST   Project "/admin/keys/rotate"             "keys-rotate"       Token(AdminWrite)       oauth::rotate_keys;
        GET    Project "/admin/reindex"                 "reindex-read"      Token(AdminRead)        admin::read_index;
        POST   Project "/admin/reindex"                 "reindex-pause"     Token(AdminWrite)       admin::pause_index;
        PUT    Project "/admin/brands"                  "brands-write"      Token(AdminWrite)       oauth::write_brands;
        GET    Project "/admin/theme"                   "theme-read"        Token(AdminRead)        oauth::read_theme;
        PUT    Project "/admin/theme"                   "theme-write"       Token(AdminWrite)       oauth::write_theme;
        GET    Project "/admin/cors"                    "cors-read"         Token(AdminRead)        admin::read_cors;
        PUT    Project "/admin/cors"                    "cors-write"        Token(AdminWrite)       admin::write_cors;
        GET    Project "/admin/policies"                "policies-list"     Token(AdminRead)        policies::list;
        GET    Project "/admin/policies/{id}"           "policies-read"     Token(AdminRead)        policies::read;
        PUT    Project "/admin/policies/{id}"           "policies-write"    Token(AdminWrite)       policies::write;
        DELETE Project "/admin/policies/{id}"           "policies-delete"   Token(AdminWrite)       policies::delete;
        GET    Project "/admin/break-glass"             "break-glass-list"  Token(AdminRead)        break_glass::list;
        POST   Project "/admin/break-glass/{id}/review" "break-glass-review" Token(AdminWrite)      break_glass::review;
        POST   Project "/admin/disclosures"             "disclosures-record" Token(Disclosure)      disclosures::record;
        GET    Project "/admin/disclosures/{id}"        "disclosures-read"  Token(AdminRead)        disclosures::account;
        POST   Project "/admin/disclosures/{id}/suspensions" "disclosures-suspend" Token(DisclosuresSuspended) disclosures::suspend;
        GET    Project "/admin/alerting"                "alerting-read"     Token(AdminRead)        alerts::read_setting;
        PUT    Project "/admin/alerting"                "alerting-write"    Token(AdminWrite)       alerts::write_setting;
        GET    Project "/admin/alerts"                  "alerts-list"       Token(AdminRead)        alerts::list;
        POST   Project "/admin/alerts/{id}/disposition" "alerts-dispose"    Token(AdminWrite)       alerts::dispose;
        GET    Project "/admin/care"                    "care-read"         Token(AdminRead)        policies::read_care;
        PUT    Project "/admin/care"                    "care-write"        Token(AdminWrite)       policies::write_care;
        GET    Project "/admin/policy-sets"             "policy-sets"       Token(AdminRead)        policies::sets;
        POST   Project "/admin/policy-questions"        "policies-ask"      Token(AdminRead)        policies::ask;
        GET    Project "/admin/history"                 "history-read"      Token(AdminRead)        admin::read_history;
        PUT    Project "/admin/history"                 "history-write"     Token(AdminWrite)       admin::write_history;
        GET    Project "/admin/retention"               "retention-read"    Token(AdminRead)        retention::read;
        PUT    Project "/admin/retention"               "retention-write"   Token(SettingChange)    retention::write;
        GET    Project "/admin/retention/report"        "retention-report"  Token(AdminRead)        retention::report;
        POST   Project "/admin/retention/dispose"       "retention-dispose" Token(Disposal)         retention::dispose;
        GET    Project "/admin/retention/disposals"     "retention-disposals" Token(AdminRead)      retention::disposals;
        GET    Project "/admin/cold"                    "cold-status"       Token(AdminRead)        cold::status;
        GET    Project "/admin/cold/records"            "cold-list"         Token(AdminRead)        cold::list;
        GET    Project "/admin/cold/records/{type}/{id}" "cold-read"        Token(AdminRead)        cold::read;
        GET    Project "/admin/cold/records/{type}/{id}/history" "cold-history" Token(HistoryInstance) cold::history;
        POST   Project "/admin/cold/move"               "cold-move"         Token(ColdMoved)        cold::move_due;
        POST   Project "/admin/cold/retrieve"           "cold-retrieve"     Token(ColdRetrieved)    cold::retrieve;
        POST   Project "/admin/cold/verify"             "cold-verify"       Token(SystemCheck)      cold::verify;
        GET    Project "/admin/holds"                   "holds-list"        Token(AdminRead)        retention::holds;
        POST   Project "/admin/holds"                   "holds-place"       Token(HoldPlaced)       retention::place;
        GET    Project "/admin/holds/{id}"              "holds-read"        Token(AdminRead)        retention::hold;
        POST   Project "/admin/holds/{id}/lift"         "holds-lift"        Token(HoldLifted)       retention::lift;
        GET    Project "/admin/shreds"                  "shreds-list"       Token(AdminRead)        retention::shreds;
        POST   Project "/admin/shreds"                  "shreds-create"     Token(Shred)            retention::shred;
        GET    Project "/admin/shreds/{id}"             "shreds-read"       Token(AdminRead)        retention::read_shred;
        GET    Project "/admin/shred-key"               "shred-key"         Token(AdminRead)        retention::shred_key;

        GET    Fhir    "/metadata"                      "capabilities"      Public                  fhir::capabilities;
        GET    Fhir    "/$versions"                     "$versions"         Public                  fhir::versions;
        POST   Fhir    ""                               "transaction"       Token(Batch)            fhir::bundle;
        GET    Fhir    ""                               "search-system"     Token(Search)           fhir::search_system;
        POST   Fhir    "/_search"                       "search-system-post" Token(Search)          fhir::search_system_post;
        GET    Fhir    "/_history"                      "history-system"    Token(HistorySystem)    fhir::history_system;
        GET    Fhir    "/{type}"                        "search-type"       Token(Search)           fhir::search;
        POST   Fhir    "/{type}/_search"                "search-type-post"  Token(Search)           fhir::search_post;
        POST   Fhir    "/{type}"                        "create"            Token(Create)           fhir::create;
        PUT    Fhir    "/{type}"                        "conditional-update" Token(Update)          fhir::conditional_update;
        PATCH  Fhir    "/{type}"                        "conditional-patch" Token(Patch)           fhir::conditional_patch;
        DELETE Fhir    "/{type}"                        "conditional-delete" Token(Delete)          fhir::conditional_delete;
        GET    Fhir    "/{type}/_history"               "history-type"      Token(HistoryType)      fhir::history_type;
        GET    Fhir    "/{type}/{id}"                   "read"              Token(Read)             fhir::read;
        PUT    Fhir    "/{type}/{id}"                   "update"            Token(Update)           fhir::update;
        PATCH  Fhir    "/{type}/{id}"                   "patch"             Token(Patch)            fhir::patch;
        DELETE Fhir    "/{type}/{id}"                   "delete"            Token(Delete)           fhir::delete;
        GET    Fhir    "/{type}/{id}/{member}"          "search-compartment" Token(Search)          fhir::search_compartment;
        POST   Fhir    "/{type}/{id}/{member}/_search"  "search-compartment-post" Token(Search)     fhir::search_compartment_post;
        GET    Fhir    "/{type}/{id}/_history"          "history-instance"  Token(HistoryInstance)  fhir::history_instance;
        GET    Fhir    "/{type}/{id}/_history/{vid}"    "vread"             Token(Vread)            fhir::vread;

        GET    Fhir    "/{type}/$everything"            "$everything-type"  Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/$everything"            "$everything-type-post" Token(Operation)    fhir::operation_post;
        GET    Fhir    "/{type}/{id}/$everything"       "$everything"       Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/{id}/$everything"       "$everything-post"  Token(Operation)        fhir::operation_post;
        GET    Fhir    "/{type}/{id}/$diff"             "$diff"             Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/{id}/$diff"             "$diff-post"        Token(Operation)        fhir::operation_post;
        GET    Fhir    "/$meta"                         "$meta-system"      Token(Operation)        fhir::operation;
        POST   Fhir    "/$meta"                         "$meta-system-post" Token(Operation)        fhir::operation_post;
        GET    Fhir    "/{type}/$meta"                  "$meta-type"        Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/$meta"                  "$meta-type-post"   Token(Operation)        fhir::operation_post;
        GET    Fhir    "/{type}/{id}/$meta"             "$meta"             Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/{id}/$meta"             "$meta-post"        Token(Operation)        fhir::operation_post;
        POST   Fhir    "/{type}/{id}/$meta-add"         "$meta-add"         Token(Operation)        fhir::operation_post;
        POST   Fhir    "/{type}/{id}/$meta-delete"      "$meta-delete"      Token(Operation)        fhir::operation_post;
        POST   Fhir    "/{type}/$validate"              "$validate-type"    Token(Operation)        fhir::operation_post;
        GET    Fhir    "/{type}/{id}/$validate"         "$validate"         Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/{id}/$validate"         "$validate-post"    Token(Operation)        fhir::operation_post;
        GET    Fhir    "/{type}/$lastn"                  "$lastn"            Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/$lastn"                  "$lastn-post"       Token(Operation)        fhir::operation_post;
        GET    Fhir    "/{type}/$stats"                  "$stats"            Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/$stats"                  "$stats-post"       Token(Operation)        fhir::operation_post;
        GET    Fhir    "/{type}/$document"               "$document-type"     Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/$document"               "$document-type-post" Token(Operation)      fhir::operation_post;
        GET    Fhir    "/{type}/{id}/$document"          "$document"         Token(Operation)        fhir::operation;
        POST   Fhir    "/{type}/{id}/$document"          "$document-post"    Token(Operation)        fhir::operation_post;
        POST   Fhir    "/{type}/$match"                  "$match"            Token(Operation)        fhir::operation_post;
        POST   Fhir    "/{type}/$merge"                  "$merge"            Token(Operation)        fhir::operation_post;
        POST   Fhir    "/{type}/$merge-undo"             "$merge-undo"       Token(Operation)        fhir::operation_post;
        POST   Fhir    "/$purge-history"                 "$purge-history-system" Token(Operation)    fhir::operation_post;
        POST   Fhir    "/{type}/$purge-history"          "$purge-history-type" Token(Operation)      fhir::operation_post;
        POST   Fhir    "/{type}/{id}/$purge-history"     "$purge-history"    Token(Operation)        fhir::operation_post;
        POST   Fhir    "/$reindex"                       "$reindex"          Token(Operation)        fhir::operation_post;
        GET    Fhir    "/$export"                        "$export"           Token(Operation)        fhir::export;
        POST   Fhir    "/$export"                        "$export-post"      Token(Operation)        fhir::export_post;
        GET    Fhir    "/{type}/$export"                 "$export-type"      Token(Operation)        fhir::export;
        POST   Fhir    "/{type}/$export"                 "$export-type-post" Token(Operation)        fhir::export_post;
        GET    Fhir    "/{type}/{id}/$export"            "$export-group"     Token(Operation)        fhir::export;
        POST   Fhir    "/{type}/{id}/$export"            "$export-group-post" Token(Operation)       fhir::export_post;
        POST   Fhir    "/$import"                        "$import"           Token(Operation)        fhir::import;
        GET    Fhir    "/$job/{id}"                      "job"               Token(Operation)        fhir::job;
        DELETE Fhir    "/$job/{id}"                      "job-cancel"        Token(Operation)        fhir::cancel_job;
        GET    Fhir    "/$job/{id}/{file}"               "job-file"          Token(Operation)        fhir::job_file;
        POST   Fhir    "/$process-message"               "$process-message"  Token(Operation)        fhir::operation_post;
    }
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The routes between backquotes in the table of a section of SECURITY.md.
    fn documented() -> BTreeSet<String> {
        let page = include_str!("../../../SECURITY.md");
        let (_, section) = page.split_once("## Public routes").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with('|'));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        names.map(str::to_owned).collect()
    }

    #[test]
    fn the_public_routes_are_those_that_are_documented() {
        let public = ROUTES.iter().filter(|route| route.access == Access::Public);
        let public: BTreeSet<String> = public
            .map(|route| match route.mount {
                Mount::Fhir => format!("{} …/fhir{}", route.method, route.path),
                Mount::Root | Mount::Project | Mount::WellKnown => {
                    format!("{} {}", route.method, route.path)
                }
            })
            .collect();
        assert_eq!(public, documented());
    }
}
