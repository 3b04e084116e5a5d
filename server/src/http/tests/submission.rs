//! Transactions in, and what becomes of them.

use super::*;

#[test]
fn what_is_not_a_transaction_is_refused_with_the_rule() {
    let node = node();
    let answer = node.post("", b"\xff");
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_transaction"));
    let answer = node.send("POST", "/v1/transactions", "Content-Type: text/plain\r\nContent-Length: 0\r\n", b"");
    assert_eq!((answer.status, answer.code().as_str()), (415, "not_cbor"));
    assert_eq!(node.post("?wait=forever", payment(1).bytes()).status, 400);
    assert_eq!(node.post("?wait=closed&timeout_ms=60001", payment(1).bytes()).status, 400);
}

#[test]
fn a_submission_is_answered_with_what_became_of_it() {
    let node = node();
    let refusal = |conflict| Refusal { code: "because".into(), message: "of a rule".into(), conflict };
    let cases = [
        (SubmitOutcome::Pending, 202, None),
        (SubmitOutcome::Refused(refusal(true)), 409, None),
        (SubmitOutcome::Refused(refusal(false)), 422, None),
        (SubmitOutcome::QueueFull, 429, Some("1")),
        (SubmitOutcome::Expired, 503, Some("1")),
    ];
    for (outcome, status, retry) in cases {
        let answer = node.post_answered("", payment(1).bytes(), vec![outcome.clone()]);
        assert_eq!(answer.status, status, "{outcome:?}");
        assert_eq!(answer.header("retry-after"), retry, "{outcome:?}");
    }
}

#[test]
fn a_submission_that_waits_is_answered_when_it_is_closed() {
    let (node, signed) = (node(), payment(1));
    node.table.transactions.lock().unwrap().clear();
    let table = Arc::clone(&node.table);
    let (requests, tx) = (node.requests.clone(), closed(&signed));
    let consensus = std::thread::spawn(move || {
        let Request::Submit(submission) = requests.recv_blocking().unwrap() else { panic!("a submission") };
        submission.reply.try_send(SubmitOutcome::Pending).unwrap();
        table.transactions.lock().unwrap().insert(tx.hash.clone(), tx);
        submission.reply.try_send(SubmitOutcome::Closed { ledger: 5 }).unwrap();
    });
    let answer = node.post("?wait=closed", signed.bytes());
    consensus.join().unwrap();
    let json = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(
        (json["status"].as_str(), json["ledger"].as_u64(), json["index"].as_u64()),
        (Some("closed"), Some(5), Some(3))
    );
    assert_eq!(json["result"]["reason"], "insufficient_balance");
    assert_eq!(json["operations"][0]["type"], "payment");
    // The same bytes again: consensus refuses what is closed already, and the answer is the close.
    let conflict = Refusal { code: "sequence".into(), message: "another one is next".into(), conflict: true };
    assert_eq!(node.post_answered("", signed.bytes(), vec![SubmitOutcome::Refused(conflict)]).status, 200);
    assert_eq!(node.get(&format!("/v1/transactions/{}", signed.hash())).json()["status"], "closed");
}

#[test]
fn a_submission_refused_because_it_closed_meanwhile_is_answered_closed() {
    let (node, signed) = (node(), payment(1));
    let (requests, table, tx) = (node.requests.clone(), Arc::clone(&node.table), closed(&signed));
    let consensus = std::thread::spawn(move || {
        let Request::Submit(submission) = requests.recv_blocking().unwrap() else { panic!("a submission") };
        table.transactions.lock().unwrap().insert(tx.hash.clone(), tx);
        let refusal = Refusal { code: "sequence".into(), message: "1 is used up".into(), conflict: true };
        submission.reply.try_send(SubmitOutcome::Refused(refusal)).unwrap();
    });
    let answer = node.post("", signed.bytes());
    consensus.join().unwrap();
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("closed")));
}

#[test]
fn a_submission_that_waits_too_long_is_pending() {
    let node = node();
    let answer = node.post_answered("?wait=closed&timeout_ms=1", payment(1).bytes(), vec![SubmitOutcome::Pending]);
    assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("pending")));
}

#[test]
fn a_node_that_is_not_in_sync_takes_no_transactions_and_is_not_ready() {
    let node = node();
    node.view.publish(view(5, SyncState::CatchingUp));
    let answer = node.post("", payment(1).bytes());
    assert_eq!((answer.status, answer.code().as_str()), (503, "not_synced"));
    assert!(answer.header("retry-after").is_some());
    let ready = node.get("/readyz");
    assert_eq!((ready.status, ready.code().as_str()), (503, "catching_up"));
    assert_eq!(node.get("/livez").status, 200);
}

#[test]
fn a_full_channel_to_consensus_is_answered_at_once() {
    let node = node_with(Limits::default(), 1);
    let mut first = node.connect();
    let signed = payment(1);
    let head = format!(
        "POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cbor\r\nContent-Length: {}\r\n\r\n",
        signed.bytes().len()
    );
    first.write_all(&[head.as_bytes(), signed.bytes()].concat()).unwrap();
    until("the first submission", || node.requests.is_full());
    let answer = node.post("", payment(2).bytes());
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
}

#[test]
fn a_pending_transaction_is_found_and_an_unknown_one_is_not() {
    let node = node();
    for (pending, status) in [(true, 200), (false, 404)] {
        let requests = node.requests.clone();
        let consensus = std::thread::spawn(move || match requests.recv_blocking().unwrap() {
            Request::IsPending { reply, .. } => reply.try_send(pending).unwrap(),
            Request::Submit(_) | Request::OverrideSilence { .. } => panic!("not asked for"),
        });
        assert_eq!(node.get(&format!("/v1/transactions/{}", payment(1).hash())).status, status);
        consensus.join().unwrap();
    }
}

#[test]
fn the_manual_quotes_the_ledgers_own_vectors() {
    let manual = include_str!("../../../../docs/http.md");
    for vector in [
        include_str!("../../ledger/vectors/transaction_body.hex"),
        include_str!("../../ledger/vectors/transaction.hex"),
        include_str!("../../ledger/vectors/transaction_hash.hex"),
    ] {
        assert!(manual.contains(vector.trim()), "docs/http.md does not have {vector}");
    }
}
