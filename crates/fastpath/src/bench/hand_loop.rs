//! A hand-written sequential loop: a hash map, the transfers one after the other, the same receipts
//! and the same root. It is the baseline for the library's plain loop.

use std::collections::HashMap;

use ahash::RandomState;

use super::transaction::{BenchTransaction, Kind, burn};
use super::workload::Workload;
use crate::block::{Block, Space};
use crate::pool::Pool;
use crate::receipt::{Output, Path, Receipt, Status};
use crate::state::root::{Root, Tree, path};
use crate::value::{Key, Value};

struct Account {
    balance: u64,
    path: [u8; 32],
    /// Number of the last block that wrote the account.
    written: u64,
}

/// The accounts and the root of the hand-written loop.
pub(crate) struct HandLoop {
    accounts: HashMap<Key, Account, RandomState>,
    tree: Tree,
    pool: Pool,
    block: u64,
}

impl HandLoop {
    /// Creates the accounts of a workload of transfers.
    pub(crate) fn new(workload: &Workload) -> std::io::Result<Self> {
        let (tree, pool) = (Tree::default(), Pool::new(1, false)?);
        let mut accounts = HashMap::default();
        for (key, value) in workload.genesis() {
            let path = path(Space::Plain, &key);
            accounts.insert(key, Account { balance: value.as_u64(), path, written: 0 });
        }
        let entry = |account: &Account| (account.path, Value::from_u64(account.balance));
        tree.apply(accounts.values().map(entry), &pool);
        Ok(Self { accounts, tree, pool, block: 0 })
    }

    /// Executes a block of transfers.
    pub(crate) fn execute(&mut self, block: &Block<BenchTransaction>) -> (Vec<Receipt>, Root) {
        self.block += 1;
        let mut receipts = Vec::with_capacity(block.transactions.len());
        let mut dirty = Vec::new();
        for transaction in &block.transactions {
            debug_assert_eq!(transaction.kind, Kind::Transfer);
            let [a, b, _] = &transaction.keys;
            let balance =
                |key| self.accounts.get(key).map_or(0, |account: &Account| account.balance);
            let (from, to) = (balance(a), balance(b));
            let word = burn(transaction.turns, from ^ to);
            let mut receipt = Receipt { path: Path::Consensus, attempts: 1, ..Receipt::default() };
            match from.checked_sub(1) {
                None => receipt.status = Status::Aborted { code: 1 },
                Some(left) => {
                    for (key, balance) in [(a, left), (b, to + 1)] {
                        if let Some(account) = self.accounts.get_mut(key) {
                            account.balance = balance;
                            if account.written != self.block {
                                account.written = self.block;
                                dirty.push(*key);
                            }
                        }
                    }
                    receipt.output = Output::Word(word);
                }
            }
            receipts.push(receipt);
        }
        let entries = dirty.iter().filter_map(|key| {
            let account = self.accounts.get(key)?;
            Some((account.path, Value::from_u64(account.balance)))
        });
        self.tree.apply(entries, &self.pool);
        (receipts, self.tree.root())
    }
}
