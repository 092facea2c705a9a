//! Nexus over the network: Temporal's Python SDK and its command line get from the engine what they get from Temporal's own server.

use crate::wire::no_difference_in;

#[test]
fn the_python_sdk_sees_no_difference_between_nexus_endpoints() {
    no_difference_in("nexus_endpoints.py", &[]);
}
