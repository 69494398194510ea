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

use super::{ClientServices, status};

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Kv for ClientServices {
    async fn put(&self, request: Request<PutRequest>) -> Answered<PutResponse> {
        match self.change(Logged::Put(request.into_inner())).await? {
            (index, Outcome::Put) => Ok(Response::new(PutResponse { index: index.0 })),
            (_, other) => unreachable!("a put is not answered by {other:?}"),
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
        match self.change(Logged::CompareAndSet(request.into_inner())).await? {
            (index, Outcome::CompareAndSet { swapped, found }) => {
                Ok(Response::new(CompareAndSetResponse { index: index.0, swapped, found }))
            }
            (_, other) => unreachable!("a comparison is not answered by {other:?}"),
        }
    }

    async fn append(&self, request: Request<AppendRequest>) -> Answered<AppendResponse> {
        match self.change(Logged::Append(request.into_inner())).await? {
            (index, Outcome::Append { length }) => {
                Ok(Response::new(AppendResponse { index: index.0, length }))
            }
            (_, other) => unreachable!("an append is not answered by {other:?}"),
        }
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Answered<DeleteResponse> {
        match self.change(Logged::Delete(request.into_inner())).await? {
            (index, Outcome::Delete { existed }) => {
                Ok(Response::new(DeleteResponse { index: index.0, existed }))
            }
            (_, other) => unreachable!("a delete is not answered by {other:?}"),
        }
    }
}

impl ClientServices {
    async fn change(&self, request: Logged) -> Result<(LogIndex, Outcome), Status> {
        match self.propose(request).await? {
            (index, machine::Outcome::Kv(outcome)) => Ok((index, outcome)),
            (_, other) => unreachable!("the store was asked, but {other:?} answered"),
        }
    }
}
