//! Documents that a server behind the gateway listed for one person.

use std::path::PathBuf;
use std::sync::Arc;

use super::scan::{Document, document_id, sort};
use super::{Rules, Snapshot};
use crate::domain::client::ClientKind;
use crate::domain::time::Timestamp;

/// A document as a server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldDocument {
    /// The server that holds it.
    pub server: String,
    /// Its path there, with `/`.
    pub name: String,
    /// The title.
    pub title: String,
    /// The category, where it has one.
    pub category: Option<String>,
    /// The size in bytes; 0 where it is not told.
    pub size_bytes: u64,
    /// The last change of the content.
    pub modified_at: Timestamp,
    /// How it may be opened.
    pub clients: Vec<ClientKind>,
}

impl Snapshot {
    /// What a server listed for one person: it decides who sees what, and the rules of the
    /// configuration may only hide more.
    #[must_use]
    pub fn told(documents: Vec<ToldDocument>, rules: Arc<Rules>) -> Self {
        let mut documents: Vec<Document> = documents
            .into_iter()
            .map(|told| document(told, &rules))
            .collect();
        sort(&mut documents);
        // A document that is mounted twice under one name is listed twice, and is one.
        documents.dedup_by(|one, other| one.id == other.id);
        Self::listing(documents, rules)
    }
}

fn document(told: ToldDocument, rules: &Rules) -> Document {
    Document {
        id: document_id(&format!("{}|{}", told.server, told.name)),
        title: told.title,
        category: told.category,
        size_bytes: told.size_bytes,
        modified_at: told.modified_at,
        etag: String::new(),
        server: Some(told.server),
        clients: in_order(&told.clients),
        real_path: PathBuf::new(),
        named_by: rules.naming(&told.name),
        name: told.name,
    }
}

/// Every browser has the first; the others need something of `QlikView` on the workstation.
fn in_order(clients: &[ClientKind]) -> Vec<ClientKind> {
    let order = [
        ClientKind::Ajax,
        ClientKind::Plugin,
        ClientKind::Desktop,
        ClientKind::Download,
    ];
    let offered = order.into_iter().filter(|kind| clients.contains(kind));
    offered.collect()
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;

    fn told(server: &str, name: &str) -> ToldDocument {
        ToldDocument {
            server: server.to_owned(),
            name: name.to_owned(),
            title: name.to_owned(),
            category: None,
            size_bytes: 0,
            modified_at: Timestamp(0),
            clients: vec![ClientKind::Ajax],
        }
    }

    #[test]
    fn documents_of_one_name_on_two_servers_are_two_and_twice_on_one_are_one() {
        let listed = vec![
            told("QVS@b", "A.qvw"),
            told("QVS@a", "A.qvw"),
            told("QVS@a", "A.qvw"),
        ];
        let snapshot = Snapshot::told(listed, Arc::default());
        assert_eq!(snapshot.documents().len(), 2);
        let id = document_id("QVS@b|A.qvw");
        let found = snapshot.get_visible(&id, "ann", &[]).unwrap();
        assert_eq!(found.server.as_deref(), Some("QVS@b"));
    }

    #[test]
    fn the_rules_of_the_configuration_hide_more() {
        let rule = Rule {
            pattern: "Finance/**".to_owned(),
            users: vec!["ann".to_owned()],
            groups: Vec::new(),
        };
        let rules = Arc::new(Rules::new([rule]).unwrap());
        let listed = vec![told("QVS@a", "Finance/A.qvw"), told("QVS@a", "B.qvw")];
        let snapshot = Snapshot::told(listed, rules);
        let seen = |user| snapshot.visible_to(user, &[]).count();
        assert_eq!((seen("ann"), seen("bob")), (2, 1));
    }
}
