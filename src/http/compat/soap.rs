//! SOAP 1.1 as the management service of `QlikView` speaks it: calls are read, answers and faults
//! written.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::xml::{self, Element, Writer};

/// The namespace of SOAP 1.1.
const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// The namespace of the contract `IQMS`. CONFIRMED
pub(super) const QMS: &str = "http://ws.qliktech.com/QMS/11/";
/// The namespace of the fault's detail. CONFIRMED
const SYSTEM: &str = "http://schemas.datacontract.org/2004/07/System";
/// The namespace of `nil`.
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// The media type of answers.
const XML: &str = "text/xml; charset=utf-8";

/// Why a call was not done, as a sentence for whoever wrote the program that called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(pub(super) String);

impl From<&str> for Fault {
    fn from(sentence: &str) -> Self {
        Self(sentence.to_owned())
    }
}

/// A call: the element in the body. Its name is the operation's, its children are the parameters.
pub(super) struct Call(pub(super) Element);

impl Call {
    /// Reads an envelope. Headers, such as those of WS-Addressing, say nothing that is needed.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Fault> {
        let envelope =
            xml::parse(body).map_err(|bad| Fault(format!("The call is not SOAP: {bad}.")))?;
        if envelope.name != "Envelope" || envelope.namespace != ENVELOPE {
            return Err("The call is not in an envelope of SOAP 1.1.".into());
        }
        let bodies = envelope.children.into_iter();
        let mut bodies = bodies.filter(|part| part.name == "Body" && part.namespace == ENVELOPE);
        let (Some(body), None) = (bodies.next(), bodies.next()) else {
            return Err("The envelope does not hold one Body.".into());
        };
        let Ok([operation]) = <[Element; 1]>::try_from(body.children) else {
            return Err("The Body does not hold one operation.".into());
        };
        if operation.namespace != QMS {
            return Err(Fault(format!(
                "The operation {} is not of the contract IQMS with the namespace {QMS}, the one that \
                 this service offers.",
                operation.name
            )));
        }
        check_action(headers, &operation.name)?;
        Ok(Self(operation))
    }

    /// The text of a parameter; none where it is absent or stands for nothing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let parameter = self.0.child(name).filter(|parameter| !parameter.nil)?;
        Some(parameter.text.trim())
    }
}

/// The action that the headers name, where they do, must be that of the operation.
fn check_action(headers: &HeaderMap, operation: &str) -> Result<(), Fault> {
    let action = headers
        .get("soapaction")
        .and_then(|value| value.to_str().ok());
    let action = action.unwrap_or_default().trim().trim_matches('"');
    if action.is_empty() || action == format!("{QMS}IQMS/{operation}") {
        return Ok(());
    }
    Err(Fault(format!(
        "The SOAPAction {action} is not that of the operation {operation}."
    )))
}

/// The answer of an operation: `write` writes what stands in it, with the prefix `i` for `nil`.
pub(super) fn answer(operation: &str, write: impl FnOnce(&mut Writer)) -> Response {
    let name = format!("{operation}Response");
    let mut xml = envelope();
    xml.open(&name, &[("xmlns", QMS), ("xmlns:i", INSTANCE)]);
    write(&mut xml);
    xml.close(&name);
    finished(StatusCode::OK, xml)
}

/// A fault with the detail that the contract declares.
pub(super) fn fault(status: StatusCode, fault: &Fault) -> Response {
    let mut xml = envelope();
    xml.open("s:Fault", &[])
        .text("faultcode", "s:Client")
        .text("faultstring", &fault.0)
        .open("detail", &[])
        .open("Exception", &[("xmlns", SYSTEM)])
        .open("ClassName", &[("xmlns", "")])
        .close("ClassName")
        .open("Message", &[("xmlns", "")])
        .content(&fault.0)
        .close("Message")
        .close("Exception")
        .close("detail")
        .close("s:Fault");
    finished(status, xml)
}

fn envelope() -> Writer {
    let mut xml = Writer::default();
    xml.open("s:Envelope", &[("xmlns:s", ENVELOPE)])
        .open("s:Body", &[]);
    xml
}

fn finished(status: StatusCode, mut xml: Writer) -> Response {
    xml.close("s:Body").close("s:Envelope");
    (status, [(header::CONTENT_TYPE, XML)], xml.finish()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(envelope: &str, action: &str) -> Result<Call, Fault> {
        let mut headers = HeaderMap::new();
        if !action.is_empty() {
            headers.insert("soapaction", action.parse().unwrap());
        }
        Call::read(&headers, envelope.as_bytes())
    }

    fn enveloped(body: &str) -> String {
        format!(
            "<?xml version='1.0'?><e:Envelope xmlns:e='{ENVELOPE}'><e:Header>\
             <a:Action xmlns:a='http://www.w3.org/2005/08/addressing' e:mustUnderstand='1'>x</a:Action>\
             </e:Header><e:Body>{body}</e:Body></e:Envelope>"
        )
    }

    #[test]
    fn a_call_is_read_from_its_envelope() {
        let body = format!(
            "<q:GetLicense xmlns:q='{QMS}'><q:licenseType> QlikViewServer </q:licenseType></q:GetLicense>"
        );
        for action in [
            "",
            "\"\"",
            "\"http://ws.qliktech.com/QMS/11/IQMS/GetLicense\"",
            "http://ws.qliktech.com/QMS/11/IQMS/GetLicense",
        ] {
            let call = read(&enveloped(&body), action).unwrap_or_else(|fault| panic!("{fault:?}"));
            assert_eq!(call.0.name, "GetLicense");
            assert_eq!(call.text("licenseType"), Some("QlikViewServer"));
            assert_eq!(call.text("serviceID"), None);
        }
    }

    #[test]
    fn what_is_no_call_says_why() {
        let ping = format!("<Ping xmlns='{QMS}'/>");
        for (envelope, action, why) in [
            ("nothing".to_owned(), "", "not SOAP"),
            (ping.clone(), "", "SOAP 1.1"),
            (
                enveloped(&ping).replace(ENVELOPE, "http://www.w3.org/2003/05/soap-envelope"),
                "",
                "SOAP 1.1",
            ),
            (enveloped(""), "", "one operation"),
            (enveloped(&ping.repeat(2)), "", "one operation"),
            (format!("<Envelope xmlns='{ENVELOPE}'/>"), "", "one Body"),
            (enveloped("<Ping/>"), "", "contract IQMS"),
            (
                enveloped("<Ping xmlns='http://ws.qliktech.com/QMS/12/2/'/>"),
                "",
                "contract IQMS",
            ),
            (
                enveloped(&ping),
                "http://ws.qliktech.com/QMS/11/IQMS/GetServices",
                "SOAPAction",
            ),
        ] {
            let fault = read(&envelope, action).err().unwrap();
            assert!(fault.0.contains(why), "{envelope}: {}", fault.0);
        }
    }
}
