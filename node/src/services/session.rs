//! The service of client sessions, and the metadata by which other requests take part in one.

use std::time::Duration;

use machine::session::Outcome;
use proto::log::command::Command as Logged;
use proto::session::session_server::Session;
use proto::session::{
    CloseRequest, CloseResponse, KeepAliveRequest, KeepAliveResponse, OpenRequest, OpenResponse,
};
use proto::{SESSION_KEY, Ticket};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::{ClientServices, status};

/// How long a session lives that was opened without a wish: time enough for a few elections and for a
/// client that was paused, and short enough that those of crashed clients are soon gone.
const TTL_DEFAULT: Duration = Duration::from_secs(60);

type Answered<T> = Result<Response<T>, Status>;

/// Returns the ticket that a request carries, if any.
pub(super) fn ticket(metadata: &MetadataMap) -> Result<Option<Ticket>, Status> {
    let mut values = metadata.get_all(SESSION_KEY).iter();
    let (first, second) = (values.next(), values.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let ticket = value.to_str().ok().and_then(|text| text.parse().ok());
            ticket.map(Some).ok_or_else(status::malformed_ticket)
        }
        (Some(_), Some(_)) => Err(status::malformed_ticket()),
    }
}

#[tonic::async_trait]
impl Session for ClientServices {
    async fn open(&self, request: Request<OpenRequest>) -> Answered<OpenResponse> {
        let mut request = request.into_inner();
        if request.ttl_ms == 0 {
            request.ttl_ms = millis(TTL_DEFAULT);
        }
        match self.replicate(None, Logged::OpenSession(request)).await? {
            (index, Outcome::Opened { session, ttl }) => Ok(Response::new(OpenResponse {
                index: index.0,
                session: session.0,
                ttl_ms: millis(ttl),
            })),
            (_, other) => unreachable!("an open is not answered by {other:?}"),
        }
    }

    async fn keep_alive(&self, request: Request<KeepAliveRequest>) -> Answered<KeepAliveResponse> {
        match self.replicate(None, Logged::KeepSessionAlive(request.into_inner())).await? {
            (index, Outcome::KeptAlive { ttl }) => {
                Ok(Response::new(KeepAliveResponse { index: index.0, ttl_ms: millis(ttl) }))
            }
            (_, Outcome::Refused(refusal)) => Err(status::refused(refusal)),
            (_, other) => unreachable!("a sign of life is not answered by {other:?}"),
        }
    }

    async fn close(&self, request: Request<CloseRequest>) -> Answered<CloseResponse> {
        match self.replicate(None, Logged::CloseSession(request.into_inner())).await? {
            (index, Outcome::Closed { existed }) => {
                Ok(Response::new(CloseResponse { index: index.0, existed }))
            }
            (_, other) => unreachable!("a close is not answered by {other:?}"),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proto::{NOT_APPLIED, OUTCOME_KEY};
    use tonic::Code;

    use super::*;

    #[test]
    fn a_request_has_one_ticket_or_none() {
        let metadata = |values: &[&str]| {
            let mut metadata = MetadataMap::new();
            for value in values {
                metadata.append(SESSION_KEY, value.parse().unwrap());
            }
            metadata
        };
        assert_eq!(ticket(&metadata(&[])).unwrap(), None);
        let expected = Ticket { session: 3, sequence: 8, first_unanswered: 7 };
        assert_eq!(ticket(&metadata(&["3/8/7"])).unwrap(), Some(expected));
        for wrong in [&["3"][..], &[""], &["3/8/7", "3/8/7"], &["3/8", "x"]] {
            let status = ticket(&metadata(wrong)).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{wrong:?}");
            let marker = status.metadata().get(OUTCOME_KEY);
            assert!(marker.is_some_and(|marker| marker == NOT_APPLIED), "{wrong:?}");
        }
    }
}
