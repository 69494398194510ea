//! Compiles `proto/*.proto` for crate `proto` with protox, so that no machine needs a protoc.
//! Cargo runs it in `proto/`, whose manifest names it.

const PROTOS: [&str; 8] = [
    "raft.proto",
    "outcome.proto",
    "ledger.proto",
    "kv.proto",
    "session.proto",
    "admin.proto",
    "log.proto",
    "etcd.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in PROTOS {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(PROTOS, ["."])?;
    // Entries are decoded as views into the received buffer: no copy per command.
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
