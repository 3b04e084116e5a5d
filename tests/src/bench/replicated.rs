//! What replication costs: four validators against one of the same binary, measured in turn by one client.
//!
//! The operations are those of Castro and Liskov's PBFT paper (OSDI'99, table 1): *a/b* is an operation with an argument
//! of *a* KiB and a result of *b* KiB. A read-write operation is a signed transaction, from submit until it is closed and
//! durable at the server asked. A read-only one asks one server, or, as PBFT's client does, all of them until 2f + 1
//! answers are the same. The single server also nominates, ballots, signs and commits to SQLite.

use super::etcd::Etcd;
use super::machine::Machine;
use super::slices::{ROUNDS, Ratio, alternate};
use super::{CLOSE_WITHIN, network, signed};
use crate::cluster::{Cluster, client};
use fba_server::cli::client::Client;
use fba_server::cli::text;
use fba_server::demo::{Payers, next_sequence};
use fba_server::http::dto::TransactionStatus;
use fba_server::key::SecretKey;
use fba_server::ledger::{AccountId, Operation, SignedTransaction};
use std::path::Path;
use std::sync::mpsc;

/// Validators of the replicated side: f = 1.
const REPLICAS: usize = 4;

/// The names of the entries that are read.
const SMALL: &str = "small";
const LARGE: &str = "large";

/// An argument or result of 4 KiB.
pub(super) const LARGE_BYTES: usize = 4096;

/// One kind of operation: argument/result in KiB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Size {
    ZeroZero,
    FourZero,
    ZeroFour,
}

impl Size {
    const ALL: [Self; 3] = [Self::ZeroZero, Self::FourZero, Self::ZeroFour];

    const fn name(self) -> &'static str {
        match self {
            Self::ZeroZero => "0/0",
            Self::FourZero => "4/0",
            Self::ZeroFour => "0/4",
        }
    }
}

/// How it is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Write,
    /// Ask one server.
    AskOne,
    /// Ask all, accept what 2f + 1 of them say.
    AskQuorum,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Write, Self::AskOne, Self::AskQuorum];

    const fn name(self) -> &'static str {
        match self {
            Self::Write => "read-write",
            Self::AskOne => "read-only, one server",
            Self::AskQuorum => "read-only, 2f+1 answers",
        }
    }
}

/// PBFT's ratio of replicated to unreplicated, from the paper. Its read-only operations ask all replicas.
const fn pbft(mode: Mode, size: Size) -> Option<f64> {
    match (mode, size) {
        (Mode::Write, Size::ZeroZero) => Some(4.09),
        (Mode::Write, Size::FourZero) => Some(3.07),
        (Mode::Write, Size::ZeroFour) => Some(1.72),
        (Mode::AskOne, _) => None,
        (Mode::AskQuorum, Size::ZeroZero) => Some(1.98),
        (Mode::AskQuorum, Size::FourZero) => Some(1.51),
        (Mode::AskQuorum, Size::ZeroFour) => Some(1.27),
    }
}

/// Measures all of it in `folder` and prints a table.
///
/// # Panics
/// When a server does not do its part.
pub fn run(program: &Path, folder: &Path) {
    let mut many = Side::new(program, &folder.join("replicated"), REPLICAS);
    let mut one = Side::new(program, &folder.join("unreplicated"), 1);
    let etcd = Etcd::find().map(|etcd| (etcd.start(&folder.join("etcd-3"), 3), etcd.start(&folder.join("etcd-1"), 1)));
    println!("{}", Machine::look().line());
    println!(
        "four validators against one, {ROUNDS} slices of each in turn; median [least, most] of the rounds' ratios; in {}",
        folder.display()
    );
    let mut table = text::table(&["operation", "", "four / one", "ratio", "PBFT", "etcd, three / one", "ratio"]);
    for (mode, size) in Mode::ALL.into_iter().flat_map(|mode| Size::ALL.map(|size| (mode, size))) {
        let ours = alternate(|| many.perform(mode, size), || one.perform(mode, size));
        let theirs = etcd.as_ref().and_then(|(three, one)| {
            let (three, one) = (three.operation(mode, size)?, one.operation(mode, size)?);
            Some(alternate(|| three.call(), || one.call()))
        });
        let [times, ratio] = ours.cells();
        let [etcd_times, etcd_ratio] = theirs.map_or([String::from("–"), String::from("–")], Ratio::cells);
        let paper = pbft(mode, size).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        table.add_row([mode.name(), size.name(), &times, &ratio, &paper, &etcd_times, &etcd_ratio]);
    }
    println!("{table}");
    if etcd.is_none() {
        println!("etcd: not measured, there is no `etcd` on the PATH");
    }
    println!(
        "A 4 KiB result is read from the server that closed the transaction; a read with a 4 KiB argument submits a \
         transaction that is closed already. etcd is crash-tolerant only and signs nothing; it is asked over its JSON \
         gateway, read-only at one server is `serializable`, else linearizable. PBFT's figures are its paper's."
    );
    println!("{}", Machine::look().line());
}

/// A network and the one client of it.
struct Side {
    cluster: Cluster,
    client: Client,
    key: SecretKey,
    to: AccountId,
    next: u64,
    panel: Panel,
    closed: SignedTransaction,
}

impl Side {
    fn new(program: &Path, folder: &Path, validators: usize) -> Self {
        let cluster = network(program, folder, validators, 0);
        let first = cluster.client(0);
        let payers = Payers::open(&first, cluster.network(), &cluster.root_key(), 2, 0).expect("accounts");
        let [key, to] = payers.keys() else { panic!("two payers were asked for") };
        let (key, to) = (key.clone(), AccountId::of(to));
        let next = next_sequence(&first, AccountId::of(&key)).expect("the payer's account");
        let closed = signed(&cluster, &key, next, entry(LARGE, LARGE_BYTES, 0));
        let panel = Panel::new(&cluster);
        let mut side = Self { client: first, key, to, next, panel, closed, cluster };
        side.submit(&side.closed.clone());
        side.next += 1;
        side.write(entry(SMALL, 1, 0));
        let last = side.cluster.highest();
        side.cluster.all_closed(last);
        side
    }

    fn perform(&mut self, mode: Mode, size: Size) {
        let question = match size {
            Size::ZeroZero => Question::Entry(SMALL),
            Size::FourZero => Question::Closed,
            Size::ZeroFour => Question::Entry(LARGE),
        };
        match (mode, size) {
            (Mode::Write, Size::ZeroZero) => self.write(Operation::Payment { to: self.to, amount: 1 }),
            (Mode::Write, Size::FourZero) => self.write(entry("argument", LARGE_BYTES, self.next)),
            (Mode::Write, Size::ZeroFour) => {
                self.write(Operation::Payment { to: self.to, amount: 1 });
                drop(self.ask(question).answer(&self.client));
            }
            (Mode::AskOne, _) => drop(self.ask(question).answer(&self.client)),
            (Mode::AskQuorum, _) => {
                let asked = self.ask(question);
                self.panel.agree(&asked);
            }
        }
    }

    fn write(&mut self, operation: Operation) {
        let transaction = signed(&self.cluster, &self.key, self.next, operation);
        self.submit(&transaction);
        self.next += 1;
    }

    fn submit(&self, transaction: &SignedTransaction) {
        match self.client.submit(transaction.bytes(), Some(CLOSE_WITHIN)).expect("the server answers") {
            TransactionStatus::Closed(closed) => assert!(closed.result.success, "it is a valid operation"),
            TransactionStatus::Pending { hash } => panic!("{hash} did not close in time"),
        }
    }

    fn ask(&self, question: Question) -> Asked {
        match question {
            Question::Entry(name) => Asked::Get(format!("/v1/accounts/{}/data/{name}", AccountId::of(&self.key))),
            Question::Closed => Asked::Resubmit(self.closed.bytes().to_vec()),
        }
    }
}

fn entry(name: &str, bytes: usize, salt: u64) -> Operation {
    let byte = u8::try_from(salt % 251).expect("below 251");
    Operation::SetData { key: name.as_bytes().to_vec(), value: vec![byte; bytes] }
}

#[derive(Clone, Copy)]
enum Question {
    Entry(&'static str),
    /// The fate of a transaction that is closed.
    Closed,
}

/// A question as it is put.
#[derive(Clone)]
enum Asked {
    Get(String),
    Resubmit(Vec<u8>),
}

impl Asked {
    fn answer(&self, client: &Client) -> String {
        match self {
            Self::Get(path) => client.text(path).expect("the server answers"),
            Self::Resubmit(bytes) => format!("{:?}", client.submit(bytes, None).expect("the server answers")),
        }
    }
}

/// All servers of a side, each asked by a thread of its own, so that one question goes to all at once.
struct Panel {
    questions: Vec<mpsc::Sender<(u64, Asked)>>,
    answers: mpsc::Receiver<(u64, String)>,
    asked: u64,
}

impl Panel {
    fn new(cluster: &Cluster) -> Self {
        let (answer, answers) = mpsc::channel();
        let ask = |index: usize| {
            let (question, questions) = mpsc::channel::<(u64, Asked)>();
            let node = cluster.files.nodes.get(index).expect("a server of this network");
            let (client, answer) = (client(&format!("http://{}", node.http)), answer.clone());
            std::thread::spawn(move || {
                // Ends with the panel: both channels close then.
                for (number, asked) in questions {
                    if answer.send((number, asked.answer(&client))).is_err() {
                        return;
                    }
                }
            });
            question
        };
        Self { questions: (0..cluster.len()).map(ask).collect(), answers, asked: 0 }
    }

    /// Asks all and waits until 2f + 1 say the same. Answers that come later are told apart by their number.
    fn agree(&mut self, asked: &Asked) {
        let all = self.questions.len();
        let enough = all - (all - 1) / 3;
        self.asked += 1;
        for question in &self.questions {
            question.send((self.asked, asked.clone())).expect("the threads live as long as the panel");
        }
        let mut heard: Vec<String> = Vec::new();
        while heard.len() < all {
            let (number, answer) = self.answers.recv().expect("the threads live as long as the panel");
            if number != self.asked {
                continue;
            }
            heard.push(answer);
            let same = |one: &&String| heard.last() == Some(*one);
            if heard.iter().filter(same).count() >= enough {
                return;
            }
        }
        panic!("the servers do not agree: {heard:?}");
    }
}
