//! Families of the `prometheus` crate on the page. That crate writes the text format itself, and OpenMetrics not at all.

use prometheus::TextEncoder;
use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::text::{Family, Format, Kind, Page};
use super::{MetricsError, label};

/// Adds what a registry has gathered.
pub(super) fn write(page: &mut Page, families: &[MetricFamily]) -> Result<(), MetricsError> {
    match page.format() {
        Format::Text => TextEncoder::new().encode_utf8(families, page.text())?,
        Format::OpenMetrics => families.iter().for_each(|family| openmetrics(page, family)),
    }
    Ok(())
}

fn openmetrics(page: &mut Page, family: &MetricFamily) {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        // The crate makes neither.
        MetricType::SUMMARY | MetricType::UNTYPED => return,
    };
    let mut written = Family::begin(page, family.name(), kind, family.help());
    for metric in family.get_metric() {
        sample(&mut written, kind, metric);
    }
}

fn sample(family: &mut Family<'_>, kind: Kind, metric: &Metric) {
    let mut labels = String::new();
    for pair in metric.get_label() {
        label::render(&mut labels, pair.name(), pair.value());
    }
    match kind {
        Kind::Counter => family.float(&[&labels], metric.get_counter().get_value()),
        Kind::Gauge => family.float(&[&labels], metric.get_gauge().get_value()),
        Kind::Histogram => {
            let histogram = metric.get_histogram();
            let buckets = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
            family.histogram(&labels, buckets, histogram.get_sample_count(), histogram.get_sample_sum());
        }
    }
}
