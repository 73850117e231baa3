//! The embedded API server, asked by the real client: what the product takes for granted of the real one.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent,
    WatchParams,
};
use kube::{Api, Client, Error};
use serde_json::json;
use serin::clock::Clock;
use serin::sim;
use serin::sim::world;

fn server() -> (sim::api::Api, Client) {
    let api = sim::api::Api::new(Clock::simulated());
    let client = world::client(&api, &serin::cli::embedded::person("alice"));
    (api, client)
}

fn map(name: &str, value: &str) -> ConfigMap {
    let text =
        json!({"metadata": {"name": name, "labels": {"value": value}}, "data": {"value": value}});
    serde_json::from_value(text).unwrap()
}

fn code<T>(outcome: Result<T, Error>) -> u16 {
    match outcome {
        Err(Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
        Ok(_) => 200,
    }
}

#[tokio::test(start_paused = true)]
async fn objects_are_made_read_changed_and_deleted() {
    let (_, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let made = maps
        .create(&PostParams::default(), &map("a", "1"))
        .await
        .unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    assert_eq!(
        code(maps.create(&PostParams::default(), &map("a", "1")).await),
        409
    );
    let mut stale = made.clone();
    let patch = Patch::Merge(json!({"data": {"value": "2"}}));
    let changed = maps
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_ne!(
        changed.metadata.resource_version,
        made.metadata.resource_version
    );
    let again = maps
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(
        again.metadata.resource_version, changed.metadata.resource_version,
        "nothing changed"
    );
    stale.data = None;
    assert_eq!(
        code(maps.replace("a", &PostParams::default(), &stale).await),
        409
    );
    let other = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some("other".to_owned()),
            ..Preconditions::default()
        }),
        ..DeleteParams::default()
    };
    assert_eq!(code(maps.delete("a", &other).await), 409);
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(code(maps.get("a").await), 404);
    assert_eq!(code(maps.delete("a", &DeleteParams::default()).await), 404);
    let elsewhere: Api<ConfigMap> = Api::namespaced(client, "nowhere");
    assert_eq!(
        code(
            elsewhere
                .create(&PostParams::default(), &map("a", "1"))
                .await
        ),
        404
    );
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages_and_by_label() {
    let (_, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for number in 0..7 {
        let map = map(
            &format!("m{number}"),
            if number % 2 == 0 { "even" } else { "odd" },
        );
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let mut pages = Vec::new();
    let mut params = ListParams::default().limit(3);
    loop {
        let page = maps.list(&params).await.unwrap();
        pages.push(page.items.len());
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(pages, [3, 3, 1]);
    let odd = maps
        .list(&ListParams::default().labels("value=odd"))
        .await
        .unwrap();
    assert_eq!(odd.items.len(), 3);
    let all: Api<ConfigMap> = Api::all(client.clone());
    assert_eq!(
        all.list(&ListParams::default()).await.unwrap().items.len(),
        7
    );
    let spaces: Api<Namespace> = Api::all(client);
    assert_eq!(
        spaces
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_fits_its_selector_and_where_it_is() {
    let (api, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let params = WatchParams::default().labels("value=yes").timeout(200);
    let from = api.revision().to_string();
    let mut watch = maps.watch(&params, &from).await.unwrap().boxed();
    maps.create(&PostParams::default(), &map("a", "no"))
        .await
        .unwrap();
    maps.create(&PostParams::default(), &map("b", "yes"))
        .await
        .unwrap();
    for value in ["yes", "no"] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"value": value}}}));
        maps.patch("a", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = watch.next().await {
        told.push(match event.unwrap() {
            WatchEvent::Added(map) => format!("added {}", map.metadata.name.unwrap()),
            WatchEvent::Modified(map) => format!("modified {}", map.metadata.name.unwrap()),
            WatchEvent::Deleted(map) => format!("deleted {}", map.metadata.name.unwrap()),
            WatchEvent::Bookmark(_) => "bookmark".to_owned(),
            WatchEvent::Error(status) => panic!("{status:?}"),
        });
    }
    assert_eq!(
        told,
        [
            "added b",
            "added a",
            "deleted a",
            "deleted b",
            "bookmark",
            "bookmark",
            "bookmark"
        ],
        "it ended after the 200 s that were asked for"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_what_is_forgotten_has_to_list_again() {
    let (api, client) = server();
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    maps.create(&PostParams::default(), &map("a", "1"))
        .await
        .unwrap();
    api.compact();
    let mut watch = maps
        .watch(&WatchParams::default(), "1")
        .await
        .unwrap()
        .boxed();
    let event = tokio::time::timeout(Duration::from_secs(1), watch.next()).await;
    let Ok(Some(Ok(WatchEvent::Error(status)))) = event else {
        panic!("{event:?}");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}
