//! Asks a Substrate node where it stands. What that means over time is decided by [`dixmgr_alerting::sync`].

mod rpc;

use dixmgr_alerting::sync::SyncReading;
use dixmgr_model::SyncCheck;
use serde_json::{Value, json};

use crate::http::{HttpChecker, parse_url};
use rpc::Node;
pub use rpc::{MAX_ANSWER, SyncError};

/// Carries out sync checks. Cheap to clone; shares its connections with the HTTP checker.
#[derive(Debug, Clone)]
pub struct SyncChecker {
    http: HttpChecker,
}

impl SyncChecker {
    /// A checker over the client of `http`.
    #[must_use]
    pub fn new(http: &HttpChecker) -> Self {
        Self { http: http.clone() }
    }

    /// Asks a node. Each call has the check's timeout; one that cannot be reached costs one call, any other up to five.
    ///
    /// # Errors
    /// The node gave no usable answer to `system_health`, or garbage to one of the others. A node that does not have one
    /// of the others leaves its numbers out of the reading.
    pub async fn check(&self, check: &SyncCheck) -> Result<SyncReading, SyncError> {
        let url = parse_url(&check.endpoint).map_err(SyncError::BadEndpoint)?;
        let node = Node { client: self.http.client()?, url, timeout: check.timeout };
        let health = node.call("system_health", json!([])).await?;
        let flag = |name: &'static str| {
            health[name]
                .as_bool()
                .ok_or_else(|| node.garbage("system_health", "isSyncing, peers and shouldHavePeers", &health))
        };
        let is_syncing = flag("isSyncing")?;
        let should_have_peers = flag("shouldHavePeers")?;
        let peers =
            number(&health["peers"]).ok_or_else(|| node.garbage("system_health", "number of peers", &health))?;

        let (progress, head, finalized) =
            tokio::try_join!(node.progress(), node.block_number(json!([])), node.finalized_number())?;
        let Progress { current, highest } = progress;
        Ok(SyncReading { is_syncing, peers, should_have_peers, best: head.or(current), finalized, highest })
    }
}

/// `system_syncState`, as far as it is used.
#[derive(Debug, Default)]
struct Progress {
    current: Option<u64>,
    highest: Option<u64>,
}

impl Node<'_> {
    /// As [`Node::call`]; `None` when the node does not have the method, or has nothing to say.
    async fn ask(&self, method: &'static str, params: Value) -> Result<Option<Value>, SyncError> {
        match self.call(method, params).await {
            Ok(Value::Null) => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_unknown_method() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn progress(&self) -> Result<Progress, SyncError> {
        const METHOD: &str = "system_syncState";
        let Some(state) = self.ask(METHOD, json!([])).await? else {
            return Ok(Progress::default());
        };
        let current = number(&state["currentBlock"]).ok_or_else(|| self.garbage(METHOD, "currentBlock", &state))?;
        // Nodes without peers leave the highest block out, or say null.
        let highest = match &state["highestBlock"] {
            Value::Null => None,
            highest => Some(number(highest).ok_or_else(|| self.garbage(METHOD, "highestBlock", &state))?),
        };
        Ok(Progress { current: Some(current), highest })
    }

    /// The number in a header: of the best block, or of the one whose hash is the parameter.
    async fn block_number(&self, params: Value) -> Result<Option<u64>, SyncError> {
        const METHOD: &str = "chain_getHeader";
        let Some(header) = self.ask(METHOD, params).await? else {
            return Ok(None);
        };
        number(&header["number"]).map(Some).ok_or_else(|| self.garbage(METHOD, "header with a number", &header))
    }

    async fn finalized_number(&self) -> Result<Option<u64>, SyncError> {
        const METHOD: &str = "chain_getFinalizedHead";
        match self.ask(METHOD, json!([])).await? {
            None => Ok(None),
            // The hash goes back to the node that it came from, so it is looked at first.
            Some(Value::String(hash)) if is_hash(&hash) => self.block_number(json!([hash])).await,
            Some(other) => Err(self.garbage(METHOD, "block hash", &other)),
        }
    }
}

/// A block hash: `0x` and hex digits, 32 bytes on every Substrate chain there is.
fn is_hash(text: &str) -> bool {
    text.strip_prefix("0x").is_some_and(|hex| hex.len() <= 128 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A number as nodes write it: a JSON number, or hex digits after `0x`.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => {
            let hex = text.strip_prefix("0x")?;
            // `from_str_radix` alone would take a sign.
            hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(hex, 16).ok())?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_as_nodes_write_them() {
        assert_eq!(number(&json!("0x1a2b")), Some(0x1a2b));
        assert_eq!(number(&json!(42)), Some(42));
        for bad in [json!("1a2b"), json!("0x"), json!("0x+1"), json!("0xg"), json!(-1), json!(1.5), json!(null)] {
            assert_eq!(number(&bad), None, "{bad}");
        }
        assert_eq!(number(&json!("0x10000000000000000")), None);
    }

    proptest! {
        #[test]
        fn every_number_is_read_back(block: u64) {
            prop_assert_eq!(number(&json!(format!("{block:#x}"))), Some(block));
        }

        #[test]
        fn never_panics(text in ".*") {
            let _ = (number(&json!(text)), is_hash(&text));
        }
    }
}
