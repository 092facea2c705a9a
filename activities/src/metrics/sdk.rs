//! The SDK's own worker metrics (`temporal_…`): tasks, latencies, slots, pollers, cache.
//!
//! The SDK brings a Prometheus meter that comes with a server of its own. This one puts the same series, named as that one
//! names them with suffixes and seconds, on the page of everything else. The SDK gives one name different labels (a failure
//! has a reason that other counts have not), which a `prometheus` vector does not take, so each series is an object by itself.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, Opts};
use temporalio_common::telemetry::METRIC_PREFIX;
use temporalio_common::telemetry::metrics::{self, MetricAttributes, MetricParameters, NewAttributes};

use super::label;

/// Most series. dixmgr's own workflows and activities make some two hundred.
const MAX_SERIES: usize = 2_000;

/// The series, shared by the meter that adds to them and the registry that shows them.
#[derive(Debug, Clone, Default)]
pub(super) struct SdkSeries {
    series: Arc<Mutex<BTreeMap<Name, Series>>>,
}

/// A metric's name and the labels of one series of it.
type Name = (String, Vec<(String, String)>);

#[derive(Debug, Clone)]
enum Series {
    Counter(IntCounter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl SdkSeries {
    /// The series of that name, made when it is asked for first. Beyond [`MAX_SERIES`] it counts where nobody looks.
    fn get(&self, name: Name, make: impl FnOnce(&Name) -> prometheus::Result<Series>) -> prometheus::Result<Series> {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = all.get(&name) {
            return Ok(series.clone());
        }
        let series = make(&name)?;
        if all.len() < MAX_SERIES {
            all.insert(name, series.clone());
        }
        Ok(series)
    }
}

impl Collector for SdkSeries {
    /// None: what there will be is known only when the SDK asks for it.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    /// A family for each series. The registry puts those of one name together.
    fn collect(&self) -> Vec<MetricFamily> {
        let all: Vec<Series> = self.series.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let collect = |series: &Series| match series {
            Series::Counter(counter) => counter.collect(),
            Series::Gauge(gauge) => gauge.collect(),
            Series::Histogram(histogram) => histogram.collect(),
        };
        all.iter().flat_map(collect).collect()
    }
}

/// What the SDK's runtime takes to count with.
pub(super) struct SdkMeter(pub(super) SdkSeries);

impl fmt::Debug for SdkMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SdkMeter")
    }
}

impl SdkMeter {
    fn instrument(&self, params: &MetricParameters, suffix: &str) -> Arc<Instrument> {
        // The SDK's clients leave the beginning to their user.
        let known = params.name.strip_prefix(METRIC_PREFIX).unwrap_or(&params.name);
        let suffix = if known.ends_with(suffix) { "" } else { suffix };
        let name = format!("{METRIC_PREFIX}{known}{suffix}").replace('-', "_");
        let buckets = metrics::default_buckets_for(known, true);
        let help = if params.description.is_empty() { &params.name } else { &params.description };
        Arc::new(Instrument { name, help: format!("{help}."), buckets, all: self.0.clone() })
    }
}

impl metrics::CoreMeter for SdkMeter {
    fn new_attributes(&self, attributes: NewAttributes) -> MetricAttributes {
        MetricAttributes::Prometheus { labels: Arc::new(attributes.into()) }
    }

    fn extend_attributes(&self, existing: MetricAttributes, more: NewAttributes) -> MetricAttributes {
        let MetricAttributes::Prometheus { labels } = existing else { return self.new_attributes(more) };
        let mut labels = Arc::unwrap_or_clone(labels);
        more.attributes.into_iter().for_each(|attribute| labels.add_kv(attribute));
        MetricAttributes::Prometheus { labels: Arc::new(labels) }
    }

    fn counter(&self, params: MetricParameters) -> metrics::Counter {
        metrics::Counter::new(self.instrument(&params, "_total"))
    }

    fn histogram(&self, params: MetricParameters) -> metrics::Histogram {
        metrics::Histogram::new(self.instrument(&params, ""))
    }

    fn histogram_f64(&self, params: MetricParameters) -> metrics::HistogramF64 {
        metrics::HistogramF64::new(self.instrument(&params, ""))
    }

    fn histogram_duration(&self, params: MetricParameters) -> metrics::HistogramDuration {
        metrics::HistogramDuration::new(self.instrument(&params, "_seconds"))
    }

    fn gauge(&self, params: MetricParameters) -> metrics::Gauge {
        metrics::Gauge::new(self.instrument(&params, ""))
    }

    fn gauge_f64(&self, params: MetricParameters) -> metrics::GaugeF64 {
        metrics::GaugeF64::new(self.instrument(&params, ""))
    }

    fn up_down_counter(&self, params: MetricParameters) -> metrics::UpDownCounter {
        metrics::UpDownCounter::new(self.instrument(&params, ""))
    }
}

/// A metric of the SDK, of which each set of labels is a series.
struct Instrument {
    name: String,
    help: String,
    buckets: &'static [f64],
    all: SdkSeries,
}

impl Instrument {
    fn series(
        &self,
        attributes: &MetricAttributes,
        make: impl FnOnce(Opts) -> prometheus::Result<Series>,
    ) -> prometheus::Result<Series> {
        let mut labels: Vec<(String, String)> = match attributes {
            MetricAttributes::Prometheus { labels } => {
                let bounded = |(name, value): (&str, String)| (name.to_owned(), label::bounded(&value).into_owned());
                labels.as_prom_labels().into_iter().map(bounded).collect()
            }
            _ => Vec::new(),
        };
        labels.sort_unstable();
        self.all.get((self.name.clone(), labels), |(name, labels)| {
            let constant: HashMap<String, String> = labels.iter().cloned().collect();
            make(Opts::new(name, &self.help).const_labels(constant))
        })
    }

    fn counter(&self, attributes: &MetricAttributes) -> Result<Counting, Box<dyn Error>> {
        match self.series(attributes, |options| IntCounter::with_opts(options).map(Series::Counter))? {
            Series::Counter(counter) => Ok(Counting(counter)),
            other => Err(self.is_already(&other)),
        }
    }

    fn gauge(&self, attributes: &MetricAttributes) -> Result<Level, Box<dyn Error>> {
        match self.series(attributes, |options| Gauge::with_opts(options).map(Series::Gauge))? {
            Series::Gauge(gauge) => Ok(Level(gauge)),
            other => Err(self.is_already(&other)),
        }
    }

    fn histogram(&self, attributes: &MetricAttributes) -> Result<Spread, Box<dyn Error>> {
        let buckets = self.buckets.to_vec();
        let make = |common_opts| Histogram::with_opts(HistogramOpts { common_opts, buckets }).map(Series::Histogram);
        match self.series(attributes, make)? {
            Series::Histogram(histogram) => Ok(Spread(histogram)),
            other => Err(self.is_already(&other)),
        }
    }

    fn is_already(&self, other: &Series) -> Box<dyn Error> {
        format!("{} is another kind of metric already: {other:?}", self.name).into()
    }
}

struct Counting(IntCounter);
struct Level(Gauge);
struct Spread(Histogram);

/// Ties a kind of the SDK's instruments to what records it here.
macro_rules! recorded {
    ($kind:ident: $make:ident -> $by:ident, $record:ident($value:ty) = $how:expr) => {
        impl metrics::MetricAttributable<Box<dyn metrics::$kind>> for Instrument {
            fn with_attributes(
                &self,
                attributes: &MetricAttributes,
            ) -> Result<Box<dyn metrics::$kind>, Box<dyn Error>> {
                Ok(Box::new(self.$make(attributes)?))
            }
        }

        impl metrics::$kind for $by {
            fn $record(&self, value: $value) {
                let how: fn(&Self, $value) = $how;
                how(self, value);
            }
        }
    };
}

recorded!(CounterBase: counter -> Counting, adds(u64) = |by, more| by.0.inc_by(more));
recorded!(GaugeBase: gauge -> Level, records(u64) = |by, value| by.0.set(value as f64));
recorded!(GaugeF64Base: gauge -> Level, records(f64) = |by, value| by.0.set(value));
recorded!(UpDownCounterBase: gauge -> Level, adds(i64) = |by, more| by.0.add(more as f64));
recorded!(HistogramBase: histogram -> Spread, records(u64) = |by, value| by.0.observe(value as f64));
recorded!(HistogramF64Base: histogram -> Spread, records(f64) = |by, value| by.0.observe(value));
recorded!(HistogramDurationBase: histogram -> Spread, records(Duration) = |by, took| by.0.observe(took.as_secs_f64()));

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use prometheus::{Registry, TextEncoder};
    use temporalio_common::telemetry::metrics::{CoreMeter, CounterBase, MetricKeyValue};

    use super::*;

    fn parameters(name: &'static str) -> MetricParameters {
        MetricParameters { name: name.into(), description: "What it is".into(), unit: "".into() }
    }

    fn labels<const N: usize>(labels: [(&str, &str); N]) -> NewAttributes {
        NewAttributes::new(labels.map(|(name, value)| MetricKeyValue::new(name, value.to_owned())).to_vec())
    }

    fn page(series: &SdkSeries) -> String {
        let registry = Registry::new();
        registry.register(Box::new(series.clone())).unwrap();
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn series_of_one_name_may_have_different_labels() {
        let all = SdkSeries::default();
        let meter = SdkMeter(all.clone());
        let mut failed = meter.counter(parameters("temporal_activity_execution_failed"));
        let queue = meter.new_attributes(labels([("task_queue", "a")]));
        failed.add(1, &queue);
        let reason = meter.extend_attributes(queue, labels([("failure_reason", "timeout")]));
        failed.update_attributes(reason);
        failed.adds(2);
        failed.adds(1);
        let page = page(&all);
        let name = "temporal_activity_execution_failed_total";
        assert!(page.contains(&format!("# HELP {name} What it is.\n# TYPE {name} counter\n")), "{page}");
        assert!(page.contains(&format!("\n{name}{{task_queue=\"a\"}} 1\n")), "{page}");
        assert!(page.contains(&format!("\n{name}{{failure_reason=\"timeout\",task_queue=\"a\"}} 3\n")), "{page}");
        assert_eq!(page.matches("# TYPE").count(), 1, "{page}");
    }

    #[test]
    fn durations_are_seconds_in_the_buckets_of_the_sdk() {
        let all = SdkSeries::default();
        let latency = SdkMeter(all.clone()).histogram_duration(parameters("temporal_workflow_task_execution_latency"));
        latency.record(Duration::from_millis(15), &MetricAttributes::Empty);
        let page = page(&all);
        let name = "temporal_workflow_task_execution_latency_seconds";
        assert!(page.contains(&format!("{name}_bucket{{le=\"0.01\"}} 0\n{name}_bucket{{le=\"0.02\"}} 1\n")), "{page}");
        assert!(page.contains(&format!("{name}_sum 0.015\n")), "{page}");
    }

    #[test]
    fn gauges_hold_what_was_said_last() {
        let all = SdkSeries::default();
        let meter = SdkMeter(all.clone());
        let slots = meter.gauge(parameters("temporal_worker_task_slots_available"));
        slots.record(7, &MetricAttributes::Empty);
        slots.record(5, &MetricAttributes::Empty);
        let level = meter.up_down_counter(parameters("temporal_level"));
        level.add(3, &MetricAttributes::Empty);
        level.add(-1, &MetricAttributes::Empty);
        let page = page(&all);
        assert!(page.contains("\ntemporal_worker_task_slots_available 5\n"), "{page}");
        assert!(page.contains("\ntemporal_level 2\n"), "{page}");
    }

    #[test]
    fn there_is_an_end_to_series() {
        let all = SdkSeries::default();
        let meter = SdkMeter(all.clone());
        let counter = meter.counter(parameters("temporal_a_total"));
        for number in 0..MAX_SERIES + 10 {
            counter.add(1, &meter.new_attributes(labels([("workflow_type", &number.to_string())])));
        }
        assert_eq!(page(&all).lines().filter(|line| line.starts_with("temporal_a_total{")).count(), MAX_SERIES);
    }

    #[test]
    fn one_name_is_one_kind() {
        let all = SdkSeries::default();
        let meter = SdkMeter(all);
        meter.gauge(parameters("temporal_a_total")).record(1, &MetricAttributes::Empty);
        let again: Arc<Instrument> = meter.instrument(&parameters("temporal_a"), "_total");
        assert!(again.counter(&MetricAttributes::Empty).is_err());
    }
}
