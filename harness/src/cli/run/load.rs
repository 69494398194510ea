//! What the clients of a run do, how hard, and where.

use std::time::Duration;

use clap::Args;

use crate::client::Placement;
use crate::plan::{Plan, Reads};

/// How the system is loaded; what is left out is as the plan says.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArgs {
    /// How many books, registers, sets and so on there are [default: 5]
    #[arg(long, value_name = "COUNT")]
    keys: Option<u64>,
    /// How many accounts a book has [default: 5]
    #[arg(long, value_name = "COUNT")]
    accounts: Option<u64>,
    /// How many operations of a hundred are reads [default: the workload's own mix]
    #[arg(long, value_name = "PERCENT")]
    read_percent: Option<u8>,
    /// How hot the hot keys are: 0 for all alike; with 1 the first of five has 44 % of the load
    /// [default: 0]
    #[arg(long, value_name = "EXPONENT")]
    zipf: Option<f64>,
    /// How many bytes a stored value takes at least [default: as many as it needs]
    #[arg(long, value_name = "BYTES")]
    value_size: Option<u64>,
    /// How long a client waits for an answer [default: 1s]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    operation_timeout: Option<Duration>,
    /// Where clients send their operations, in turn: leader, random, or a node such as n1, separated
    /// by commas [default: most follow the leader, some stay with a node each]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    placements: Vec<Placement>,
    /// What reads promise [default: linearizable]
    #[arg(long, value_name = "LEVEL")]
    reads: Option<Reads>,
}

impl LoadArgs {
    /// Changes the plan to what was asked for.
    pub(super) fn apply(&self, plan: &mut Plan) {
        let workload = &mut plan.workload;
        workload.keys = self.keys.unwrap_or(workload.keys);
        workload.accounts = self.accounts.unwrap_or(workload.accounts);
        workload.read_percent = self.read_percent.or(workload.read_percent);
        workload.zipf = self.zipf.unwrap_or(workload.zipf);
        workload.value_size = self.value_size.unwrap_or(workload.value_size);
        workload.reads = self.reads.unwrap_or(workload.reads);
        plan.operation_timeout = self.operation_timeout.unwrap_or(plan.operation_timeout);
        if !self.placements.is_empty() {
            plan.placements.clone_from(&self.placements);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::system::NodeId;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArgs,
    }

    #[test]
    fn what_is_asked_for_changes_the_plan_and_nothing_else_does() {
        let mut plan = Plan::default();
        Line::parse_from(["run"]).load.apply(&mut plan);
        assert_eq!(plan, Plan::default());
        let line = "run --keys 3 --accounts 4 --read-percent 10 --zipf 1.5 --value-size 100 \
                    --operation-timeout 2s --placements leader,n2,random --reads serializable";
        Line::parse_from(line.split_whitespace()).load.apply(&mut plan);
        let workload = &plan.workload;
        assert_eq!((workload.keys, workload.accounts, workload.value_size), (3, 4, 100));
        assert_eq!((workload.read_percent, workload.zipf), (Some(10), 1.5));
        assert_eq!(plan.operation_timeout, Duration::from_secs(2));
        assert_eq!(workload.reads, Reads::Serializable);
        let pinned = Placement::Pinned(NodeId::new(2));
        assert_eq!(plan.placements, [Placement::LeaderFollowing, pinned, Placement::Random]);
        assert!(Line::try_parse_from(["run", "--placements", "captain"]).is_err());
    }
}
