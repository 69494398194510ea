//! Each rejection as a row of a table, and the invariants L1–L4 over random commands.

use proptest::prelude::*;

use super::*;

const BOOK: &str = "book";
const OTHER: &str = "other";

fn command(operation: Operation) -> Command {
    Command { book: BOOK.to_owned(), operation }
}

fn open(account: &str, cash: u64, holdings: &[(&str, u64)]) -> Operation {
    Operation::Open {
        account: account.to_owned(),
        cash,
        holdings: holdings.iter().map(|(symbol, n)| ((*symbol).to_owned(), *n)).collect(),
    }
}

fn deposit(account: &str, amount: u64) -> Operation {
    Operation::Deposit { account: account.to_owned(), amount }
}

fn withdraw(account: &str, amount: u64) -> Operation {
    Operation::Withdraw { account: account.to_owned(), amount }
}

fn trade(buyer: &str, seller: &str, symbol: &str, quantity: u64, price: u64) -> Operation {
    Operation::Trade(Terms {
        buyer: buyer.to_owned(),
        seller: seller.to_owned(),
        symbol: symbol.to_owned(),
        quantity,
        price,
    })
}

fn transfer(from: &str, to: &str, amount: u64) -> Operation {
    Operation::Transfer { from: from.to_owned(), to: to.to_owned(), amount }
}

fn transfer_across(from: &str, to_book: &str, to: &str, amount: u64) -> Operation {
    let (from, to_book, to) = (from.to_owned(), to_book.to_owned(), to.to_owned());
    Operation::TransferAcross { from, to_book, to, amount }
}

fn account(cash: u64, holdings: &[(&str, u64)]) -> Account {
    Account {
        cash,
        holdings: holdings.iter().map(|(symbol, n)| ((*symbol).to_owned(), *n)).collect(),
    }
}

/// Returns a ledger with a poor, a rich and a full account.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    for operation in [
        open("poor", 10, &[("A", 5)]),
        open("rich", 1_000, &[("A", 100), ("B", 1)]),
        open("full", u64::MAX, &[("A", u64::MAX)]),
    ] {
        ledger.apply(&command(operation)).unwrap();
    }
    for operation in [open("poor", 10, &[]), open("full", u64::MAX, &[])] {
        ledger.apply(&Command { book: OTHER.to_owned(), operation }).unwrap();
    }
    ledger
}

#[test]
fn rejections_come_in_their_order_and_change_nothing() {
    use Rejection::*;
    let long = "x".repeat(NAME_MAX + 1);
    let table = [
        // The first check that fails decides: each row of a group also fails the later checks.
        (trade("no", "no", "A", 0, u64::MAX), ZeroQuantity),
        (trade("no", "no", "A", 2, u64::MAX), SelfTrade),
        (trade("no", "poor", "A", 2, u64::MAX), UnknownAccount),
        (trade("poor", "no", "A", 2, u64::MAX), UnknownAccount),
        (trade("poor", "rich", "none", 2, u64::MAX), Overflow),
        (trade("poor", "rich", "none", 11, 1), InsufficientCash),
        (trade("rich", "poor", "A", 6, 1), InsufficientShares),
        (trade("poor", "rich", "none", 10, 1), InsufficientShares),
        (trade("rich", "full", "A", 1, 1), Overflow),
        (trade("full", "rich", "A", 1, 0), Overflow),
        (transfer("no", "no", 0), ZeroQuantity),
        (transfer("no", "no", 1), SelfTrade),
        (transfer("no", "poor", 1), UnknownAccount),
        (transfer("poor", "no", 1), UnknownAccount),
        (transfer("poor", "full", 11), InsufficientCash),
        (transfer("poor", "full", 10), Overflow),
        (transfer_across("no", BOOK, "no", 0), ZeroQuantity),
        (transfer_across("no", BOOK, "no", 1), SelfTrade),
        (transfer_across("no", OTHER, "no", 0), ZeroQuantity),
        (transfer_across("no", OTHER, "poor", 1), UnknownAccount),
        (transfer_across("poor", OTHER, "no", 1), UnknownAccount),
        (transfer_across("poor", "nowhere", "poor", 1), UnknownAccount),
        (transfer_across("poor", OTHER, "full", 11), InsufficientCash),
        (transfer_across("poor", OTHER, "full", 10), Overflow),
        (deposit("no", 0), ZeroQuantity),
        (deposit("no", 1), UnknownAccount),
        (deposit("full", 1), Overflow),
        (withdraw("no", 0), ZeroQuantity),
        (withdraw("no", 1), UnknownAccount),
        (withdraw("poor", 11), InsufficientCash),
        (open("", 0, &[]), InvalidName),
        (open(&long, 0, &[]), InvalidName),
        (open("poor", 0, &[("", 0)]), InvalidName),
        (open("poor", 0, &[(&long, 1)]), InvalidName),
        (open("poor", 0, &[("A", u64::MAX), ("A", 1)]), AccountExists),
        (open("new", 0, &[("A", u64::MAX), ("A", 1)]), Overflow),
        // Only what is to be created must have a valid name; other names are just not found.
        (deposit("", 1), UnknownAccount),
        (transfer(&long, "", 1), UnknownAccount),
    ];
    for (operation, rejection) in table {
        let mut ledger = ledger();
        let before = ledger.clone();
        let outcome = ledger.apply(&command(operation.clone()));
        assert_eq!(outcome, Err(rejection), "{operation:?}");
        assert_eq!(ledger, before, "{operation:?} was rejected but left a trace");
    }
}

#[test]
fn a_book_has_a_valid_name_or_does_not_begin() {
    for name in [String::new(), "x".repeat(NAME_MAX + 1)] {
        let mut ledger = Ledger::default();
        let command = Command { book: name, operation: open("a", 1, &[]) };
        assert_eq!(ledger.apply(&command), Err(Rejection::InvalidName));
        assert_eq!(ledger, Ledger::default());
    }
    let mut ledger = Ledger::default();
    let longest = Command { book: "x".repeat(NAME_MAX), operation: open("a", 1, &[]) };
    assert_eq!(ledger.apply(&longest), Ok(Receipt::Account(account(1, &[]))));
}

#[test]
fn an_unknown_book_has_no_accounts_and_stays_unknown() {
    let mut ledger = Ledger::default();
    for operation in
        [deposit("a", 1), withdraw("a", 1), trade("a", "b", "A", 1, 1), transfer("a", "b", 1)]
    {
        assert_eq!(ledger.apply(&command(operation)), Err(Rejection::UnknownAccount));
    }
    assert_eq!(ledger, Ledger::default());
    assert_eq!(
        ledger.query(&Query::Account { book: BOOK.to_owned(), account: "a".to_owned() }),
        Answer::Account(Err(Rejection::UnknownAccount))
    );
    assert_eq!(
        ledger.query(&Query::Book { book: BOOK.to_owned() }),
        Answer::Book { accounts: Vec::new(), trades: 0 }
    );
    assert_eq!(
        ledger.query(&Query::History { book: BOOK.to_owned(), from: 1, limit: 0 }),
        Answer::History { trades: Vec::new(), total: 0 }
    );
}

#[test]
fn receipts_show_the_state_just_after() {
    let mut ledger = ledger();
    let holdings = [("B", 0), ("C", 2), ("C", 3)];
    for (operation, receipt) in [
        (open("new", 7, &holdings), Receipt::Account(account(7, &[("C", 5)]))),
        (deposit("new", 3), Receipt::Account(account(10, &[("C", 5)]))),
        (withdraw("new", 10), Receipt::Account(account(0, &[("C", 5)]))),
        (trade("rich", "new", "C", 5, 100), Receipt::Trade(TradeNumber(1))),
        (trade("new", "poor", "A", 5, 0), Receipt::Trade(TradeNumber(2))),
        (transfer("new", "rich", 500), Receipt::Transfer { from_cash: 0 }),
    ] {
        assert_eq!(ledger.apply(&command(operation.clone())), Ok(receipt), "{operation:?}");
    }
    assert_eq!(
        ledger.query(&Query::Book { book: BOOK.to_owned() }),
        Answer::Book {
            accounts: vec![
                ("full".to_owned(), account(u64::MAX, &[("A", u64::MAX)])),
                ("new".to_owned(), account(0, &[("A", 5)])),
                ("poor".to_owned(), account(10, &[])),
                ("rich".to_owned(), account(1_000, &[("A", 100), ("B", 1), ("C", 5)])),
            ],
            trades: 2,
        }
    );
}

#[test]
fn history_is_read_from_a_number_with_a_bound() {
    let mut ledger = ledger();
    let count = HISTORY_MAX as u64 + 10;
    for _ in 0..count {
        ledger.apply(&command(trade("rich", "full", "A", 1, 0))).unwrap();
    }
    let read = |from, limit| {
        let query = Query::History { book: BOOK.to_owned(), from, limit };
        let Answer::History { trades, total } = ledger.query(&query) else {
            panic!("a history was asked for")
        };
        assert_eq!(total, count);
        let numbers: Vec<u64> = trades.iter().map(|trade| trade.number.0).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        (numbers.first().copied(), numbers.len())
    };
    for (from, limit, expected) in [
        (1, 0, (Some(1), HISTORY_MAX)),
        (0, 0, (Some(1), HISTORY_MAX)),
        (1, usize::MAX, (Some(1), HISTORY_MAX)),
        (5, 3, (Some(5), 3)),
        (count, 3, (Some(count), 1)),
        (count + 1, 3, (None, 0)),
        (u64::MAX, 0, (None, 0)),
    ] {
        assert_eq!(read(from, limit), expected, "from {from}, limit {limit}");
    }
}

#[test]
fn cash_moves_across_books_at_once_and_all_of_them_are_read_at_once() {
    let mut ledger = ledger();
    let cash = |ledger: &Ledger, books: &[&str]| {
        let books = books.iter().map(|&book| book.to_owned()).collect();
        let Answer::Books(found) = ledger.query(&Query::Books { books }) else {
            panic!("books answer for themselves");
        };
        let cash = |(book, content): (String, Content)| {
            let poor = content.accounts.into_iter().find(|(name, _)| name == "poor");
            (book, poor.map(|(_, account)| account.cash))
        };
        found.into_iter().map(cash).collect::<Vec<_>>()
    };
    let s = str::to_owned;
    let both = |one, other| vec![(s(BOOK), Some(one)), (s(OTHER), Some(other))];
    assert_eq!(cash(&ledger, &[]), both(10, 10));
    let across = command(transfer_across("poor", OTHER, "poor", 4));
    assert_eq!(ledger.apply(&across), Ok(Receipt::Transfer { from_cash: 6 }));
    assert_eq!(cash(&ledger, &[]), both(6, 14));
    // Within a book it is the transfer that it looks like.
    let within = command(transfer_across("rich", BOOK, "poor", 1_000));
    assert_eq!(ledger.apply(&within), Ok(Receipt::Transfer { from_cash: 0 }));
    assert_eq!(cash(&ledger, &[OTHER, "nowhere"]), [(s("nowhere"), None), (s(OTHER), Some(14))]);
    assert_eq!(cash(&ledger, &[BOOK]), [(s(BOOK), Some(1_006))]);
}

/// Few names and amounts, so that commands meet; now and then an amount at the edge of the range.
fn operations() -> impl Strategy<Value = Operation> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]);
    let symbol = || prop::sample::select(vec!["A", "B"]);
    let book = || prop::sample::select(vec![BOOK, OTHER]);
    let amount = || prop_oneof![8 => 0..50_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX / 2)];
    prop_oneof![
        (name(), amount(), prop::collection::vec((symbol(), amount()), 0..3))
            .prop_map(|(account, cash, holdings)| open(account, cash, &holdings)),
        (name(), amount()).prop_map(|(account, amount)| deposit(account, amount)),
        (name(), amount()).prop_map(|(account, amount)| withdraw(account, amount)),
        (name(), name(), symbol(), amount(), amount())
            .prop_map(|(buyer, seller, symbol, n, price)| trade(buyer, seller, symbol, n, price)),
        (name(), name(), amount()).prop_map(|(from, to, amount)| transfer(from, to, amount)),
        (name(), book(), name(), amount())
            .prop_map(|(from, book, to, amount)| transfer_across(from, book, to, amount)),
    ]
}

/// Returns the cash of all accounts and the shares by symbol, wide enough not to overflow.
fn sums(ledger: &Ledger) -> (u128, BTreeMap<String, u128>) {
    let mut cash = 0;
    let mut shares = BTreeMap::new();
    for account in ledger.books.values().flat_map(|book| book.accounts.values()) {
        cash += u128::from(account.cash);
        for (symbol, quantity) in &account.holdings {
            assert_ne!(*quantity, 0, "L4: an empty holding of {symbol}");
            *shares.entry(symbol.clone()).or_default() += u128::from(*quantity);
        }
    }
    (cash, shares)
}

proptest! {
    #[test]
    fn cash_and_shares_are_conserved(operations in prop::collection::vec(operations(), 1..60)) {
        let mut ledger = Ledger::default();
        for account in ["a", "b"] {
            let operation = open(account, 50, &[]);
            ledger.apply(&Command { book: OTHER.to_owned(), operation }).unwrap();
        }
        let mut expected = sums(&ledger);
        let mut traded = Vec::new();
        for operation in operations {
            let before = ledger.clone();
            match ledger.apply(&command(operation.clone())) {
                Err(_) => prop_assert_eq!(&ledger, &before, "L2: {:?}", operation),
                Ok(receipt) => match (operation, receipt) {
                    (Operation::Open { cash, holdings, .. }, _) => {
                        expected.0 += u128::from(cash);
                        for (symbol, quantity) in holdings.into_iter().filter(|(_, n)| *n > 0) {
                            *expected.1.entry(symbol).or_default() += u128::from(quantity);
                        }
                    }
                    (Operation::Deposit { amount, .. }, _) => expected.0 += u128::from(amount),
                    (Operation::Withdraw { amount, .. }, _) => expected.0 -= u128::from(amount),
                    (Operation::Trade(terms), Receipt::Trade(number)) => {
                        traded.push(Trade { number, terms });
                    }
                    (
                        Operation::Transfer { .. } | Operation::TransferAcross { .. },
                        Receipt::Transfer { .. },
                    ) => {}
                    other => prop_assert!(false, "an unfitting receipt: {:?}", other),
                },
            }
            prop_assert_eq!(&sums(&ledger), &expected, "L1");
        }
        let numbers: Vec<u64> = traded.iter().map(|trade| trade.number.0).collect();
        prop_assert_eq!(numbers, (1..=traded.len() as u64).collect::<Vec<_>>(), "L3");
        let history = Query::History { book: BOOK.to_owned(), from: 1, limit: 0 };
        let total = traded.len() as u64;
        prop_assert_eq!(ledger.query(&history), Answer::History { trades: traded, total });
    }
}
