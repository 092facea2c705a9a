//! In which form a scraper gets the metrics page: OpenMetrics or Prometheus' text, compressed or not. Pure but for the work.

use std::io::Write as _;

use axum::http::{HeaderMap, HeaderName, header};
use dixmgr_activities::metrics::{Format, Metrics, MetricsError, Pieces};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, Stream};
use tokio::task::{JoinError, JoinHandle};

/// Media type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text";
/// Versions of it whose rules the page follows.
const VERSIONS: [&str; 2] = ["1.0.0", "0.0.1"];

/// What `Accept` prefers; text where it says nothing.
pub(crate) fn format(request: &HeaderMap) -> Format {
    let (mut openmetrics, mut text) = (0.0_f32, 0.0_f32);
    for range in values(request, &header::ACCEPT) {
        match range.value {
            OPENMETRICS if range.parameter("version").is_none_or(|version| VERSIONS.contains(&version)) => {
                openmetrics = openmetrics.max(range.quality());
            }
            "text/plain" => text = text.max(range.quality()),
            _ => {}
        }
    }
    if openmetrics > 0.0 && openmetrics >= text { Format::OpenMetrics } else { Format::Text }
}

/// Whether `Accept-Encoding` asks for gzip.
pub(crate) fn wants_gzip(request: &HeaderMap) -> bool {
    values(request, &header::ACCEPT_ENCODING).any(|coding| coding.value == "gzip" && coding.quality() > 0.0)
}

/// What goes with the page: what it is, and what decides that.
pub(crate) fn headers(format: Format) -> [(HeaderName, &'static str); 2] {
    [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept, Accept-Encoding")]
}

/// The page on its way: what is sent, piece by piece.
pub(crate) struct Exposition {
    pieces: Pieces,
    /// Where a page that is sent compressed goes through, until its end.
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl Exposition {
    /// Begins a page. Fast compression: at its lowest level a page shrinks to a tenth.
    pub(crate) fn begin(metrics: &Metrics, format: Format, compressed: bool) -> Result<Self, MetricsError> {
        let gzip = compressed.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        Ok(Self { pieces: metrics.pieces(format)?, gzip })
    }

    /// What is sent, each piece while the one before it is on its way: of a long page two are in memory at a time, and nobody
    /// works for a reader who does not read. A piece takes milliseconds of work, which is not to hold up checks.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Vec<u8>, JoinError>> {
        stream::unfold(Some(self.ahead()), |making| async {
            match making?.await {
                Ok((piece, rest)) => Some((Ok(piece?), Some(rest.ahead()))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn ahead(mut self) -> JoinHandle<(Option<Vec<u8>>, Self)> {
        tokio::task::spawn_blocking(move || (self.next(), self))
    }
}

impl Iterator for Exposition {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let Some(encoder) = &mut self.gzip else { return self.pieces.next().map(String::into_bytes) };
        // Writing to a `Vec` cannot fail.
        if let Some(piece) = self.pieces.next() {
            let _ = encoder.write_all(piece.as_bytes());
            return Some(std::mem::take(encoder.get_mut()));
        }
        self.gzip.take()?.finish().ok()
    }
}

/// One element of a list header: a value with its parameters.
struct Element<'a> {
    value: &'a str,
    parameters: &'a str,
}

impl<'a> Element<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.parameters.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().trim_matches('"'))
    }

    /// Its weight, from 0 to 1; what cannot be read is not wanted.
    fn quality(&self) -> f32 {
        self.parameter("q").map_or(1.0, |q| q.parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0))
    }
}

fn values<'a>(request: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Element<'a>> {
    let texts = request.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|element| {
        let (value, parameters) = element.split_once(';').unwrap_or((element, ""));
        Element { value: value.trim(), parameters }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read as _;

    use dixmgr_model::ServiceSpec;
    use flate2::read::GzDecoder;
    use futures_util::{StreamExt as _, TryStreamExt as _};

    use super::*;

    fn web() -> ServiceSpec {
        let probes = serde_json::json!({ "interval": "30s", "resources": true });
        let spec = serde_json::json!({
            "name": "web", "workflow_id": "web", "ready_signal": "ready", "target": { "unit": "web.service" }, "probes": probes
        });
        serde_json::from_value(spec).unwrap()
    }

    fn accepting(accept: &str) -> Format {
        let mut request = HeaderMap::new();
        request.insert(header::ACCEPT, accept.parse().unwrap());
        format(&request)
    }

    #[test]
    fn whoever_prefers_openmetrics_gets_it() {
        // As Prometheus 2.42 and 3.5 ask.
        let v2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                  text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let v3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                  text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(accepting(v2), Format::OpenMetrics);
        assert_eq!(accepting(v3), Format::OpenMetrics);
        assert_eq!(accepting("application/openmetrics-text; version=\"1.0.0\""), Format::OpenMetrics);
    }

    #[test]
    fn everybody_else_gets_text() {
        assert_eq!(format(&HeaderMap::new()), Format::Text);
        for accept in [
            "*/*",
            "text/html,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.2,text/plain",
            "application/openmetrics-text;q=nonsense",
        ] {
            assert_eq!(accepting(accept), Format::Text, "{accept}");
        }
    }

    #[tokio::test]
    async fn the_pieces_are_the_page_compressed_or_not() {
        let metrics = Metrics::new("dixmgr").unwrap();
        metrics.service(&web());
        // What the registry holds, and no process, whose figures change from one page to the next.
        let lasting = |page: &str| -> Vec<String> {
            page.lines().filter(|line| !line.contains("process_")).map(str::to_owned).collect()
        };
        for format in [Format::Text, Format::OpenMetrics] {
            let sent = async |compressed| {
                let pieces = Exposition::begin(&metrics, format, compressed).unwrap().stream();
                pieces.try_concat().await.unwrap()
            };
            let plain = String::from_utf8(sent(false).await).unwrap();
            let mut unpacked = String::new();
            GzDecoder::new(&sent(true).await[..]).read_to_string(&mut unpacked).unwrap();
            assert_eq!(lasting(&plain), lasting(&metrics.page(format).unwrap()));
            assert_eq!(lasting(&plain), lasting(&unpacked));
            assert!(plain.contains("dixmgr_service_health{service=\"web\"") && plain.ends_with('\n'), "{plain}");
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_a_reader_who_does_not_read() {
        let metrics = Metrics::new("dixmgr").unwrap();
        let mut page = std::pin::pin!(Exposition::begin(&metrics, Format::Text, false).unwrap().stream());
        assert!(page.next().await.unwrap().is_ok());
        metrics.service(&web());
        let rest: Vec<u8> = page.try_concat().await.unwrap();
        let health = "dixmgr_service_unit_state{service=\"web\"";
        assert!(String::from_utf8(rest).unwrap().contains(health), "it is in the families that were not written yet");
    }

    #[test]
    fn gzip_is_for_who_asks() {
        for (coding, wanted) in [("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0", false), ("identity", false)] {
            let mut request = HeaderMap::new();
            request.insert(header::ACCEPT_ENCODING, coding.parse().unwrap());
            assert_eq!(wants_gzip(&request), wanted, "{coding}");
        }
        assert!(!wants_gzip(&HeaderMap::new()));
    }
}
