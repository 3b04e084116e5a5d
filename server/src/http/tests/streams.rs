//! The event stream.

use super::*;

#[test]
fn a_stream_fills_the_gap_first_and_then_goes_on_live() {
    let node = node();
    let mut stream = node.events("?since=3", "");
    assert_eq!(names_until(&mut stream, "ledger 5"), ["sync", "phase", "ledger 4", "ledger 5"]);
    node.events.publish(Event::Ledger(dto::LedgerClosed::from(&ledger(5))));
    node.close(6);
    assert_eq!(names_until(&mut stream, "ledger 6"), ["ledger 6"], "ledger 5 is not told twice");
}

#[test]
fn a_browser_that_reconnects_is_believed_its_newer_id() {
    let node = node();
    let mut stream = node.events("?since=1", "Last-Event-ID: 4\r\n");
    assert_eq!(names_until(&mut stream, "ledger 5"), ["sync", "phase", "ledger 5"]);
}

#[test]
fn a_gap_too_wide_or_from_elsewhere_is_a_reset() {
    let node = node();
    let newest = 5 + BACKFILL_MAX as u64 + 1;
    (6..=newest).for_each(|sequence| node.close(sequence));
    for since in [1, newest + 100] {
        let mut stream = node.events(&format!("?since={since}"), "");
        let names = names_until(&mut stream, &format!("reset {newest}"));
        assert_eq!(names.len(), 3, "{names:?}");
    }
}

#[test]
fn the_65th_stream_is_refused_and_a_seat_that_is_left_is_free_again() {
    let node = node();
    let most = Limits::default().event_streams;
    let mut streams: Vec<_> = (0..most).map(|_| node.events("", "")).collect();
    until("64 streams", || node.events.readers() == most);
    let answer = node.get("/v1/events");
    assert_eq!((answer.status, answer.code().as_str()), (503, "too_many_streams"));
    assert!(answer.header("retry-after").is_some());
    streams.truncate(most - 1);
    // Only a write finds out that the reader has gone.
    until("a free seat", || {
        node.events.publish(Event::Sync(dto::Sync { state: "synced".into(), ..dto::Sync::default() }));
        node.events.readers() < most
    });
}

#[test]
fn a_reader_that_reads_nothing_is_cut_off_and_never_holds_up_the_publisher() {
    let limits = Limits { write: Duration::from_millis(50), ..Limits::default() };
    let node = node_with(limits, 4);
    let _stuck = node.events("", "");
    until("the stream", || node.events.readers() == 1);
    let reason = Some("x".repeat(32 * 1024));
    until("the cut", || {
        node.events.publish(Event::Sync(dto::Sync {
            state: "synced".into(),
            reason: reason.clone(),
            ..dto::Sync::default()
        }));
        node.events.readers() == 0
    });
}

#[test]
fn a_reader_that_falls_behind_is_told_and_gets_every_ledger() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let table = Arc::new(Table::default());
    table.ledgers.lock().unwrap().extend((1..=5).map(ledger));
    let (events, published) = (Events::default(), Published::new(view(5, SyncState::Synced)));
    let reads = history::Reads::new(Arc::clone(&table) as Arc<dyn History>);
    let streams = events::Streams::new(events.clone(), published.clone(), reads, 1);
    runtime.block_on(async {
        let mut feed = streams.open(None).await.unwrap();
        for sequence in 6..=8 {
            table.ledgers.lock().unwrap().push(ledger(sequence));
            published.publish(view(sequence, SyncState::Synced));
            events.publish(Event::Ledger(dto::LedgerClosed::from(&ledger(sequence))));
        }
        for _ in 0..1000 {
            events.publish(Event::Phase(dto::Slot::from(&published.load().slot)));
        }
        let mut told = Vec::new();
        for _ in 0..6 {
            told.push(format!("{:?}", feed.next().await.unwrap()).split([' ', '{']).next().unwrap().to_owned());
        }
        let is = |kind: &str| told.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!((is("Lagged"), is("Event(Ledger")), (1, 3), "{told:?}");
    });
}

#[test]
fn the_server_stops_with_an_open_stream() {
    let node = node();
    let mut stream = node.events("", "");
    names_until(&mut stream, "phase");
    let before = Instant::now();
    node.handle.stop();
    assert!(before.elapsed() < PATIENCE);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
}
