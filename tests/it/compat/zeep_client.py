#!/usr/bin/env python3
"""A script written for QlikView's management service, with zeep: zeep_client.py ADDRESS TOKEN [FOLDER]

Reads the vendor's own description in FOLDER, or else the one that the service at ADDRESS gives, calls
every operation as a script would, and prints what it got as JSON. With ACCESSPOINT_QMS_WSDL set, holds
each envelope that went to and fro against the vendor's schemas there."""
import importlib.util, json, os, re, sys, warnings
import requests, zeep
from lxml import etree

warnings.simplefilter("ignore")
address, token, folder = (sys.argv[1:] + [None])[:3]
QMS = "http://ws.qliktech.com/QMS/11/"

class Files(zeep.Transport):
    """Loads the parts of a saved description by their namespaces: their addresses are of a server that is gone."""
    def __init__(self, session):
        super().__init__(session=session)
        self.places = {"wsdl": {}, "xsd": {}}
        for name in sorted(os.listdir(folder)):
            kind = name.rpartition(".")[2]
            if kind in self.places:
                found = re.search(r'targetNamespace="([^"]+)"', open(os.path.join(folder, name)).read())
                self.places[kind].setdefault(found.group(1), f"file:///saved/{name}")

    def load(self, url):
        text = open(os.path.join(folder, url.rpartition("/")[2]), encoding="utf-8-sig").read()
        def placed(kind, attribute):
            def place(found):
                namespace = re.search(r'namespace="([^"]+)"', found.group(0)).group(1)
                at = self.places[kind].get(namespace)
                bare = re.sub(rf'\s{attribute}="[^"]*"', "", found.group(0))
                return bare.replace(" namespace=", f' {attribute}="{at}" namespace=') if at else bare
            return place
        text = re.sub(r"<wsdl:import [^>]*>", placed("wsdl", "location"), text)
        return re.sub(r"<xs[d]?:import [^>]*>", placed("xsd", "schemaLocation"), text).encode()

class Kept(zeep.Plugin):
    """Every envelope, as it is on the wire."""
    def __init__(self):
        self.envelopes = []

    def egress(self, envelope, headers, operation, options):
        self.envelopes.append(etree.tostring(envelope))
        return envelope, headers

    def ingress(self, envelope, headers, operation):
        self.envelopes.append(etree.tostring(envelope))
        return envelope, headers

session = requests.Session()
session.verify, session.trust_env = False, False
session.auth = ("DOMAIN\\script", token)
kept = Kept()
settings = zeep.Settings(strict=True, xml_huge_tree=True)
if folder:
    described, transport = "file:///saved/QMSBackendService.wsdl", Files(session)
else:
    described, transport = f"{address}?wsdl", zeep.Transport(session=session)
client = zeep.Client(described, transport=transport, settings=settings, plugins=[kept])
first = client.bind()
assert str(first._binding.name) == "{http://tempuri.org/}BasicHttpBinding_IQMS" or not folder, first._binding.name
assert first._binding_options["address"] == address or folder, first._binding_options
service = client.create_service(str(first._binding.name), address)

def call(name, *parameters):
    return zeep.helpers.serialize_object(getattr(service, name)(*parameters), dict)

def refused(name, *parameters):
    try:
        call(name, *parameters)
    except zeep.exceptions.Fault as fault:
        # What a fault holds is described too.
        kept.envelopes.append(etree.tostring(fault.detail[0]))
        return fault.message
    raise AssertionError(f"{name} was not refused")

got = {"without a key": refused("Ping")}
session.headers["X-Service-Key"] = call("GetTimeLimitedServiceKey")
call("Ping")
got["GetServices"] = call("GetServices", ["QlikViewServer"])
got["all services"] = call("GetServices", ["All"])
got["two kinds"] = call("GetServices", ["QlikViewServer", "QlikViewWebServer"])
# zeep parts a text where a list belongs; a service says what it got. The call itself is not valid.
got["letters"] = refused("GetServices", "QlikViewServer")
kept.envelopes = [envelope for envelope in kept.envelopes if b"Q l i k" not in envelope]
server = got["GetServices"][0]["ID"]
got["GetCALConfiguration"] = call("GetCALConfiguration", server, ["All"])
got["two parts"] = call("GetCALConfiguration", server, ["NamedCALs", "SessionCALs"])
got["another server"] = refused("GetCALConfiguration", "11111111-2222-3333-4444-555555555555", ["All"])

# As scripts save: the whole document, read, changed, and written again.
whole = getattr(service, "GetCALConfiguration")(server, ["NamedCALs"])
kind = client.get_type("{http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects.CALs}AssignedNamedCAL")
named = whole.NamedCALs
if named.AssignedCALs is None:
    named.AssignedCALs = client.get_type("{http://schemas.datacontract.org/2004/07/PIX.QMSAPI.DataObjects.CALs}ArrayOfAssignedNamedCAL")([])
named.AssignedCALs.AssignedNamedCAL.append(kind(UserName="CUSTOM\\Dora & Söhne"))
named.Assigned += 1
named.AllowLicenseLease = False
service.SaveCALConfiguration(whole)
got["after an assignment"] = call("GetCALConfiguration", server, ["NamedCALs"])
whole = getattr(service, "GetCALConfiguration")(server, ["NamedCALs"])
named = whole.NamedCALs
taken = [cal for cal in named.AssignedCALs.AssignedNamedCAL if cal.UserName.lower() == "custom\\dora & söhne"]
named.AssignedCALs.AssignedNamedCAL.remove(taken[0])
named.Assigned -= 1
named.AllowLicenseLease = True
service.SaveCALConfiguration(whole)
got["after it was taken back"] = call("GetCALConfiguration", server, ["NamedCALs"])

got["GetCALInfoForUser"] = call("GetCALInfoForUser", server, "custom\\ALICE")
got["GetCALInfoForUser of nobody"] = call("GetCALInfoForUser", server, "nobody")
got["GetUserDocuments"] = call("GetUserDocuments", server)
got["GetLicense"] = call("GetLicense", "QlikViewServer", server)
got["GetLicense of a publisher"] = call("GetLicense", "Publisher", server)

schemas = os.environ.get("ACCESSPOINT_QMS_WSDL")
got["validated"] = 0
if schemas:
    found = importlib.util.spec_from_file_location("validate", os.path.join(schemas, "validate.py"))
    validator = importlib.util.module_from_spec(found)
    found.loader.exec_module(validator)
    for envelope in kept.envelopes:
        faults = validator.validate(envelope)
        assert not faults, f"{faults}\n{envelope.decode()}"
        got["validated"] += 1
print(json.dumps(got, default=str))
