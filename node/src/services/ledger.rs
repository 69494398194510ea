//! The ledger's service.

use std::collections::BTreeSet;

use machine::ledger::{Answer, Content, Outcome, Query, Receipt};
use proto::ledger::ledger_server::Ledger;
use proto::ledger::{
    AccountResponse, BookContent, DepositRequest, GetAccountRequest, GetBookRequest,
    GetBookResponse, GetBooksRequest, GetBooksResponse, GetHistoryRequest, GetHistoryResponse,
    OpenAccountRequest, TradeRequest, TradeResponse, TransferAcrossRequest, TransferRequest,
    TransferResponse, WithdrawRequest, account_response, trade_response, transfer_response,
};
use proto::log::command::Command as Logged;
use raft::LogIndex;
use tonic::{Request, Response, Status};

use super::{ClientServices, session, status};
use crate::wire::answer;

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Ledger for ClientServices {
    async fn open_account(
        &self,
        request: Request<OpenAccountRequest>,
    ) -> Answered<AccountResponse> {
        let name = request.get_ref().account.clone();
        self.change_account(name, request, Logged::OpenAccount).await
    }

    async fn deposit(&self, request: Request<DepositRequest>) -> Answered<AccountResponse> {
        let name = request.get_ref().account.clone();
        self.change_account(name, request, Logged::Deposit).await
    }

    async fn withdraw(&self, request: Request<WithdrawRequest>) -> Answered<AccountResponse> {
        let name = request.get_ref().account.clone();
        self.change_account(name, request, Logged::Withdraw).await
    }

    async fn trade(&self, request: Request<TradeRequest>) -> Answered<TradeResponse> {
        let (index, outcome) = self.change_book(request, Logged::Trade).await?;
        let result = match outcome {
            Ok(Receipt::Trade(number)) => trade_response::Result::Trade(number.0),
            Ok(_) => return Err(status::confused()),
            Err(rejection) => trade_response::Result::Rejection(answer::rejection(rejection)),
        };
        Ok(Response::new(TradeResponse { index: index.0, result: Some(result) }))
    }

    async fn transfer(&self, request: Request<TransferRequest>) -> Answered<TransferResponse> {
        self.change_cash(request, Logged::Transfer).await
    }

    async fn transfer_across(
        &self,
        request: Request<TransferAcrossRequest>,
    ) -> Answered<TransferResponse> {
        self.change_cash(request, Logged::TransferAcross).await
    }

    async fn get_account(&self, request: Request<GetAccountRequest>) -> Answered<AccountResponse> {
        let GetAccountRequest { book, account } = request.into_inner();
        let query = Query::Account { book, account: account.clone() };
        let (index, Answer::Account(found)) = self.look(query).await? else {
            unreachable!("an account was asked for")
        };
        let result = match found {
            Ok(found) => account_response::Result::Account(answer::account(account, found)),
            Err(rejection) => account_response::Result::Rejection(answer::rejection(rejection)),
        };
        let response = AccountResponse { index: index.0, result: Some(result) };
        status::bounded(response).map(Response::new)
    }

    async fn get_book(&self, request: Request<GetBookRequest>) -> Answered<GetBookResponse> {
        let query = Query::Book { book: request.into_inner().book };
        let (index, Answer::Book { accounts, trades }) = self.look(query).await? else {
            unreachable!("a book was asked for")
        };
        let accounts =
            accounts.into_iter().map(|(name, account)| answer::account(name, account)).collect();
        let response = GetBookResponse { index: index.0, accounts, trades };
        status::bounded(response).map(Response::new)
    }

    async fn get_books(&self, request: Request<GetBooksRequest>) -> Answered<GetBooksResponse> {
        let books: BTreeSet<String> = request.into_inner().books.into_iter().collect();
        let (index, Answer::Books(found)) = self.look(Query::Books { books }).await? else {
            unreachable!("books were asked for")
        };
        let content = |(book, Content { accounts, trades }): (String, Content)| {
            let accounts = accounts.into_iter().map(|(name, it)| answer::account(name, it));
            BookContent { book, accounts: accounts.collect(), trades }
        };
        let books = found.into_iter().map(content).collect();
        status::bounded(GetBooksResponse { index: index.0, books }).map(Response::new)
    }

    async fn get_history(
        &self,
        request: Request<GetHistoryRequest>,
    ) -> Answered<GetHistoryResponse> {
        let GetHistoryRequest { book, from, limit } = request.into_inner();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let query = Query::History { book, from, limit };
        let (index, Answer::History { trades, total }) = self.look(query).await? else {
            unreachable!("a history was asked for")
        };
        let trades = trades.into_iter().map(answer::trade).collect();
        Ok(Response::new(GetHistoryResponse { index: index.0, trades, total }))
    }
}

impl ClientServices {
    async fn change_book<T>(
        &self,
        request: Request<T>,
        logged: impl FnOnce(T) -> Logged,
    ) -> Result<(LogIndex, Outcome), Status> {
        let ticket = session::ticket(request.metadata())?;
        match self.propose(ticket, logged(request.into_inner())).await? {
            (index, machine::Outcome::Ledger(outcome)) => Ok((index, outcome)),
            _ => Err(status::confused()),
        }
    }

    async fn change_cash<T>(
        &self,
        request: Request<T>,
        logged: impl FnOnce(T) -> Logged,
    ) -> Answered<TransferResponse> {
        let (index, outcome) = self.change_book(request, logged).await?;
        let result = match outcome {
            Ok(Receipt::Transfer { from_cash }) => transfer_response::Result::FromCash(from_cash),
            Ok(_) => return Err(status::confused()),
            Err(rejection) => transfer_response::Result::Rejection(answer::rejection(rejection)),
        };
        Ok(Response::new(TransferResponse { index: index.0, result: Some(result) }))
    }

    async fn change_account<T>(
        &self,
        name: String,
        request: Request<T>,
        logged: impl FnOnce(T) -> Logged,
    ) -> Answered<AccountResponse> {
        let (index, outcome) = self.change_book(request, logged).await?;
        let result = match outcome {
            Ok(Receipt::Account(after)) => {
                account_response::Result::Account(answer::account(name, after))
            }
            Ok(_) => return Err(status::confused()),
            Err(rejection) => account_response::Result::Rejection(answer::rejection(rejection)),
        };
        let response = AccountResponse { index: index.0, result: Some(result) };
        status::bounded_applied(response).map(Response::new)
    }

    async fn look(&self, query: Query) -> Result<(LogIndex, Answer), Status> {
        match self.read(machine::Query::Ledger(query)).await? {
            (index, machine::Answer::Ledger(answer)) => Ok((index, answer)),
            (_, other) => unreachable!("the ledger was asked, but {other:?} answered"),
        }
    }
}
