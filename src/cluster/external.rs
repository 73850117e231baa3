//! External metrics, which some adapter serves behind the API server.

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use kube::client::Body;

use crate::cluster::{Cluster, ClusterError, limited};

/// Longest reply that is read: an adapter is a server of other people.
const MAX_REPLY: usize = 1024 * 1024;

impl Cluster {
    /// The whole reply to a GET of this path, of whatever status.
    ///
    /// # Errors
    /// When there is none in time, or it is too long.
    pub async fn external_metrics(&self, path: &Uri) -> Result<Response<Bytes>, ClusterError> {
        let request = Request::get(path).body(Body::empty());
        let asked = async {
            let request = request.map_err(kube::Error::HttpError)?;
            whole(self.client().send(request).await?).await
        };
        limited("read", &"external metrics", asked).await
    }
}

async fn whole(reply: Response<Body>) -> Result<Response<Bytes>, kube::Error> {
    let (parts, mut body) = reply.into_parts();
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if read.len() + data.len() > MAX_REPLY {
            let why = format!("the reply is longer than {MAX_REPLY} bytes");
            return Err(kube::Error::Service(why.into()));
        }
        read.extend_from_slice(&data);
    }
    Ok(Response::from_parts(parts, read.freeze()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::StatusCode;
    use http_body_util::Full;

    use super::*;

    /// A door to an API server that answers everything like this.
    fn door(status: u16, length: usize) -> Cluster {
        let send = move |request: Request<Body>| async move {
            assert_eq!(request.uri().path(), "/apis/x");
            let body = Full::new(Bytes::from(vec![b'x'; length]));
            let reply = Response::builder().status(status).body(body);
            Ok::<_, Infallible>(reply.unwrap())
        };
        Cluster::over(move || Ok(kube::Client::new(tower::service_fn(send), "default"))).unwrap()
    }

    #[tokio::test]
    async fn a_reply_is_whole_or_an_error() {
        let path = Uri::from_static("/apis/x?labelSelector=a");
        let reply = door(200, MAX_REPLY).external_metrics(&path).await.unwrap();
        assert_eq!(reply.body().len(), MAX_REPLY);
        let long = door(200, MAX_REPLY + 1).external_metrics(&path).await;
        assert!(matches!(long, Err(ClusterError::Api { .. })));
        let refused = door(403, 1).external_metrics(&path).await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
}
