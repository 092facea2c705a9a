//! Whatever the text, the reader answers; whatever is written, it means.

use std::collections::BTreeSet;
use std::time::Duration;

use dixmgr_model::duration;
use proptest::prelude::*;

use super::*;

/// One service as text, with values that are known.
#[derive(Debug, Clone)]
struct Sample {
    interval: Duration,
    max_restarts: u32,
    jitter: f64,
    threshold: u32,
    /// Indices of earlier services.
    needs: BTreeSet<usize>,
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (1u64..10_000_000, 0u32..100, 0.0f64..=1.0, 1u32..100, prop::collection::btree_set(0usize..40, 0..4));
    let sample = sample.prop_map(|(ms, max_restarts, jitter, threshold, needs)| Sample {
        interval: Duration::from_millis(ms),
        max_restarts,
        jitter,
        threshold,
        needs,
    });
    prop::collection::vec(sample, 1..40).prop_map(|mut samples| {
        for (i, sample) in samples.iter_mut().enumerate() {
            sample.needs.retain(|need| *need < i);
        }
        samples
    })
}

fn write(samples: &[Sample]) -> String {
    // Backwards, so that order in the file is not the order of starting.
    let tables = samples.iter().enumerate().rev().map(|(i, sample)| {
        let needs: Vec<String> = sample.needs.iter().map(|need| format!("\"s{need}\"")).collect();
        format!(
            "[[service]]\nname = \"s{i}\"\nunit = \"s{i}.service\"\ninterval = \"{}\"\nfailure_threshold = {}\n\
             needs = [{}]\nrestart = {{ max_restarts = {}, jitter = {:?} }}\n",
            duration::format(sample.interval),
            sample.threshold,
            needs.join(","),
            sample.max_restarts,
            sample.jitter
        )
    });
    tables.collect()
}

/// Text that looks enough like a configuration to get past the TOML parser now and then.
fn near_toml() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("[[service]]".to_owned()),
        Just("[defaults]".to_owned()),
        Just("[parachains.a.b]".to_owned()),
        "[a-z_]{1,12} = (\"[ -~]{0,12}\"|[0-9]{1,20}|-?[0-9.]{1,8}|true|\\[[0-9\", a]{0,8}\\]|\\{ [a-z]{1,6} = [0-9] \\})",
        (
            "(name|unit|command|needs|interval|restart|http|sync|replicas|quorum|port_rpc|sidecar_count)",
            "(\"[ -~]{0,12}\"|[0-9]{1,6}|\\[\"[a-z]{0,3}\"\\]|\\{\\}|\\[\\{\\}\\]|nan|1979-05-27)"
        )
            .prop_map(|(key, value)| format!("{key} = {value}")),
    ];
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn near_configurations_are_answered(text in near_toml()) {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.faults.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(error.faults.iter().all(|fault| fault.line <= lines));
        }
    }

    #[test]
    fn what_is_written_is_meant(samples in samples()) {
        let config = parse(&write(&samples)).unwrap();
        prop_assert_eq!(config.plan.services.len(), samples.len());
        let mut started = BTreeSet::new();
        for spec in &config.plan.services {
            let i: usize = spec.name[1..].parse().unwrap();
            let sample = &samples[i];
            prop_assert_eq!(spec.probes.interval, sample.interval);
            prop_assert_eq!(spec.probes.failure_threshold, sample.threshold);
            prop_assert_eq!(spec.restart.max_restarts, sample.max_restarts);
            prop_assert!((spec.restart.jitter - sample.jitter).abs() < 1e-12);
            let needs: BTreeSet<usize> = spec.needs.iter().map(|need| need.service[1..].parse().unwrap()).collect();
            prop_assert_eq!(&needs, &sample.needs);
            prop_assert!(needs.is_subset(&started), "started before what it needs");
            started.insert(i);
        }
    }

    #[test]
    fn dependents_mirror_needs(samples in samples()) {
        let config = parse(&write(&samples)).unwrap();
        for spec in &config.plan.services {
            for need in &spec.needs {
                prop_assert!(service(&config, &need.service).dependents.contains(&spec.workflow_id));
            }
        }
        let edges = |f: fn(&ServiceSpec) -> usize| config.plan.services.iter().map(f).sum::<usize>();
        prop_assert_eq!(edges(|spec| spec.needs.len()), edges(|spec| spec.dependents.len()));
    }
}
