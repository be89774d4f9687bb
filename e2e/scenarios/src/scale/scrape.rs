//! A controller's own numbers, and whether it is ready.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often is asked whether a controller is ready.
const LOOK: Duration = Duration::from_millis(10);
/// How long it is waited for.
const LIMIT: Duration = Duration::from_mins(2);

/// A histogram's buckets: upper bounds and how many were at most so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets(Vec<(f64, f64)>);

/// Reads the metrics of a controller.
pub async fn scrape(address: SocketAddr) -> Result<String, kube::Error> {
    get(address, "/metrics").await
}

/// Waits until a controller says that its caches are filled.
pub async fn until_ready(address: SocketAddr) -> Result<(), kube::Error> {
    let end = Instant::now() + LIMIT;
    loop {
        match get(address, "/readyz").await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => sleep(LOOK).await,
        }
    }
}

async fn get(address: SocketAddr, path: &str) -> Result<String, kube::Error> {
    let uri = format!("http://{address}").parse().expect("an address makes a URI");
    let client = kube::Client::try_from(kube::Config::new(uri))?;
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

impl Buckets {
    /// The buckets of a histogram, summed over all labels.
    pub fn read(metrics: &str, name: &str) -> Self {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for line in metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("_bucket{")) {
            let Some((bound, count)) = bucket(line) else { continue };
            match buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self(buckets)
    }

    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| earlier.0.iter().find(|(known, _)| known.total_cmp(&bound).is_eq()).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().map(|(bound, count)| (*bound, count - before(*bound))).collect())
    }

    /// How many there were.
    pub fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value that a share of all is at most at, interpolated within its bucket as Prometheus does.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = self.count() * share;
        let position = self.0.iter().position(|(_, count)| *count >= wanted && *count > 0.0)?;
        let (low, below) = position.checked_sub(1).map_or((0.0, 0.0), |before| self.0[before]);
        let (high, upto) = self.0[position];
        Some(if high.is_finite() { low + (high - low) * (wanted - below) / (upto - below) } else { low })
    }
}

/// Upper bound and count from what follows the brace.
fn bucket(line: &str) -> Option<(f64, f64)> {
    let (labels, count) = line.split_once('}')?;
    let bound = labels.split(',').find_map(|label| label.strip_prefix("le=\""))?.trim_end_matches('"');
    Some((bound.parse().ok()?, count.split_whitespace().next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Buckets;

    const METRICS: &str = "# TYPE d histogram\nd_sum{c=\"x\"} 9\nd_bucket{le=\"1.0\",c=\"x\"} 50\nd_bucket{le=\"2.0\",c=\"x\"} 100\n\
                           d_bucket{le=\"+Inf\",c=\"x\"} 100\nd_bucket{le=\"1.0\",c=\"y\"} 0\n";

    #[test]
    fn quantiles_are_interpolated() {
        let buckets = Buckets::read(METRICS, "d");
        assert_eq!(buckets.quantile(0.25), Some(0.5));
        assert_eq!(buckets.quantile(0.75), Some(1.5));
        assert_eq!(Buckets::default().quantile(0.5), None);
    }

    #[test]
    fn only_what_came_since_counts() {
        let buckets = Buckets::read(METRICS, "d");
        assert!(buckets.since(&buckets).count() < f64::EPSILON);
    }
}
