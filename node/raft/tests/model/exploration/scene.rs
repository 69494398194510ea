//! Where explorations begin: states that the cluster comes into by itself, if everything goes a certain
//! way. So what lies far from the beginning can be explored without everything that lies between.

use raft::NodeId;

use super::bounds::{Bounds, Scene};
use super::cluster::{Action, Cluster};
use super::tally::Tally;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

pub(crate) fn prepare(bounds: &Bounds) -> Cluster {
    // What the scene needs is not cut yet, and nothing is wrong yet.
    let slow_disks = bounds.ids().collect();
    let whole = Bounds { cut: vec![], flaw: None, slow_disks, ..bounds.clone() };
    let mut stage = Stage { cluster: Cluster::new(&whole), bounds: &whole };
    match bounds.scene {
        Scene::Silence => {}
        Scene::Reign => stage.reign(),
        Scene::Relapse => {
            stage.reign();
            stage.act(&Action::Write(N1));
            stage.run(&[N2]);
            stage.act(&Action::Crash(N1, 0));
            stage.cluster.lose_but(N2, N1);
        }
        Scene::Rivals => {
            stage.reign();
            for _ in 0..2 {
                stage.act(&Action::Write(N1));
                stage.run(&[N1]);
            }
            stage.cluster.lose_all();
            stage.act(&Action::Time(N2));
            for id in [N2, N1, N3, N2] {
                stage.run(&[id]);
            }
            stage.cluster.lose_all();
        }
    }
    stage.cluster.begin();
    stage.cluster
}

struct Stage<'a> {
    cluster: Cluster,
    bounds: &'a Bounds,
}

impl Stage<'_> {
    /// Elects n1 and lets everybody know that its first entry is committed.
    fn reign(&mut self) {
        for _ in 0..2 {
            self.act(&Action::Time(N1));
            self.run(&[N1, N2, N3]);
        }
        self.cluster.lose_all();
    }

    fn act(&mut self, action: &Action) {
        let next = self.cluster.act(action, self.bounds, &Tally::default());
        self.cluster = next.expect("what a scene needs can happen");
    }

    /// Lets these nodes do all that there is to do; what is sent to others stays on its way.
    fn run(&mut self, ids: &[NodeId]) {
        while let Some(action) = self.cluster.next_work(ids) {
            self.act(&action);
        }
    }
}
