//! The replayer over the small traces of this repository.

use fba_tests::replay::{Request, SourceError, run};
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/traces")
}

#[test]
fn hand_written_traces_are_replayed_identically() {
    let report = run(&Request { paths: vec![fixtures()], ..Request::default() }).unwrap();
    assert!(report.is_identical(), "{report}");
    assert!(report.traces >= 7, "{report}");
    assert!(report.to_string().ends_with(&format!("{0} of {0} traces identical", report.traces)));
}

#[test]
fn tags_choose_and_leave_out_traces() {
    let all = run(&Request { paths: vec![fixtures()], ..Request::default() }).unwrap();
    let tags = vec!["externalized".to_owned()];
    let with = run(&Request { paths: vec![fixtures()], tags: tags.clone(), ..Request::default() }).unwrap();
    let without = run(&Request { paths: vec![fixtures()], skip_tags: tags, ..Request::default() }).unwrap();
    assert!(with.traces > 0 && without.traces > 0);
    assert_eq!(with.traces + without.traces, all.traces);
}

#[test]
fn a_changed_expectation_is_reported_with_trace_step_and_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixtures().join("behind.json")).unwrap();
    let changed = text.replacen("\"ballot\": 3000", "\"ballot\": 3001", 1);
    assert_ne!(text, changed);
    fs::write(folder.path().join("changed.json"), changed).unwrap();
    let report = run(&Request { paths: vec![folder.path().to_owned()], ..Request::default() }).unwrap();
    assert!(!report.is_identical());
    let text = report.to_string();
    for part in ["a v-blocking set", "step 5", "3001", "3000", "0 of 1 traces identical"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn data_in_another_format_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.json");
    fs::write(&path, "{\"format\":\"something\"}").unwrap();
    let error = run(&Request { paths: vec![path.clone()], ..Request::default() }).unwrap_err();
    assert!(matches!(error, SourceError::Format { .. }));
    assert!(error.to_string().contains("other.json"));
    let missing = run(&Request { paths: vec![folder.path().join("none")], ..Request::default() }).unwrap_err();
    assert!(matches!(missing, SourceError::Io { .. }));
}
