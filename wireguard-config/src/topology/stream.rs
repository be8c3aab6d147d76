//! All files of a plan, one after the other, with the parts that repeat from file to file made once.

use zeroize::Zeroizing;

use crate::config::Config;
use crate::render::quick;

use super::links::visible_endpoint;
use super::plan::{File, MemberPlan, Plan};

/// The lines of a peer before and behind its preshared key.
struct Fragment {
    head: String,
    tail: String,
}

/// Makes the files of a plan. In a full mesh a member looks the same in nearly all of them.
pub(super) struct Files<'a> {
    plan: &'a Plan,
    fragments: Option<Vec<Fragment>>,
    at: usize,
}

impl<'a> Files<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            fragments: None,
            at: 0,
        }
    }

    /// Whether everybody else is a peer and is sent its own networks only, so that no list depends on who asks.
    fn is_uniform(&self, at: usize) -> bool {
        let member = &self.plan.inventory.members[at];
        let others = self.plan.inventory.members.len() - 1;
        others > 1 && !member.full_tunnel && self.plan.links.peers(at).count() == others
    }

    fn text(&mut self, member: &MemberPlan<'a>) -> Zeroizing<String> {
        if !self.is_uniform(self.at) {
            return quick::wg_quick(&member.config());
        }
        let plan = self.plan;
        let fragments = self.fragments.get_or_insert_with(|| fragments(plan));
        let size: usize = fragments
            .iter()
            .map(|f| f.head.len() + f.tail.len() + 96)
            .sum();
        let mut out = Zeroizing::new(String::with_capacity(size + 4096));
        let interface = Config {
            interface: member.interface_config(),
            peers: Vec::new(),
        };
        quick::interface(&mut out, &interface, true);
        let here = &plan.inventory.members[self.at];
        for (other, fragment) in fragments
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != self.at)
        {
            let there = &plan.inventory.members[other];
            let public = there.endpoint.as_ref();
            let usual = public.is_some()
                && visible_endpoint(here, there) == public
                && visible_endpoint(there, here).is_some();
            if !usual {
                quick::peer(
                    &mut out,
                    &member.peer(other, plan.networks_of(other).collect()),
                );
                continue;
            }
            out.push_str(&fragment.head);
            if let Some(key) = plan.preshared(here, there) {
                out.push_str("PresharedKey = ");
                key.push_base64(&mut out);
                out.push('\n');
            }
            out.push_str(&fragment.tail);
        }
        out
    }
}

fn fragments(plan: &Plan) -> Vec<Fragment> {
    let one = |at: usize| {
        let member = &plan.inventory.members[at];
        let mut peer = crate::Peer::new(plan.public_key(at));
        let mut head = String::new();
        quick::peer(&mut head, &peer);
        peer.endpoint.clone_from(&member.endpoint);
        peer.allowed_ips = plan.networks_of(at).collect();
        let mut whole = String::new();
        quick::peer(&mut whole, &peer);
        Fragment {
            tail: whole.split_off(head.len()),
            head,
        }
    };
    (0..plan.inventory.members.len()).map(one).collect()
}

impl Iterator for Files<'_> {
    type Item = File;

    fn next(&mut self) -> Option<File> {
        let member = self.plan.member_at(self.at)?;
        let content = self.text(&member);
        self.at += 1;
        Some(member.file_with(content))
    }
}
