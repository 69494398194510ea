//! The key-value store's service.

use machine::kv::{Outcome, Query};
use proto::kv::kv_server::Kv;
use proto::kv::{
    AppendRequest, AppendResponse, CompareAndSetRequest, CompareAndSetResponse, DeleteRequest,
    DeleteResponse, GetRequest, GetResponse, PutRequest, PutResponse,
};
use proto::log::command::Command as Logged;
use raft::LogIndex;
use tonic::{Request, Response, Status};

use super::{ClientServices, session, status};

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Kv for ClientServices {
    async fn put(&self, request: Request<PutRequest>) -> Answered<PutResponse> {
        match self.change(request, Logged::Put).await? {
            (index, Outcome::Put) => Ok(Response::new(PutResponse { index: index.0 })),
            _ => Err(status::confused()),
        }
    }

    async fn get(&self, request: Request<GetRequest>) -> Answered<GetResponse> {
        let query = machine::Query::Kv(Query { key: request.into_inner().key });
        match self.read(query).await? {
            (index, machine::Answer::Kv(answer)) => {
                let response = GetResponse { index: index.0, value: answer.value };
                status::bounded(response).map(Response::new)
            }
            (_, other) => unreachable!("the store was asked, but {other:?} answered"),
        }
    }

    async fn compare_and_set(
        &self,
        request: Request<CompareAndSetRequest>,
    ) -> Answered<CompareAndSetResponse> {
        match self.change(request, Logged::CompareAndSet).await? {
            (index, Outcome::CompareAndSet { swapped, found }) => {
                let response = CompareAndSetResponse { index: index.0, swapped, found };
                status::bounded_applied(response).map(Response::new)
            }
            _ => Err(status::confused()),
        }
    }

    async fn append(&self, request: Request<AppendRequest>) -> Answered<AppendResponse> {
        match self.change(request, Logged::Append).await? {
            (index, Outcome::Append { length }) => {
                Ok(Response::new(AppendResponse { index: index.0, length }))
            }
            _ => Err(status::confused()),
        }
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Answered<DeleteResponse> {
        match self.change(request, Logged::Delete).await? {
            (index, Outcome::Delete { existed }) => {
                Ok(Response::new(DeleteResponse { index: index.0, existed }))
            }
            _ => Err(status::confused()),
        }
    }
}

impl ClientServices {
    async fn change<T>(
        &self,
        request: Request<T>,
        logged: impl FnOnce(T) -> Logged,
    ) -> Result<(LogIndex, Outcome), Status> {
        let ticket = session::ticket(request.metadata())?;
        match self.propose(ticket, logged(request.into_inner())).await? {
            (index, machine::Outcome::Kv(outcome)) => Ok((index, outcome)),
            _ => Err(status::confused()),
        }
    }
}
