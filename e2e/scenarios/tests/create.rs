//! Creating clusters, in the laboratory.

use scenarios::lab::{Lab, Settings, basic, cluster};

#[tokio::test(start_paused = true)]
async fn create_basic() {
    let lab = Lab::new(Settings::default()).await;
    let _controller = lab.start_controller();
    lab.apply(&cluster("demo", basic("2.1.7"))).await.expect("the spec is accepted");
    let demo = lab.until_ready("demo").await;
    println!("{}", serde_json::to_string_pretty(&demo.status).unwrap_or_default());
    println!("writes:\n{}", lab.writes().join("\n"));
}
