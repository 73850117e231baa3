//! The controllers of a story, each on its own way to the API server.

use std::sync::Arc;
use std::time::Duration;

use serin::cli::embedded;
use serin::clock::Clock;
use serin::http_client::Http;
use serin::sim::api::Api;

use crate::story::crash::Crash;
use crate::story::door::Door;

/// What a controller needs.
pub(crate) struct Scene {
    pub(crate) api: Api,
    pub(crate) http: Http,
    pub(crate) clock: Clock,
}

impl Scene {
    /// One controller, and after its crash another.
    pub(crate) async fn play(self, crash: Option<Arc<Crash>>, lag: Duration) {
        let Some(crash) = crash else {
            return self.alone(1, Door::new(&self.api).late_by(lag)).await;
        };
        tokio::select! {
            () = self.alone(1, Door::new(&self.api).crashing(crash.clone())) => {}
            () = crash.now.notified() => {}
        }
        self.alone(2, Door::new(&self.api).late_by(lag)).await;
    }

    /// A controller that leads at once.
    fn alone(&self, number: u32, door: Door) -> impl Future<Output = ()> + use<> {
        self.controller(&format!("serin-{number}"), Arc::new(door), false)
    }

    /// A controller that stands for election.
    pub(crate) fn elected(&self, name: &str, door: Arc<Door>) -> impl Future<Output = ()> + use<> {
        self.controller(name, door, true)
    }

    /// The only controller, on this way.
    pub(crate) fn on(&self, door: Arc<Door>) -> impl Future<Output = ()> + use<> {
        self.controller("serin-1", door, false)
    }

    fn controller(
        &self,
        name: &str,
        door: Arc<Door>,
        elect: bool,
    ) -> impl Future<Output = ()> + use<> {
        let mut settings = embedded::settings(self.clock, name);
        settings.elect = elect;
        let connect = move || Ok(door.client());
        let controller = embedded::controller(connect, self.http.clone(), settings).unwrap();
        controller.run(std::future::pending())
    }
}
