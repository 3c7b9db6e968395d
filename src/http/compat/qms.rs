//! `/QMS/Service`: the operations of the management service that scripts use to look at and change
//! CALs, on the embedded licence server.
//!
//! Programs sign in with an API token as the password of HTTP Basic. All but the first call carry a
//! service key, as QMS wants it against calls that a browser is talked into (CONFIRMED).

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::qms_answers as answers;
use super::soap::{self, Call, Fault};
use super::xml::Element;
use crate::app::App;
use crate::app::administer::AdministerError;
use crate::app::qms_service::CalsToSave;
use crate::http::extract::WholeBody;
use crate::http::failure::Failure;
use crate::store::{Actor, ApiToken, Scope, StoreError};

/// The description of this service, with a place for its address.
const DESCRIPTION: &str = include_str!("qms.wsdl");
/// What stands there in place of the address.
const ADDRESS: &str = "{address}";
/// What is asked of a caller without a token.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"QMS\", charset=\"UTF-8\"");

/// The kinds of services that QMS knows. CONFIRMED
const SERVICE_TYPES: [&str; 10] = [
    "None",
    "QlikViewManagementService",
    "QlikViewDistributionService",
    "QlikViewServer",
    "QlikViewDirectoryServiceConnector",
    "QlikViewWebServer",
    "RemoteQlikViewManagementService",
    "QlikCloudService",
    "LicenseService",
    "All",
];
/// The parts of a CAL configuration. CONFIRMED
const SCOPES: [&str; 6] = [
    "None",
    "DocumentCALs",
    "NamedCALs",
    "SessionCALs",
    "UsageCALs",
    "All",
];

/// Why a call has no answer.
enum NoAnswer {
    /// No token, or one that may not.
    Unauthorized,
    /// What was called does not fit.
    Fault(Fault),
    /// Ours, or of the connection.
    Failure(Failure),
}

impl From<Fault> for NoAnswer {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for NoAnswer {
    fn from(error: StoreError) -> Self {
        Self::Failure(error.into())
    }
}

impl From<AdministerError> for NoAnswer {
    fn from(error: AdministerError) -> Self {
        match error {
            AdministerError::Name(bad) => {
                Fault(format!("A user name cannot be used: {bad}.")).into()
            }
            error => Self::Failure(error.into()),
        }
    }
}

impl IntoResponse for NoAnswer {
    fn into_response(self) -> Response {
        match self {
            // A fault comes with 500 in SOAP 1.1.
            Self::Fault(fault) => soap::fault(StatusCode::INTERNAL_SERVER_ERROR, &fault),
            Self::Failure(failure) => failure.into_response(),
            Self::Unauthorized => {
                let fault = Fault::from(
                    "An API token of the scope qms is needed, as the password of HTTP Basic with any \
                     user name.",
                );
                let mut answer = soap::fault(StatusCode::UNAUTHORIZED, &fault);
                let headers = answer.headers_mut();
                headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
                answer
            }
        }
    }
}

/// `GET /QMS/Service`, with or without `?wsdl`: its description.
pub(super) async fn description(State(app): State<App>, headers: HeaderMap) -> Response {
    match caller(&app, &headers) {
        Ok(_) => {
            let address = format!("{}/QMS/Service", app.origin());
            let kind = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
            (kind, DESCRIPTION.replace(ADDRESS, &address)).into_response()
        }
        Err(none) => none.into_response(),
    }
}

/// `POST /QMS/Service`
pub(super) async fn call(State(app): State<App>, request: Request) -> Response {
    match answer(&app, request).await {
        Ok(answer) => answer,
        Err(none) => none.into_response(),
    }
}

async fn answer(app: &App, request: Request) -> Result<Response, NoAnswer> {
    // Nothing of the body is read before that is clear; it may be large.
    let token = caller(app, request.headers())?;
    let headers = request.headers().clone();
    let WholeBody(body) = WholeBody::from_request(request, app)
        .await
        .map_err(NoAnswer::Failure)?;
    let call = Call::read(&headers, &body)?;
    if call.0.name == "GetTimeLimitedServiceKey" {
        return Ok(answers::service_key(&app.qms_service_key(&token.id)));
    }
    check_key(app, &token, &headers)?;
    match call.0.name.as_str() {
        "Ping" => Ok(answers::nothing("Ping")),
        "GetServices" => services(app, &call),
        "GetCALConfiguration" => cal_configuration(app, &call),
        "SaveCALConfiguration" => save_cal_configuration(app, &call, &token).await,
        "GetCALInfoForUser" => user_cals(app, &call),
        "GetUserDocuments" => documents(app, &call),
        "GetLicense" => license(app, &call),
        other => Err(Fault(format!(
            "This service does not offer the operation {other}."
        ))
        .into()),
    }
}

/// The token of a caller who may call.
fn caller(app: &App, headers: &HeaderMap) -> Result<ApiToken, NoAnswer> {
    let password = basic_password(headers).ok_or(NoAnswer::Unauthorized)?;
    let token = app.token(&password)?;
    token
        .filter(|token| token.scopes.contains(&Scope::Qms))
        .ok_or(NoAnswer::Unauthorized)
}

fn basic_password(headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (_, password) = credentials.split_once(':')?;
    Some(password.to_owned())
}

fn check_key(app: &App, token: &ApiToken, headers: &HeaderMap) -> Result<(), Fault> {
    let key = headers
        .get("x-service-key")
        .and_then(|key| key.to_str().ok());
    match key.map(str::trim) {
        // These words are QMS's. CONFIRMED
        None | Some("") => Err("Service key is missing".into()),
        Some(key) if app.is_qms_service_key(&token.id, key) => Ok(()),
        Some(_) => Err("Service key is invalid or has expired: get a new one.".into()),
    }
}

fn services(app: &App, call: &Call) -> Result<Response, NoAnswer> {
    let wanted = flags(call.text("serviceTypes"), "serviceTypes", &SERVICE_TYPES)?;
    let all = wanted.contains(&"All");
    let mut services = app.qms_services().to_vec();
    services.retain(|service| all || wanted.contains(&service.kind));
    Ok(answers::services(&services))
}

fn cal_configuration(app: &App, call: &Call) -> Result<Response, NoAnswer> {
    check_server(app, call.text("qvsID"))?;
    let scope = flags(call.text("scope"), "scope", &SCOPES)?;
    let held = app.named_cals()?;
    Ok(answers::cal_configuration(app, &scope, &held))
}

async fn save_cal_configuration(
    app: &App,
    call: &Call,
    token: &ApiToken,
) -> Result<Response, NoAnswer> {
    let configuration = call.0.child("calConfiguration").filter(|given| !given.nil);
    let configuration = configuration.ok_or(Fault::from("There is no calConfiguration."))?;
    let server = configuration.child("QVSID").map(|id| id.text.trim());
    check_server(app, server)?;
    let save = cals_to_save(configuration)?;
    let refused = app.save_cals(save, Actor::token(&token.id)).await?;
    if refused.is_empty() {
        return Ok(answers::nothing("SaveCALConfiguration"));
    }
    let refused = refused.join(" ");
    Err(Fault(format!(
        "These CALs were refused, everything else was done. {refused}"
    ))
    .into())
}

/// What a configuration says of named CALs. The other kinds do not exist here.
fn cals_to_save(configuration: &Element) -> Result<CalsToSave, Fault> {
    let scope = configuration
        .child("Scope")
        .map(|scope| scope.text.as_str());
    let scope = flags(scope, "Scope", &SCOPES)?;
    let concerned = scope.is_empty() || scope.contains(&"All") || scope.contains(&"NamedCALs");
    let named = configuration.child("NamedCALs").filter(|named| !named.nil);
    let Some(named) = named.filter(|_| concerned) else {
        return Ok(CalsToSave::default());
    };
    let assigned = named.child("AssignedCALs").filter(|assigned| !assigned.nil);
    Ok(CalsToSave {
        allow_dynamic_assignment: switch(named, "AllowDynamicAssignment")?,
        allow_license_lease: switch(named, "AllowLicenseLease")?,
        assigned: assigned.map(names_of).transpose()?,
    })
}

fn names_of(assigned: &Element) -> Result<Vec<String>, Fault> {
    let cals = assigned.children_named("AssignedNamedCAL");
    let name = |cal: &Element| {
        let name = cal
            .child("UserName")
            .map(|name| name.text.trim().to_owned());
        name.ok_or(Fault::from("An AssignedNamedCAL has no UserName."))
    };
    cals.filter(|cal| !cal.nil).map(name).collect()
}

fn switch(named: &Element, name: &str) -> Result<Option<bool>, Fault> {
    match named.child(name).map(|switch| switch.text.trim()) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(Fault(format!(
            "{name} is {other:?}, neither true nor false."
        ))),
    }
}

fn user_cals(app: &App, call: &Call) -> Result<Response, NoAnswer> {
    check_server(app, call.text("qvsID"))?;
    let user = call.text("user").ok_or(Fault::from("There is no user."))?;
    Ok(answers::user_cals(app, user, &app.user_cals(user)?))
}

fn documents(app: &App, call: &Call) -> Result<Response, NoAnswer> {
    check_server(app, call.text("qvsID"))?;
    Ok(answers::documents(&app.library().snapshot()))
}

fn license(app: &App, call: &Call) -> Result<Response, NoAnswer> {
    check_server(app, call.text("serviceID"))?;
    let license = match call.text("licenseType") {
        Some("QlikViewServer") => app.license_facts()?,
        Some("Publisher") => None,
        other => {
            let other = other.unwrap_or_default();
            return Err(Fault(format!(
                "The licenseType is {other:?}, neither Publisher nor QlikViewServer."
            ))
            .into());
        }
    };
    Ok(answers::license(license.as_ref()))
}

/// The id must be that of the one server there is.
fn check_server(app: &App, id: Option<&str>) -> Result<(), Fault> {
    let id = id.unwrap_or_default();
    if id.eq_ignore_ascii_case(&app.qvs_id()) {
        return Ok(());
    }
    Err(Fault(format!(
        "There is no QlikView Server with the id {id:?} here; GetServices tells the one there is."
    )))
}

/// A list of flags; each word must be one of those that are known.
fn flags(
    text: Option<&str>,
    parameter: &str,
    known: &'static [&'static str],
) -> Result<Vec<&'static str>, Fault> {
    let words = text.unwrap_or_default().split_whitespace();
    let flag = |word: &str| {
        let found = known.iter().find(|flag| **flag == word);
        found.copied().ok_or_else(|| {
            Fault(format!(
                "{parameter} holds {word:?}, which is none of {}.",
                known.join(", ")
            ))
        })
    };
    words.map(flag).collect()
}

#[cfg(test)]
mod tests {
    use super::super::xml;
    use super::*;

    #[test]
    fn flags_are_words_and_nothing_else() {
        assert_eq!(flags(None, "scope", &SCOPES), Ok(Vec::new()));
        assert_eq!(
            flags(Some(" NamedCALs  SessionCALs "), "scope", &SCOPES),
            Ok(vec!["NamedCALs", "SessionCALs"])
        );
        // What a client sends that splits a text into its letters.
        let fault = flags(Some("N a m e d"), "scope", &SCOPES).unwrap_err();
        assert!(
            fault.0.contains("\"N\"") && fault.0.contains("NamedCALs"),
            "{}",
            fault.0
        );
    }

    #[test]
    fn a_configuration_says_what_is_to_be_saved() {
        let read = |inner: &str| {
            let text =
                format!("<c xmlns:i='http://www.w3.org/2001/XMLSchema-instance'>{inner}</c>");
            cals_to_save(&xml::parse(text.as_bytes()).unwrap())
        };
        assert_eq!(read(""), Ok(CalsToSave::default()));
        assert_eq!(read("<NamedCALs i:nil='true'/>"), Ok(CalsToSave::default()));
        let named = "<NamedCALs><AllowLicenseLease>false</AllowLicenseLease><AssignedCALs>\
             <AssignedNamedCAL><UserName>CUSTOM\\A</UserName></AssignedNamedCAL></AssignedCALs></NamedCALs>";
        let saved = CalsToSave {
            allow_dynamic_assignment: None,
            allow_license_lease: Some(false),
            assigned: Some(vec!["CUSTOM\\A".to_owned()]),
        };
        assert_eq!(read(named), Ok(saved.clone()));
        assert_eq!(read(&format!("{named}<Scope>NamedCALs</Scope>")), Ok(saved));
        let other = read(&format!("{named}<Scope>UsageCALs</Scope>"));
        assert_eq!(other, Ok(CalsToSave::default()));
        for wrong in [
            "<NamedCALs><AllowLicenseLease>maybe</AllowLicenseLease></NamedCALs>",
            "<NamedCALs><AssignedCALs><AssignedNamedCAL/></AssignedCALs></NamedCALs>",
            "<Scope>Everything</Scope>",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_password_of_basic_is_the_token() {
        let password = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            basic_password(&headers)
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(password(&basic("svc:ap_x:y")), Some("ap_x:y".to_owned()));
        assert_eq!(password(&basic(":ap_x")), Some("ap_x".to_owned()));
        assert_eq!(password(&basic("ap_x")), None);
        assert_eq!(password("Basic !"), None);
        assert_eq!(password("Bearer ap_x"), None);
        assert_eq!(basic_password(&HeaderMap::new()), None);
    }
}
