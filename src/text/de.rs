//! The German catalogue.

mod problem;

use super::labels::{
    AccessPointText, AccountText, AskText, DesktopText, ErrorText, FrameText, HandOverText,
    LeavingText, MarkText, NoticeText, RefusalText, RefusedText, SecondFactorText, SignInText,
    Text, TimeText,
};
use super::sentence::{Sentence, sentence};
use super::{Dates, Language, Span, Touches, to_fall_silent};
use crate::domain::client::ClientKind;
use crate::domain::refusal::{Refusal, WayOut};
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::WorkstationUse;

/// Every text in German.
pub(super) const TEXT: Text = Text {
    frame: FRAME,
    marks: MarkText {
        passed: "Erfüllt",
        refused: "Abgelehnt",
    },
    time: TimeText { span },
    sign_in: SIGN_IN,
    leaving: LEAVING,
    access_point: ACCESS_POINT,
    hand_over: HAND_OVER,
    refused: REFUSED,
    account: ACCOUNT,
    second_factor: SECOND_FACTOR,
    desktop: DESKTOP,
    error: ERROR,
    ask: ASK,
    notice: NOTICE,
    refusal: RefusalText {
        to_user,
        to_administrator,
        way_out,
        rules: RULES,
    },
    problem: problem::problem,
    client,
};

const FRAME: FrameText = FrameText {
    skip_to_content: "Zum Inhalt springen",
    navigation: "Seiten",
    documents: "Dokumente",
    account: "Mein Konto",
    desktop: "Desktop einrichten",
    console: "Konsole",
    language: "Sprache",
    signed_in_as: "Angemeldet als",
    sign_out: "Abmelden",
    version: "Version",
    request: "Anfrage",
    times_in_utc: "Zeiten in UTC.",
    times_in_your_zone: "Zeiten in Ihrer Zeitzone.",
};

const SIGN_IN: SignInText = SignInText {
    title: "Anmelden",
    user_name: "Benutzername",
    password: "Passwort",
    caps_lock: "Die Feststelltaste ist an.",
    submit: "Anmelden",
    this_gateway: "dieser AccessPoint",
    passwords_of: |sources| match sources {
        [one] => format!("Verwenden Sie Ihr Passwort von {one}."),
        several => format!(
            "Verwenden Sie Ihr Passwort von einer dieser Stellen; sie werden in dieser Reihenfolge gefragt: {}.",
            several.join(", ")
        ),
    },
    silent: |source| {
        format!("Von {source} kommt gerade keine Antwort. Wer sich dort anmeldet, muss warten.")
    },
    no_way_in: "Es ist kein Anmeldeweg eingerichtet. Ihre Administration kann einen in der Konfiguration einrichten.",
    passkey: "Mit einem Passkey anmelden",
};

const LEAVING: LeavingText = LeavingText {
    title: "Sie sind hier abgemeldet",
    goes_on: |source| format!("{source} meldet Sie gleich auch dort ab."),
    if_nothing_happens: "Wenn nichts geschieht,",
    by_hand: "melden Sie sich dort von Hand ab",
};

const ACCESS_POINT: AccessPointText = AccessPointText {
    my_license: "Meine Lizenz",
    license_missing: "Auf diesem Server ist keine Lizenz geladen, deshalb öffnet sich kein Dokument. Ihre Administration kann eine laden.",
    cal_assigned,
    cal_quarantined,
    cal_assigned_there: "Sie haben eine Named CAL im QlikView Server.",
    left_to_server: "Das entscheidet QlikView Server; wie, ist vorher nicht bekannt.",
    cal_assigned_by_opening: "Noch keine Named CAL. Beim Öffnen eines Dokuments bekommen Sie eine.",
    cal_missing: "Keine Named CAL. Ihre Administration kann Ihnen eine zuweisen.",
    lease_live,
    lease_by_opening: "Dieser Arbeitsplatz hat keine Ausleihe. Ein Dokument in Desktop oder im Plug-in zu öffnen leiht für 30 Tage aus.",
    lease_waits,
    lease_not_possible: "Von diesem Server ist zurzeit keine Ausleihe möglich. Beim Öffnen eines Dokuments steht, warum.",
    lease_needs_cal: "Dieser Arbeitsplatz hat keine Ausleihe, denn dafür ist eine Named CAL nötig.",
    workstations_used,
    counts_until: "zählt bis",
    this_workstation: "dieser Arbeitsplatz",
    documents: "Dokumente",
    search: "Dokumente suchen",
    search_submit: "Suchen",
    categories: "Kategorien",
    every_category: "Alle",
    changed: "geändert",
    open: "Öffnen",
    other_ways: "Andere Wege",
    add_favourite: "Zu den Favoriten",
    remove_favourite: "Aus den Favoriten nehmen",
    document_count,
    in_desktop: "Sie sind in QlikView Desktop: Dokumente öffnen sich hier.",
    unlisted: "Der QlikView-Webserver kann Ihre Dokumente gerade nicht nennen, deshalb kann diese Liste veraltet oder leer sein. An Ihrem Stand hat sich nichts geändert; sehen Sie in einer Minute noch einmal nach.",
    no_documents: "Es gibt noch keine Dokumente für Sie.",
    no_documents_next: "Bitten Sie Ihre Administration, Dokumente für Sie freizugeben. Sie erscheinen hier, sobald sie da sind.",
    nothing_found: "Kein Dokument passt dazu.",
    nothing_found_next: "Versuchen Sie es mit weniger oder anderen Wörtern, oder sehen Sie alle Dokumente durch.",
    show_all: "Alle Dokumente zeigen",
};

const HAND_OVER: HandOverText = HandOverText {
    title: "Wird geöffnet:",
    document: "Dokument",
    lease: "Lizenzausleihe",
    next: "Weiter",
    opens_now: "Öffnet sich jetzt.",
    opens_in: |after| {
        format!(
            "Der Zugriff ist erlaubt. Es öffnet sich in {}.",
            span(after)
        )
    },
    granted,
    renewed,
    expected,
    signed_key: "QlikView Server läuft mit einem signierten Lizenzschlüssel. Ob er an diesen Arbeitsplatz ausleiht, ist vorher nicht bekannt.",
    machine_names: "QlikView Server führt Named CALs nach Rechnern. Ob er an diesen Arbeitsplatz ausleiht, ist vorher nicht bekannt.",
    direct: "Wo dieser Arbeitsplatz QlikView Server selbst erreicht (Port 4747), kann Desktop es auch",
    open_directly: "direkt öffnen",
    look_at_outcome: "In einem neuen Fenster ansehen, ob QlikView Server ausgeliehen hat",
    outcome_title: "Was aus der Ausleihe wurde",
    nothing_opened: "Von hier wurde noch nichts in Desktop oder im Plug-in geöffnet.",
    still_watching: "QlikView Server wird gefragt. Diese Seite sieht von selbst wieder nach.",
    leased_to,
    not_leased: "QlikView Server hat seit dem Öffnen an keinen Ihrer Rechner ausgeliehen.",
    lease_not_needed: "Entfällt: ausgeliehen wird nur beim Öffnen in Desktop oder im Plug-in.",
    lease_ended: "Die Ausleihe, die dieser Arbeitsplatz noch hatte, ist mit diesem Öffnen beendet.",
    goes_on,
    relaunch_desktop: "Um mit lokalen Dokumenten zu arbeiten, schließen Sie Desktop und starten Sie es neu. Dann ist es lizenziert.",
    if_nothing_happens: "Wenn nichts geschieht:",
    to_go_on_at_once: "Um sofort weiterzumachen:",
    open_by_hand: "das Dokument von Hand öffnen",
    back: "Zurück zu den Dokumenten",
};

const REFUSED: RefusedText = RefusedText {
    title: "Das Dokument öffnet sich nicht",
    try_from: "Wieder versuchen ab",
    what_you_can_do: "Was Sie tun können",
    every_rule: "Jede Regel und wie entschieden wurde",
    rule: "Regel",
    state: "Stand",
    set_desktop_up: "Desktop einrichten",
};

const ACCOUNT: AccountText = AccountText {
    title: "Mein Konto",
    cal: "Named CAL",
    leases: "Ausleihen",
    no_leases: "Keine Ausleihen. Ein Dokument in Desktop oder im Plug-in zu öffnen macht eine.",
    workstation: "Arbeitsplatz",
    state: "Stand",
    granted: "Erteilt",
    renewed: "Erneuert",
    ends: "Endet",
    action: "Aktion",
    lease_live: "Läuft",
    lease_expired: "Abgelaufen",
    lease_revoked: "Entzogen",
    lease_released: "Zurückgegeben",
    release: "Zurückgeben",
    release_effect: "Zurückgeben beendet eine Ausleihe sofort. Ihr Arbeitsplatz zählt weiter zu Ihren zweien, bis er die ganze Frist lang unbenutzt war.",
    workstations: "Arbeitsplätze",
    no_workstations: "Noch keine Arbeitsplätze. Jeder erscheint hier, nachdem Sie sich an ihm angemeldet haben.",
    name: "Name",
    rename: "Umbenennen",
    last_leased,
    never_leased: "Nie ausgeliehen.",
    sessions: "Sitzungen",
    sessions_effect: "Eine Sitzung zu beenden meldet Sie dort sofort ab; alle zu beenden auch hier. Ausleihen bleiben.",
    session: "Wo",
    signed_in: "Angemeldet",
    last_seen: "Zuletzt gesehen",
    this_session: "Diese Sitzung",
    end_session: "Beenden",
    end_every_session: "Alle Sitzungen beenden",
    password: "Passwort",
    current_password: "Jetziges Passwort",
    new_password: "Neues Passwort",
    new_password_hint: "8 bis 128 Zeichen, und keines der verbreiteten.",
    repeat_password: "Neues Passwort noch einmal",
    change_password: "Passwort ändern",
    language: "Sprache",
    language_effect: "Das Gateway merkt sich die Sprache an diesem Arbeitsplatz.",
};

const SECOND_FACTOR: SecondFactorText = SecondFactorText {
    title: "Zweite Faktoren",
    summary: |count| match count {
        0 => "Noch keiner.".to_owned(),
        1 => "Einer. Sie werden beim Anmelden nach ihm gefragt.".to_owned(),
        count => format!("{count}. Sie werden beim Anmelden nach einem von ihnen gefragt."),
    },
    manage: "Zweite Faktoren verwalten",
    intro: "Nach dem Passwort wird nach einem zweiten Faktor gefragt, damit niemand hereinkommt, der nur das Passwort erfahren hat.",
    must_enrol: "Ihr Konto braucht einen zweiten Faktor. Richten Sie hier einen ein; danach geht es weiter zu dem, was Sie wollten.",
    required: "Ihr Konto braucht einen zweiten Faktor: der letzte kann nicht entfernt werden.",
    yours: "Ihre",
    totp: "Authenticator-App",
    passkey: "Passkey",
    enrolled: "seit",
    last_used: "zuletzt benutzt",
    never_used: "nie benutzt",
    remove: "Entfernen",
    end_others: "Auch meine anderen Sitzungen beenden",
    add_totp: "Authenticator-App hinzufügen",
    add_totp_hint: "Eine App auf Ihrem Telefon zeigt einen Code aus sechs Ziffern, der alle 30 Sekunden wechselt.",
    totp_name: "Mein Telefon",
    add_passkey: "Passkey hinzufügen",
    add_passkey_hint: "Ihr Gerät oder ein Sicherheitsschlüssel meldet Sie an, nachdem es Finger, Gesicht oder PIN geprüft hat.",
    passkey_name: "Mein Passkey",
    begin: "Einrichten",
    back: "Zurück zu meinem Konto",
    cancel: "Abbrechen",
    scan: "Scannen Sie dieses Bild mit der App:",
    picture: "QR-Code mit dem Schlüssel, der darunter steht",
    or_key: "Oder geben Sie dort diesen Schlüssel ein:",
    open_app: "Die App auf diesem Gerät öffnen",
    totp_code: "Code, den die App jetzt zeigt",
    finish: "Fertig",
    passkey_explain: "Ihr Browser fragt nach Finger, Gesicht oder PIN und bewahrt den Passkey auf.",
    make_passkey: "Passkey anlegen",
    no_passkeys_here: "Dafür braucht es einen Browser, der Passkeys kennt, mit eingeschaltetem Script.",
    passkey_failed: "Vom Browser kam kein Passkey, oder einer von einer Art, die hier nicht benutzt wird. Versuchen Sie es noch einmal.",
    codes: "Wiederherstellungscodes",
    codes_intro: "Jeder dieser Codes lässt Sie einmal herein, wenn Sie Ihren zweiten Faktor nicht zur Hand haben. Sie werden nur dieses eine Mal gezeigt: drucken oder schreiben Sie sie auf, und bewahren Sie sie sicher auf.",
    codes_kept: "Ich habe sie verwahrt: weiter",
    codes_left: |left| match left {
        1 => "Einer ist übrig.".to_owned(),
        left => format!("{left} sind übrig."),
    },
    new_codes: "Neue Wiederherstellungscodes machen",
    new_codes_effect: "Die alten gelten dann nicht mehr.",
    confirm_title: "Sind Sie es?",
    confirm_intro: "Ihre Anmeldung ist eine Weile her. Um zweite Faktoren zu ändern, weisen Sie sich noch einmal aus.",
    confirm_submit: "Bestätigen",
    confirm_sign_in: "Oder melden Sie sich neu an",
    step_title: "Zweiter Schritt",
    step_passkey: "Passkey verwenden",
    step_submit: "Anmelden",
    step_help: "Ist Ihr zweiter Faktor weg, geben Sie einen Ihrer Wiederherstellungscodes ein. Haben Sie keinen, kann Ihre Administration die zweiten Faktoren zurücksetzen.",
    code: "Code Ihrer App oder ein Wiederherstellungscode",
    recovery_code: "Wiederherstellungscode",
    added: "Der zweite Faktor ist hinzugefügt.",
    removed: "Der zweite Faktor ist entfernt.",
    renamed: "Der zweite Faktor hat seinen neuen Namen.",
    confirmed: "Danke. Sie können Ihre zweiten Faktoren jetzt ändern.",
    not_confirmed: "Das stimmt nicht. Es wurde nichts geändert.",
    name_invalid: "Es wurde nichts geändert: ein Name hat 1 bis 64 Zeichen.",
    code_wrong: "Der Code stimmt nicht. Versuchen Sie den, den die App jetzt zeigt, und sehen Sie nach, ob die Uhr Ihres Telefons stimmt.",
    took_too_long: "Es wurde nichts geändert: das Einrichten hat zu lange gedauert. Fangen Sie neu an.",
};

const DESKTOP: DesktopText = DesktopText {
    title: "Desktop einrichten",
    intro: "QlikView Desktop öffnet diesen AccessPoint selbst, sobald es die Adresse kennt. Einmal an jedem Arbeitsplatz:",
    open_settings: "Öffnen Sie in QlikView Desktop",
    settings_path: "Settings > User Preferences > Locations > QlikView Server AccessPoint (URL) > Modify",
    enter_address: "Tragen Sie diese Adresse ein:",
    copy: "Kopieren",
    copied: "Kopiert",
    confirm: "Bestätigen Sie mit OK, dann Apply, dann OK.",
    open_access_point: "Öffnen Sie",
    access_point_path: "Tools > Open QlikView AccessPoint",
    sign_in_and_open: "Melden Sie sich an und öffnen Sie ein Dokument. Die nächste Seite sagt, bis wann dieser Arbeitsplatz ausleiht.",
    relaunch: "Schließen Sie Desktop und starten Sie es neu. Es ist lizenziert, und lokale Dokumente öffnen sich.",
    menus: "Die Namen der Menüs sind die des englischen Desktop.",
};

const ERROR: ErrorText = ErrorText {
    happened: "Was geschehen ist",
    changed: "Wurde etwas geändert?",
    next: "Was zu tun ist",
    tell_request: "Ihre Administration findet diese Anfrage unter ihrer Nummer:",
    to_access_point: "Zu den Dokumenten",
    to_sign_in: "Anmelden",
    start_again: "Noch einmal beginnen",
    as_other: "Als jemand anderes anmelden",
};

const ASK: AskText = AskText {
    open_title: "Das Dokument öffnen?",
    open: |title| match title {
        Some(title) => format!(
            "Ein Link auf einer anderen Seite führt zu {title}. Das Öffnen kann Ihre Named CAL \
             benutzen und an diesem Arbeitsplatz ausleihen."
        ),
        None => {
            "Ein Link auf einer anderen Seite führt zu einem Dokument. Das Öffnen kann Ihre Named \
                 CAL benutzen und an diesem Arbeitsplatz ausleihen."
                .to_owned()
        }
    },
    open_button: "Öffnen",
    sign_in_title: "Als jemand anderes anmelden?",
    sign_in: |wanted, present| {
        format!(
            "Ein Link will Sie als {wanted} anmelden. Hier sind Sie als {present} angemeldet; diese \
             Sitzung würde enden."
        )
    },
    sign_in_button: |wanted| format!("Als {wanted} anmelden"),
    leave: "Nein, zurück zu den Dokumenten",
};

const NOTICE: NoticeText = NoticeText {
    signed_out: "Sie sind abgemeldet.",
    signed_out_here: "Sie sind hier abgemeldet. Dort, wo Sie sich angemeldet haben, sind Sie es vielleicht \
                      noch: Melden Sie sich auch dort ab, wenn andere diesen Computer benutzen.",
    session_ended: "Ihre Sitzung ist zu Ende. Melden Sie sich an, um fortzufahren.",
    lease_released: "Die Ausleihe ist zurückgegeben.",
    workstation_renamed: "Der Arbeitsplatz hat seinen neuen Namen.",
    workstation_name_invalid: "Der Name wurde nicht geändert: ein Name hat 1 bis 64 Zeichen.",
    one_session_ended: "Die Sitzung ist beendet.",
    every_session_ended: "Alle Ihre Sitzungen sind beendet.",
    password_changed: "Das Passwort ist geändert.",
    password_wrong: "Das Passwort wurde nicht geändert: das jetzige stimmt nicht.",
    passwords_differ: "Das Passwort wurde nicht geändert: die beiden neuen sind nicht gleich.",
    password_too_short: "Das Passwort wurde nicht geändert: das neue hat weniger als 8 Zeichen.",
    password_too_long: "Das Passwort wurde nicht geändert: das neue hat mehr als 128 Zeichen.",
    password_too_common: "Das Passwort wurde nicht geändert: das neue gehört zu den verbreitetsten.",
    language_set: "Dieser Arbeitsplatz spricht jetzt Deutsch mit Ihnen.",
    web_ticket_invalid: "Das Ticket, das Sie anmelden sollte, gilt nicht: Es wurde schon benutzt oder ist älter als eine Minute. Melden Sie sich hier an, oder beginnen Sie dort noch einmal, wo Sie herkamen.",
    web_ticket_alone: "Hier wird ein zweiter Faktor verlangt, und ein Ticket allein weist keinen nach. Melden Sie sich hier an; Sie werden danach gefragt und kommen dann zu dem, was Sie wollten.",
};

const RULES: [&str; 25] = [
    "Eine Lizenz ist geladen",
    "Die Lizenz ist keine Test-Edition",
    "Die Edition erlaubt Ausleihen",
    "Die Lizenz verbietet das Ausleihen nicht",
    "Die Lizenz begrenzt die Zahl der Dokumente nicht",
    "Die Lizenz gilt jetzt",
    "Die Lizenz enthält Named CALs",
    "Das Ausleihen ist eingeschaltet",
    "Das Konto ist aktiv und darf das Dokument sehen",
    "Eine Named CAL ist da, oder das Öffnen weist eine zu",
    "Eine benutzte CAL ruht, bevor jemand anderes sie bekommt",
    "Diese Art zu öffnen leiht aus",
    "Eine Ausleihe gilt 30 Tage ab Erteilung oder Erneuerung",
    "Höchstens zwei Arbeitsplätze leihen innerhalb der Frist aus",
    "Ein Arbeitsplatz über die zwei hinaus verliert seine Ausleihe",
    "Ausleihen laufen weiter, wenn die CAL zurückgenommen wird",
    "Was eine Ausleihe ablehnt, lehnt das Dokument nicht ab",
    "Es sind nie mehr CALs vergeben, als die Lizenz enthält",
    "Jedes Öffnen und jede Änderung wird aufgezeichnet",
    "Eine Ausleihe kann zurückgegeben, entzogen oder aufgehoben werden",
    "Erneutes Öffnen erneuert dieselbe Ausleihe",
    "Wer gesperrt ist, behält CAL und Ausleihen, kann aber nicht erneuern",
    "Ein verschwundenes Dokument berührt keine Ausleihe",
    "Ein Arbeitsplatz ist an Cookie oder Namen erkennbar",
    "Eine Sitzung lebt weiter, wenn ihre CAL zurückgenommen wird",
];

fn client(kind: ClientKind) -> &'static str {
    match kind {
        ClientKind::Desktop => "In Desktop",
        ClientKind::Plugin => "Im Plug-in",
        ClientKind::Ajax => "Im Browser",
        ClientKind::Download => "Herunterladen",
    }
}

fn dates(now: Timestamp) -> Dates {
    Dates::new(Language::German, now)
}

/// In the nominative and accusative; after `in` see [`span_dative`].
fn span(span: Span) -> String {
    match span {
        Span::Days(count) => counted(count, "Tag", "Tage"),
        Span::Hours(count) => counted(count, "Stunde", "Stunden"),
        Span::Minutes(count) => counted(count, "Minute", "Minuten"),
        Span::Seconds(count) => counted(count, "Sekunde", "Sekunden"),
    }
}

/// Only days have a dative of their own.
fn span_dative(length: Span) -> String {
    match length {
        Span::Days(count) => counted(count, "Tag", "Tagen"),
        other => span(other),
    }
}

fn counted(count: i64, one: &str, many: &str) -> String {
    let unit = if count == 1 { one } else { many };
    format!("{count} {unit}")
}

fn left(on: Dates, until: Timestamp) -> String {
    span(Span::left(until - on.now))
}

fn cal_assigned(on: Dates, since: Timestamp) -> Sentence {
    sentence!["Named CAL seit dem ", on.long_day(since), "."]
}

fn cal_quarantined(on: Dates, since: Timestamp, until: Timestamp) -> Sentence {
    sentence![
        "Ihre Named CAL wurde am ",
        on.day(since),
        " zurückgenommen und ruht bis ",
        on.earliest(until),
        ". Ihre Administration kann sie sofort zurückgeben.",
    ]
}

fn lease_live(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" aus ({}).", left(on, until));
    sentence![
        "Dieser Arbeitsplatz leiht bis zum ",
        on.long_day(until),
        left
    ]
}

fn lease_waits(on: Dates, from: Timestamp) -> Sentence {
    sentence![
        "Dieser Arbeitsplatz kann ab ",
        on.earliest(from),
        " ausleihen. Zwei andere von Ihnen haben innerhalb der Frist ausgeliehen.",
    ]
}

fn workstations_used(on: Dates, used: usize, until: Option<Timestamp>) -> Sentence {
    let beginning = format!("{} von 2 Arbeitsplätzen belegt", used.min(2));
    match until {
        Some(until) => sentence![beginning, " bis ", on.earliest(until), "."],
        None => sentence![beginning, "."],
    }
}

fn last_leased(on: Dates, at: Timestamp) -> Sentence {
    sentence!["Zuletzt ausgeliehen am ", on.minute(at), "."]
}

fn document_count(count: usize) -> String {
    match count {
        1 => "1 Dokument".to_owned(),
        _ => format!("{count} Dokumente"),
    }
}

fn granted(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" ({}).", left(on, until));
    sentence!["Erteilt bis ", on.minute(until), left]
}

fn expected(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" ({}).", left(on, until));
    sentence![
        "QlikView Server wird voraussichtlich ausleihen bis ",
        on.minute(until),
        left
    ]
}

fn leased_to(on: Dates, machine: &str, until: Timestamp) -> Sentence {
    let to = format!("QlikView Server hat an {machine} ausgeliehen bis ");
    let left = format!(" ({}).", left(on, until));
    sentence![to, on.minute(until), left]
}

fn renewed(on: Dates, until: Timestamp) -> Sentence {
    let left = format!(" ({}).", left(on, until));
    sentence!["Erneuert bis ", on.minute(until), left]
}

fn goes_on(kind: ClientKind, after: Span) -> String {
    let after = span_dative(after);
    match kind {
        ClientKind::Desktop => {
            format!("In {after} öffnet sich das Dokument von selbst in Desktop.")
        }
        ClientKind::Plugin => format!("In {after} öffnet sich das Dokument von selbst im Plug-in."),
        ClientKind::Ajax => {
            format!("In {after} öffnet sich das Dokument von selbst in diesem Fenster.")
        }
        ClientKind::Download => format!("In {after} beginnt das Herunterladen von selbst."),
    }
}

/// What a refusal says to the person whom it meets.
fn to_user(refusal: &Refusal, touches: Touches, now: Timestamp) -> Sentence {
    let on = dates(now);
    match refusal {
        Refusal::WorkstationLimit {
            others,
            window,
            retry_at,
        } => {
            let mut said = Sentence::from(match touches {
                Touches::Open => "Sie können dieses Dokument nicht öffnen. ",
                Touches::Lease => {
                    "Das Dokument ist offen, aber dieser Arbeitsplatz kann jetzt keine Lizenz \
                     ausleihen. "
                }
            });
            said.append(others_have_leased(on, others, *window, "von Ihnen"));
            said.append(works_if_unused(on, others, *retry_at));
            said.push(format!(
                "Bis dahin können Sie hier online arbeiten. Ihre Administration kann {} sofort \
                 freigeben.",
                names(to_fall_silent(others)),
            ));
            said
        }
        Refusal::LeasingSwitchedOff => sentence![
            match touches {
                Touches::Open =>
                    "Sie können dieses Dokument nicht öffnen: auf diesem Server ist das Ausleihen \
                     ausgeschaltet. ",
                Touches::Lease =>
                    "Das Dokument ist offen. Auf diesem Server ist das Ausleihen ausgeschaltet. ",
            },
            "Ihre Administration kann es unter Licenses > Client Access Licenses > General erlauben.",
        ],
        Refusal::DocumentNotFound
        | Refusal::NoCalAssigned
        | Refusal::NoFreeCal { .. }
        | Refusal::CalQuarantined { .. }
        | Refusal::UserDisabled => {
            let mut said = Sentence::from(match touches {
                Touches::Open => "Sie können dieses Dokument nicht öffnen: ",
                Touches::Lease => {
                    "Das Dokument ist offen, aber dieser Arbeitsplatz kann jetzt keine Lizenz \
                     ausleihen: "
                }
            });
            said.append(person_cause(on, refusal));
            said
        }
        _ => license_to_user(on, refusal, touches),
    }
}

fn person_cause(on: Dates, refusal: &Refusal) -> Sentence {
    match refusal {
        Refusal::NoCalAssigned => {
            "Sie haben keine Named CAL. Ihre Administration kann Ihnen eine zuweisen.".into()
        }
        Refusal::NoFreeCal {
            held,
            taken,
            retry_at,
        } => {
            let mut said = sentence![all_taken(*held, *taken)];
            if let Some(at) = retry_at {
                said.append(sentence![
                    " Die nächste kann am ",
                    on.earliest(*at),
                    " frei werden.",
                ]);
            }
            said.push(" Bitten Sie Ihre Administration um eine CAL.");
            said
        }
        Refusal::CalQuarantined { since, until } => sentence![
            "Ihre Named CAL wurde am ",
            on.day(*since),
            " zurückgenommen und ruht bis ",
            on.earliest(*until),
            ". Ihre Administration kann sie sofort zurückgeben.",
        ],
        Refusal::UserDisabled => {
            "Ihr Konto ist gesperrt. Ihre Administration kann es wieder freigeben.".into()
        }
        _ => "es ist nicht hier oder nicht für Sie freigegeben. Suchen Sie ein anderes, oder \
              bitten Sie um Zugang."
            .into(),
    }
}

fn all_taken(held: u32, taken: u32) -> String {
    match held {
        0 => "die Lizenz enthält zurzeit keine Named CAL.".to_owned(),
        1 if taken <= 1 => "die einzige Named CAL ist vergeben.".to_owned(),
        _ if taken > held => {
            format!("{taken} Named CALs sind vergeben, und die Lizenz enthält {held}.")
        }
        _ => format!("alle {held} Named CALs sind vergeben."),
    }
}

fn license_to_user(on: Dates, refusal: &Refusal, touches: Touches) -> Sentence {
    let (beginning, license) = match touches {
        Touches::Open => (
            "Sie können dieses Dokument nicht öffnen: ",
            "die Lizenz dieses Servers",
        ),
        Touches::Lease => (
            "Das Dokument ist offen. Von diesem Server ist keine Ausleihe möglich: ",
            "seine Lizenz",
        ),
    };
    let mut said = sentence![beginning];
    match refusal {
        Refusal::LicenseMissing => said.push("auf diesem Server ist keine Lizenz geladen."),
        Refusal::LicenseTestEdition { .. } => {
            said.push(format!("{license} ist eine Test-Edition."));
        }
        Refusal::LicenseEditionCannotLease { edition, .. } => said.push(format!(
            "{license} hat die Edition „{edition}“, die keine Ausleihe kennt."
        )),
        Refusal::LicenseForbidsLease { .. } => said.push(format!("{license} verbietet sie.")),
        Refusal::LicenseLimitsDocuments { limit, .. } => said.push(format!(
            "{license} begrenzt die Zahl der Dokumente ({limit})."
        )),
        Refusal::LicenseExpired {
            ended_at: Some(ended_at),
            ..
        } => {
            said.push(format!("{license} endete am "));
            said.push(on.minute(*ended_at));
            said.push(".");
        }
        Refusal::LicenseExpired { ended_at: None, .. } => {
            said.push(format!("{license} gilt zurzeit nicht."));
        }
        _ => said.push(format!("{license} enthält keine Named CALs.")),
    }
    if let Some(at) = refusal.retry_at() {
        said.append(sentence![" Möglich ist es ab ", on.earliest(at), "."]);
    }
    said.push(match refusal {
        Refusal::LicenseTestEdition { .. } => " Leihen Sie von Ihrem Produktionsserver aus.",
        Refusal::LicenseMissing => " Ihre Administration kann eine laden.",
        Refusal::LicenseHasNoNamedCals { .. } => {
            " Ihre Administration kann eine Lizenz mit Named CALs laden."
        }
        _ => " Sie können hier online arbeiten. Ihre Administration kann eine andere Lizenz laden.",
    });
    said
}

/// `Zwei andere von Ihnen haben innerhalb der letzten 7 Tage ausgeliehen: A (…) und B (…). `
fn others_have_leased(
    on: Dates,
    others: &[WorkstationUse],
    window: Millis,
    whose: &str,
) -> Sentence {
    let count = match others.len() {
        2 => "Zwei".to_owned(),
        3 => "Drei".to_owned(),
        count => count.to_string(),
    };
    let window = span(Span::set(window));
    let mut said = sentence![format!(
        "{count} andere {whose} haben innerhalb der letzten {window} ausgeliehen: "
    )];
    for (position, other) in others.iter().enumerate() {
        said.push(separator(position, others.len()));
        said.push(format!("{} (", other.workstation.name));
        said.push(on.minute(other.last_leased_at));
        said.push(")");
    }
    said.push(". ");
    said
}

fn works_if_unused(on: Dates, others: &[WorkstationUse], retry_at: Timestamp) -> Sentence {
    let silent = to_fall_silent(others);
    let stay = if silent.len() == 1 {
        "bleibt"
    } else {
        "bleiben"
    };
    sentence![
        format!("Wenn {} unbenutzt {stay}, kann dieser ab ", names(silent)),
        on.earliest(retry_at),
        " ausleihen. ",
    ]
}

fn names(workstations: &[WorkstationUse]) -> String {
    let mut names = String::new();
    for (position, each) in workstations.iter().enumerate() {
        names.push_str(separator(position, workstations.len()));
        names.push_str(&each.workstation.name);
    }
    names
}

fn separator(position: usize, count: usize) -> &'static str {
    match position {
        0 => "",
        _ if position + 1 == count => " und ",
        _ => ", ",
    }
}

/// What a refusal says to the administrator: the rule, the facts, and the command that helps.
fn to_administrator(refusal: &Refusal, now: Timestamp) -> Sentence {
    let on = dates(now);
    let mut said = match refusal {
        Refusal::LicenseMissing => {
            return "R0: es ist keine LEF geladen, deshalb wird jedes Öffnen abgelehnt. Laden Sie \
                    eine in der Konsole unter License oder mit „accesspoint license load DATEI“."
                .into();
        }
        Refusal::LeasingSwitchedOff => {
            return "R7: „Allow license lease“ ist aus, deshalb wird nicht ausgeliehen; Dokumente \
                    öffnen sich. Einschalten unter Licenses > Client Access Licenses > General \
                    oder mit „accesspoint settings set allow-license-lease true“."
                .into();
        }
        Refusal::DocumentNotFound => {
            return "R8: das Dokument ist nicht da, oder eine Dokumentregel verbirgt es vor dieser \
                    Person; beides bekommt dieselbe Antwort. Sehen Sie im Ordner und in \
                    [[documents.rule]] nach."
                .into();
        }
        Refusal::NoCalAssigned => {
            return "R9: die Person hat keine Named CAL, und das Öffnen darf keine zuweisen. Weisen \
                    Sie eine mit „accesspoint cal assign NAME“ zu, oder schalten Sie „Allow \
                    dynamic assignment“ ein."
                .into();
        }
        Refusal::UserDisabled => {
            return "R21: die Person ist gesperrt; CAL und Ausleihen bleiben und können nicht \
                    erneuert werden. Freigeben mit „accesspoint user enable NAME“."
                .into();
        }
        Refusal::NoFreeCal {
            held,
            taken,
            retry_at,
        } => return no_free_cal_to_administrator(on, *held, *taken, *retry_at),
        Refusal::CalQuarantined { since, until } => {
            return sentence![
                "R9: die Named CAL der Person wurde am ",
                on.minute(*since),
                " zurückgenommen und ist in Quarantäne bis ",
                on.earliest(*until),
                ". Sofort zurückgeben mit „accesspoint cal assign NAME“.",
            ];
        }
        Refusal::WorkstationLimit {
            others,
            window,
            retry_at,
        } => return workstation_limit_to_administrator(on, others, *window, *retry_at),
        _ => license_to_administrator(on, refusal),
    };
    if let Some(at) = refusal.retry_at() {
        said.append(sentence![" Erfüllt ab ", on.earliest(at), "."]);
    }
    said.push(
        " Dokumente öffnen sich. Laden Sie eine andere LEF mit „accesspoint license load DATEI“.",
    );
    said
}

fn license_to_administrator(on: Dates, refusal: &Refusal) -> Sentence {
    match refusal {
        Refusal::LicenseTestEdition { .. } => {
            "R1: die LEF nennt die Sonderedition Test, deshalb wird nicht ausgeliehen.".into()
        }
        Refusal::LicenseEditionCannotLease { edition, .. } => sentence![format!(
            "R2: die LEF nennt die Edition „{edition}“; nur Enterprise und Small Business leihen aus."
        )],
        Refusal::LicenseForbidsLease { .. } => {
            "R3: die LEF enthält LICENSE_LEASE;NO, deshalb wird nicht ausgeliehen.".into()
        }
        Refusal::LicenseLimitsDocuments { limit, .. } => sentence![format!(
            "R4: die LEF enthält NUMBER_OF_DOCUMENTS ({limit}), deshalb wird nicht ausgeliehen."
        )],
        Refusal::LicenseExpired {
            ended_at: Some(ended_at),
            ..
        } => sentence![
            "R5: eine Zeile TIMELIMIT oder PRODUCTLEVEL der LEF endete am ",
            on.minute(*ended_at),
            ".",
        ],
        Refusal::LicenseExpired { ended_at: None, .. } => {
            "R5: eine Zeile TIMELIMIT oder PRODUCTLEVEL der LEF gilt zurzeit nicht.".into()
        }
        _ => "R6: die LEF enthält keine Named User CALs, die jetzt gelten.".into(),
    }
}

fn no_free_cal_to_administrator(
    on: Dates,
    held: u32,
    taken: u32,
    retry_at: Option<Timestamp>,
) -> Sentence {
    let mut said = sentence![format!(
        "R9: die LEF enthält {held} Named CALs, und {taken} sind vergeben, die in Quarantäne \
         mitgezählt."
    )];
    match retry_at {
        Some(at) => said.append(sentence![
            " Bis ",
            on.earliest(at),
            " enden genug Quarantänen, dass eine frei ist.",
        ]),
        None => said.push(" Keine Quarantäne, die endet, macht eine frei."),
    }
    said.push(
        " Nehmen Sie eine mit „accesspoint cal unassign NAME“ zurück, oder laden Sie eine größere \
         LEF.",
    );
    said
}

fn workstation_limit_to_administrator(
    on: Dates,
    others: &[WorkstationUse],
    window: Millis,
    retry_at: Timestamp,
) -> Sentence {
    let mut said = sentence!["R13: "];
    said.append(others_have_leased(on, others, window, "dieser Person"));
    said.append(works_if_unused(on, others, retry_at));
    said.push("Sofort geht es, wenn ein anderer aufgehoben wird: „accesspoint workstation lift");
    for other in to_fall_silent(others) {
        said.push(format!(" {}", other.workstation.id));
    }
    said.push("“.");
    said
}

fn way_out(way: WayOut) -> &'static str {
    match way {
        WayOut::AskForCal => "Ihre Administration um eine Named CAL bitten",
        WayOut::AskToGiveBack => "Ihre Administration bitten, Ihre Named CAL zurückzugeben",
        WayOut::AskToLift => {
            "Ihre Administration bitten, einen der anderen Arbeitsplätze freizugeben"
        }
        WayOut::AskToSwitchLeasingOn => "Ihre Administration bitten, das Ausleihen zu erlauben",
        WayOut::AskForLicense => "Ihre Administration um eine andere Lizenz bitten",
        WayOut::AskToEnable => "Ihre Administration bitten, Ihr Konto freizugeben",
        WayOut::AskForDocument => "Um Zugang zum Dokument bitten",
        WayOut::LeaseFromProduction => "Vom Produktionsserver ausleihen",
        WayOut::WorkOnline => "Hier online arbeiten",
        WayOut::UseOtherWorkstation => "Einen Arbeitsplatz benutzen, der schon ausleiht",
        WayOut::SignInAsSomeoneElse => "Als jemand anderes anmelden",
    }
}
