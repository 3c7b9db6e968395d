//! What the management service answers, element by element in the order of its schemas: clients
//! drop or refuse what stands out of order.

use axum::response::Response;

use super::soap;
use super::xml::Writer;
use crate::app::App;
use crate::app::qms_service::{LicenseFacts, NamedCals, ServiceFacts, UserCals, guid};
use crate::documents::{Document, Snapshot};
use crate::domain::cal::{CalState, NamedCal};
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::store::CalRow;

/// The namespace of CALs. CONFIRMED
const CALS: &str = "http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects.CALs";
/// The namespace of services, documents and licences. CONFIRMED
const OBJECTS: &str = "http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects";
/// What QMS writes for "never". CONFIRMED
const NEVER: &str = "0001-01-01T00:00:00";
/// An element that stands for nothing.
const NIL: [(&str, &str); 1] = [("i:nil", "true")];

/// The answer of an operation that gives nothing.
pub(super) fn nothing(operation: &str) -> Response {
    soap::answer(operation, |_| ())
}

/// `GetTimeLimitedServiceKey`
pub(super) fn service_key(key: &str) -> Response {
    soap::answer("GetTimeLimitedServiceKey", |xml| {
        xml.text("GetTimeLimitedServiceKeyResult", key);
    })
}

/// `GetServices`
pub(super) fn services(services: &[ServiceFacts]) -> Response {
    soap::answer("GetServices", |xml| {
        xml.open("GetServicesResult", &[("xmlns:a", OBJECTS)]);
        for service in services {
            xml.open("a:ServiceInfo", &[])
                .text("a:Address", &service.address)
                .text("a:ClusterNodeCount", "1")
                .text("a:ID", &service.id)
                .text("a:Name", service.name)
                .text("a:Type", service.kind)
                .close("a:ServiceInfo");
        }
        xml.close("GetServicesResult");
    })
}

/// `GetCALConfiguration`: the parts in the scope; the others stand for nothing.
pub(super) fn cal_configuration(app: &App, scope: &[&str], cals: &NamedCals) -> Response {
    let holds = |part: &str| scope.contains(&"All") || scope.contains(&part);
    let written = if scope.is_empty() {
        "None".to_owned()
    } else {
        scope.join(" ")
    };
    soap::answer("GetCALConfiguration", |xml| {
        xml.open("GetCALConfigurationResult", &[("xmlns:a", CALS)]);
        if holds("DocumentCALs") {
            xml.open("a:DocumentCALs", &[])
                .text("a:Assigned", "0")
                .text("a:InLicense", "0")
                .text("a:Limit", "0")
                .close("a:DocumentCALs");
        } else {
            xml.empty("a:DocumentCALs", &NIL);
        }
        if holds("NamedCALs") {
            named_cals(xml, app, cals);
        } else {
            xml.empty("a:NamedCALs", &NIL);
        }
        xml.text("a:QVSID", &app.qvs_id()).text("a:Scope", &written);
        shared_cals(xml, "a:SessionCALs", holds("SessionCALs"));
        xml.text("a:Uncapped", "false");
        shared_cals(xml, "a:UsageCALs", holds("UsageCALs"));
        xml.close("GetCALConfigurationResult");
    })
}

fn named_cals(xml: &mut Writer, app: &App, cals: &NamedCals) {
    let yes = |on: bool| if on { "true" } else { "false" };
    let held = cals.held.to_string();
    xml.open("a:NamedCALs", &[])
        .text(
            "a:AllowDynamicAssignment",
            yes(cals.allow_dynamic_assignment),
        )
        .text("a:AllowDynamicAssignmentAnalyzer", "false")
        .text("a:AllowDynamicAssignmentProfessional", "false")
        .text("a:AllowLicenseLease", yes(cals.allow_license_lease))
        .text("a:Assigned", &cals.assigned.len().to_string());
    assigned_cals(xml, "a:AssignedCALs", app, &cals.assigned);
    xml.text("a:IdentificationMode", "UserName")
        .text("a:InLicense", &held)
        .open("a:LeasedCALs", &[]);
    for row in &cals.leased {
        leased_cal(xml, app, &row.lease, &row.user);
    }
    xml.close("a:LeasedCALs").text("a:Limit", &held);
    assigned_cals(xml, "a:RemovedAssignedCALs", app, &cals.quarantined);
    xml.close("a:NamedCALs");
}

fn assigned_cals(xml: &mut Writer, name: &str, app: &App, rows: &[CalRow]) {
    xml.open(name, &[]);
    for row in rows {
        assigned_cal(xml, "a:AssignedNamedCAL", app, row);
    }
    xml.close(name);
}

fn assigned_cal(xml: &mut Writer, name: &str, app: &App, row: &CalRow) {
    xml.open(name, &[])
        .text("a:LastUsed", &instant(row.cal.last_used_at))
        .empty("a:MachineID", &NIL)
        .text("a:QuarantinedUntil", &instant(quarantine_end(&row.cal)))
        .text("a:UserName", &app.outside_name(&row.user))
        .close(name);
}

fn leased_cal(xml: &mut Writer, app: &App, lease: &Lease, user: &str) {
    xml.open("a:LeasedNamedCAL", &[])
        .text("a:LastUsed", &instant(Some(lease.renewed_at)))
        .text("a:MachineID", lease.workstation.id.as_str())
        .text("a:QuarantinedUntil", NEVER)
        .text("a:UserName", &app.outside_name(user))
        .text("a:LeasedAt", &instant(Some(lease.granted_at)))
        .close("a:LeasedNamedCAL");
}

/// CALs of a kind that does not exist here.
fn shared_cals(xml: &mut Writer, name: &str, wanted: bool) {
    if !wanted {
        xml.empty(name, &NIL);
        return;
    }
    xml.open(name, &[])
        .empty("a:AssignedCALs", &[])
        .text("a:Available", "0")
        .text("a:InLicense", "0")
        .text("a:Limit", "0")
        .close(name);
}

/// `GetCALInfoForUser`
pub(super) fn user_cals(app: &App, user: &str, cals: &UserCals) -> Response {
    let user = app
        .user_name(user)
        .map_or_else(|_| user.to_owned(), |name| name.folded().to_owned());
    soap::answer("GetCALInfoForUser", |xml| {
        xml.open("GetCALInfoForUserResult", &[("xmlns:a", CALS)])
            .empty("a:AssignedSessionCALs", &[])
            .empty("a:AssignedUsageCALs", &[])
            .empty("a:DocumentCALs", &[])
            .open("a:LeasedNamedCALs", &[]);
        for lease in &cals.leased {
            leased_cal(xml, app, lease, &user);
        }
        xml.close("a:LeasedNamedCALs");
        match &cals.named {
            Some(row) => assigned_cal(xml, "a:NamedCAL", app, row),
            None => drop(xml.empty("a:NamedCAL", &NIL)),
        }
        xml.close("GetCALInfoForUserResult");
    })
}

/// `GetUserDocuments`: every document, whoever may see it.
pub(super) fn documents(snapshot: &Snapshot) -> Response {
    soap::answer("GetUserDocuments", |xml| {
        xml.open("GetUserDocumentsResult", &[("xmlns:a", OBJECTS)]);
        for document in snapshot.documents() {
            document_node(xml, document);
        }
        xml.close("GetUserDocumentsResult");
    })
}

fn document_node(xml: &mut Writer, document: &Document) {
    let parts = document.name.rsplit_once('/');
    let (folder, file) = parts.unwrap_or(("", &document.name));
    xml.open("a:DocumentNode", &[])
        .text("a:FolderID", &guid("folder", ""))
        .text("a:ID", &guid("document", document.id.as_str()))
        .text("a:IsDuplicateQVWApp", "false")
        .text("a:IsOrphan", "false")
        .text("a:IsSubFolder", "false")
        .text("a:Name", file)
        .text("a:RelativePath", folder)
        .text("a:TaskCount", "0")
        .text("a:Type", "User")
        .close("a:DocumentNode");
}

/// `GetLicense`; nothing where none is loaded.
pub(super) fn license(license: Option<&LicenseFacts>) -> Response {
    soap::answer("GetLicense", |xml| {
        let Some(license) = license else {
            xml.empty("GetLicenseResult", &NIL);
            return;
        };
        xml.open("GetLicenseResult", &[("xmlns:a", OBJECTS)])
            .empty("a:Control", &NIL)
            .empty("a:Corporation", &NIL)
            .open("a:Features", &[]);
        for (name, value) in &license.features {
            xml.open("a:LicenseFeature", &[])
                .text("a:Name", name)
                .text("a:Value", value)
                .close("a:LicenseFeature");
        }
        let in_force = if license.in_force { "true" } else { "false" };
        xml.close("a:Features")
            .text("a:LEFFile", &license.lef)
            .text("a:LEFOk", in_force)
            .empty("a:LicenseDefinition", &NIL)
            .text("a:LicenseType", "QlikViewServer")
            .empty("a:Name", &NIL)
            .empty("a:NxLicenseFeatures", &NIL);
        match &license.serial {
            Some(serial) => xml.text("a:Serial", serial),
            None => xml.empty("a:Serial", &NIL),
        };
        xml.empty("a:SignedKey", &NIL)
            .text("a:UseSignedKey", "false")
            .close("GetLicenseResult");
    })
}

fn quarantine_end(cal: &NamedCal) -> Option<Timestamp> {
    match cal.state {
        CalState::Quarantined { until, .. } => Some(until),
        CalState::Assigned => None,
    }
}

fn instant(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}
