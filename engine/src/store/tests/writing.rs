//! What is written is what is read, and contradictions are refused whole.
#![allow(clippy::unwrap_used)]

use crate::{
    clock::Timestamp,
    store::{
        Batch, ExecutionRow, FoundRun, HistoryBatch, HistoryLimit, NamespaceRow, OpenExecution, PendingKind,
        PendingRow, RunRef, SearchValue, Store, StoreError,
    },
};

use super::{ExecutionKey, closed, dump, in_memory, put, run};

const TIMER: PendingKind = PendingKind(2);
const ACTIVITY: PendingKind = PendingKind(1);

fn open_executions(store: &Store) -> Vec<OpenExecution> {
    let mut found = Vec::new();
    store.load_open(|execution| found.push(execution)).unwrap();
    found
}

fn full_row() -> ExecutionRow {
    let mut row = run(1);
    let visibility = &mut row.visibility;
    visibility.history_length = 11;
    visibility.history_size_bytes = 1_100;
    visibility.state_transition_count = 5;
    visibility.parent = Some(RunRef { workflow_id: "parent".into(), run_id: "run-p".into() });
    visibility.root = Some(RunRef { workflow_id: "root".into(), run_id: "run-r".into() });
    visibility.memo = vec![0, 1, 255];
    visibility.encoded_search_attributes = vec![9, 9];
    visibility.search_attributes = [
        ("Keyword".to_owned(), SearchValue::Keyword("a\0b".into())),
        ("Text".to_owned(), SearchValue::Text("Two words, two".into())),
        ("List".to_owned(), SearchValue::KeywordList(vec!["x".into(), "x".into(), "y".into()])),
    ]
    .into();
    row
}

#[test]
fn a_run_is_read_as_it_was_written_and_rewritten() {
    let mut store = in_memory();
    let mut row = full_row();
    store.commit(&put([row.clone()])).unwrap();
    assert_eq!(store.load_execution(row.key).unwrap(), Some(row.clone()));

    row.visibility.search_attributes.remove("List");
    row.visibility.history_length = 99;
    row.visibility.encoded_search_attributes = vec![1];
    row.state = b"other".into();
    let row = closed(row, 77);
    store.commit(&put([row.clone()])).unwrap();
    assert_eq!(store.load_execution(row.key).unwrap(), Some(row));
    assert!(!dump(&store).contains("List"));
    assert_eq!(store.load_execution(ExecutionKey(2)).unwrap(), None);
}

#[test]
fn open_runs_come_with_what_they_wait_for() {
    let mut store = in_memory();
    let pending = |n: i64, kind, id, data: &[u8]| (run(n).key, kind, id, data.to_vec());
    store
        .commit(&Batch {
            put_pending: vec![
                pending(3, TIMER, 5, b"t5"),
                pending(1, TIMER, -4, b"old"),
                pending(1, TIMER, -4, b"new"),
                pending(1, ACTIVITY, 9, b"a9"),
                pending(2, TIMER, 1, b"of a closing run"),
                pending(3, TIMER, 6, b"deleted at once"),
            ],
            delete_pending: vec![(run(3).key, TIMER, 6), (run(3).key, TIMER, 7)],
            update_state: vec![(run(3).key, b"updated".to_vec())],
            close_executions: vec![run(2).key],
            ..put([run(1), closed(run(2), 50), run(3), run(4)])
        })
        .unwrap();

    let expected = |n: i64, state: &[u8], pending: Vec<PendingRow>| OpenExecution {
        key: run(n).key,
        namespace: "default".into(),
        workflow_id: format!("workflow-{n}"),
        run_id: format!("run-{n}"),
        state: state.to_vec(),
        pending,
    };
    let row = |kind, id, data: &[u8]| PendingRow { kind, id, data: data.to_vec() };
    assert_eq!(
        open_executions(&store),
        vec![
            expected(1, b"state-1", vec![row(ACTIVITY, 9, b"a9"), row(TIMER, -4, b"new")]),
            expected(3, b"updated", vec![row(TIMER, 5, b"t5")]),
            expected(4, b"state-4", Vec::new()),
        ]
    );
    assert!(!dump(&store).contains("of a closing run"));
}

#[test]
fn leftovers_of_closed_runs_are_passed_over() {
    let mut store = in_memory();
    let put_pending = (1..=4).map(|n| (run(n).key, TIMER, n, vec![1])).collect();
    store.commit(&Batch { put_pending, ..put([closed(run(1), 9), run(2), closed(run(3), 9), run(4)]) }).unwrap();
    let waits: Vec<_> =
        open_executions(&store).into_iter().map(|run| (run.key.0, run.pending.len(), run.pending[0].id)).collect();
    assert_eq!(waits, [(2, 1, 2), (4, 1, 4)]);
}

#[test]
fn runs_are_found_by_their_ids() {
    let mut store = in_memory();
    let mut second = run(2);
    second.workflow_id = "workflow-1".into();
    let batch = Batch {
        set_current: vec![
            ("default".into(), "workflow-1".into(), run(1).key),
            ("default".into(), "workflow-1".into(), second.key),
        ],
        ..put([closed(run(1), 9), second])
    };
    store.commit(&batch).unwrap();

    let found = |run_id: &str, n, open| Some(FoundRun { key: run(n).key, run_id: run_id.into(), open });
    assert_eq!(store.find_run("default", "workflow-1", "").unwrap(), found("run-2", 2, true));
    assert_eq!(store.find_run("default", "workflow-1", "run-1").unwrap(), found("run-1", 1, false));
    assert_eq!(store.find_run("default", "workflow-1", "run-9").unwrap(), None);
    assert_eq!(store.find_run("other", "workflow-1", "").unwrap(), None);
    assert_eq!(store.find_run("default", "workflow-2", "").unwrap(), None);
}

#[test]
fn histories_are_read_from_any_event_in_both_directions() {
    let mut store = in_memory();
    let batches = [(1, 2), (3, 3), (4, 8), (9, 10)];
    let append = |n: i64| batches.map(|(first, last)| (run(n).key, first, last, vec![1; 10])).to_vec();
    store.commit(&Batch { append_history: [append(1), append(2)].concat(), ..put([run(1), run(2)]) }).unwrap();

    let ids = |found: Vec<HistoryBatch>| found.iter().map(|batch| batch.first_event_id).collect::<Vec<_>>();
    let forward = |from, limit| ids(store.history(run(1).key, from, limit).unwrap());
    let reverse = |to, limit| ids(store.history_reverse(run(1).key, to, limit).unwrap());
    let all = HistoryLimit::NONE;
    for (from, expected) in [(0, &[1, 3, 4, 9][..]), (1, &[1, 3, 4, 9]), (2, &[1, 3, 4, 9]), (3, &[3, 4, 9])] {
        assert_eq!(forward(from, all), expected, "from {from}");
    }
    assert_eq!(forward(8, all), [4, 9]);
    assert_eq!(forward(10, all), [9]);
    assert_eq!(forward(11, all), [] as [i64; 0]);
    assert_eq!(reverse(i64::MAX, all), [9, 4, 3, 1]);
    assert_eq!(reverse(8, all), [4, 3, 1]);
    assert_eq!(reverse(5, all), [4, 3, 1]);
    assert_eq!(reverse(0, all), [] as [i64; 0]);

    assert_eq!(forward(1, HistoryLimit { batches: 2, ..all }), [1, 3]);
    assert_eq!(forward(1, HistoryLimit { batches: 0, bytes: 0 }), [1]);
    assert_eq!(forward(1, HistoryLimit { bytes: 30, ..all }), [1, 3, 4]);
    assert_eq!(forward(1, HistoryLimit { bytes: 29, ..all }), [1, 3]);
    assert_eq!(reverse(10, HistoryLimit { batches: 1, ..all }), [9]);
    let first = store.history(run(2).key, 4, HistoryLimit { batches: 1, ..all }).unwrap();
    assert_eq!(first, [HistoryBatch { first_event_id: 4, last_event_id: 8, events: vec![1; 10] }]);
}

#[test]
fn a_forgotten_run_leaves_nothing_behind() {
    let mut store = in_memory();
    store.commit(&put([run(2)])).unwrap();
    let before = dump(&store);
    let row = full_row();
    store
        .commit(&Batch {
            put_pending: vec![(row.key, TIMER, 1, vec![1])],
            append_history: vec![(row.key, 1, 1, vec![1])],
            set_current: vec![("default".into(), row.workflow_id.clone(), row.key)],
            ..put([row.clone()])
        })
        .unwrap();
    assert_ne!(dump(&store), before);
    store.commit(&Batch { delete_executions: vec![row.key], ..Batch::default() }).unwrap();
    assert_eq!(dump(&store), before);
}

#[test]
fn forgetting_an_earlier_run_keeps_the_current_one() {
    let mut store = in_memory();
    let mut second = run(2);
    second.workflow_id = "workflow-1".into();
    let set_current = vec![("default".into(), "workflow-1".into(), second.key)];
    store.commit(&Batch { set_current, ..put([closed(run(1), 5), second]) }).unwrap();
    store.commit(&Batch { delete_executions: vec![run(1).key], ..Batch::default() }).unwrap();
    assert_eq!(store.find_run("default", "workflow-1", "").unwrap().map(|found| found.key), Some(ExecutionKey(2)));
}

#[test]
fn retention_takes_the_oldest_closed_runs_of_one_namespace() {
    let mut store = in_memory();
    let mut elsewhere = closed(run(9), 1);
    elsewhere.namespace = "other".into();
    store.commit(&put([run(1), closed(run(2), 30), closed(run(3), 10), closed(run(4), 20), elsewhere])).unwrap();
    let mut sweep = |seconds, limit| {
        let keys = store.delete_closed_before("default", Timestamp::from_secs(seconds), limit).unwrap();
        keys.iter().map(|key| key.0).collect::<Vec<_>>()
    };
    assert_eq!(sweep(10, 100), [] as [i64; 0]);
    assert_eq!(sweep(30, 1), [3]);
    assert_eq!(sweep(30, 100), [4]);
    assert_eq!(sweep(i64::MAX, 100), [2]);
    let left: Vec<_> =
        [1, 2, 3, 4, 9].into_iter().filter(|n| store.load_execution(run(*n).key).unwrap().is_some()).collect();
    assert_eq!(left, [1, 9]);
}

#[test]
fn namespaces_are_kept_by_name() {
    let mut store = in_memory();
    let namespace = |name: &str, data: &[u8]| NamespaceRow { name: name.into(), data: data.into() };
    let batch = Batch {
        put_namespaces: vec![namespace("b", b"1"), namespace("a", b"1"), namespace("b", b"2"), namespace("c", b"1")],
        delete_namespaces: vec!["c".into(), "never there".into()],
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    assert_eq!(store.load_namespaces().unwrap(), [namespace("a", b"1"), namespace("b", b"2")]);
}

#[test]
fn a_contradictory_batch_is_refused_whole() {
    let mut store = in_memory();
    store.commit(&Batch { append_history: vec![(run(1).key, 1, 2, vec![1])], ..put([run(1)]) }).unwrap();
    let before = dump(&store);
    let mut same_run = run(7);
    same_run.workflow_id = run(1).workflow_id;
    same_run.run_id = run(1).run_id;
    for contradiction in [
        Batch { update_state: vec![(ExecutionKey(9), vec![])], ..put([run(2)]) },
        Batch { append_history: vec![(run(1).key, 1, 5, vec![2])], ..put([run(2)]) },
        Batch { append_history: vec![(run(1).key, 5, 4, vec![2])], ..put([run(2)]) },
        Batch { close_executions: vec![run(1).key], ..put([run(2)]) },
        Batch { close_executions: vec![run(9).key], ..put([run(2)]) },
        put([run(2), same_run]),
    ] {
        let refused = store.commit(&contradiction).unwrap_err();
        assert!(matches!(refused, StoreError::Misuse(_)), "{refused:?}");
        assert_eq!(dump(&store), before, "{contradiction:?}");
    }
    store.commit(&put([run(2)])).unwrap();
    store.commit(&Batch::default()).unwrap();
}
