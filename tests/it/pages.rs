//! The pages over HTTPS, beyond what each part of the gateway tries on its own.

#![cfg(test)]

use accesspoint::clock::Clock;
use serde_json::Value;

use crate::gateway::{Client, Gateway};

async fn ann(gateway: &Gateway) -> Client {
    gateway.add("ann", &[]).await;
    gateway.signed_in("ann").await
}

#[tokio::test(flavor = "multi_thread")]
async fn help_stands_on_every_page_and_behind_every_way_out_that_asks() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let help = "[help]\ntext = 'Ring 4711'\naddress = 'mailto:help@corp.example'\n";
    let gateway = Gateway::with_clock(0, help, clock, |_| ()).await;
    let ann = ann(&gateway).await;
    for path in ["/login", "/", "/nowhere"] {
        let page = ann.get(path).await.text();
        let link = "<a href=\"mailto:help@corp.example\">Ring 4711</a>";
        assert!(page.contains(link), "{path}: {page}");
    }
    let refused = ann.open(&gateway.document("Sales/Orders"), "plugin").await;
    refused.problem(403, "LICENSE_HAS_NO_NAMED_CALS");
    let ways = refused.body["way_out"].as_array().unwrap();
    let urls: Vec<&Value> = ways.iter().map(|way| &way["url"]).collect();
    assert!(
        urls.contains(&&Value::from("mailto:help@corp.example")),
        "{ways:?}"
    );
}
