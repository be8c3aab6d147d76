//! The topology of a plan as a picture: Mermaid, Graphviz and SVG. No secrets in any of them.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use crate::topology::{MemberPlan, Plan};

fn label(member: &MemberPlan<'_>) -> Vec<String> {
    let mut lines = vec![member.name().to_owned()];
    lines.extend(member.addresses().iter().map(|a| a.address().to_string()));
    lines.extend(member.member().routed.iter().map(ToString::to_string));
    lines
}

/// Each pair of peers once, as indices, with whether the first or the second can be dialled by the other.
fn links(plan: &Plan) -> Vec<(usize, usize)> {
    let names: Vec<&str> = plan.members().map(|m| m.name()).collect();
    let at = |name: &str| names.iter().position(|known| *known == name);
    let mut links = Vec::new();
    for (i, member) in plan.members().enumerate() {
        links.extend(
            member
                .peers()
                .filter_map(|peer| at(peer.name()))
                .filter(|&j| i < j)
                .map(|j| (i, j)),
        );
    }
    links
}

/// A Mermaid flow chart, as Markdown viewers draw it.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let mut out = "graph LR\n".to_owned();
    for (i, member) in plan.members().enumerate() {
        let (open, close) = if member.is_forwarder() {
            ("([", "])")
        } else {
            ("[", "]")
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "  m{i}{open}\"{}\"{close}",
            label(&member).join("<br/>")
        );
    }
    for (i, j) in links(plan) {
        let _ = writeln!(out, "  m{i} --- m{j}");
    }
    out
}

/// A graph for Graphviz's `neato` or `dot`.
#[must_use]
pub fn graphviz(plan: &Plan) -> String {
    let mut out = "graph wireguard {\n  node [shape=box, style=rounded];\n".to_owned();
    for (i, member) in plan.members().enumerate() {
        let bold = if member.is_forwarder() {
            ", penwidth=2"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "  m{i} [label=\"{}\"{bold}];",
            label(&member).join("\\n")
        );
    }
    for (i, j) in links(plan) {
        let _ = writeln!(out, "  m{i} -- m{j};");
    }
    out.push_str("}\n");
    out
}

/// A drawing on its own: forwarders on an inner circle, all others around them.
#[must_use]
pub fn svg(plan: &Plan) -> String {
    let members: Vec<MemberPlan<'_>> = plan.members().collect();
    let inner: Vec<usize> = (0..members.len())
        .filter(|&i| members[i].is_forwarder())
        .collect();
    let outer: Vec<usize> = (0..members.len())
        .filter(|&i| !members[i].is_forwarder())
        .collect();
    // 150 units of arc for each box on its circle keep boxes apart.
    let reach = |count: usize, least: f64| {
        if count > 1 {
            (count as f64 * 150.0 / TAU).max(least)
        } else {
            0.0
        }
    };
    let inner_radius = reach(inner.len(), 110.0);
    let outer_radius = if inner.is_empty() {
        reach(outer.len(), 160.0)
    } else {
        reach(outer.len(), 160.0).max(inner_radius + 170.0)
    };
    let half = inner_radius.max(outer_radius) + 120.0;
    let mut places = vec![(0.0, 0.0); members.len()];
    for (ring, radius) in [(&inner, inner_radius), (&outer, outer_radius)] {
        for (k, &i) in ring.iter().enumerate() {
            let angle = TAU * k as f64 / ring.len() as f64 - TAU / 4.0;
            places[i] = (half + radius * angle.cos(), half + radius * angle.sin());
        }
    }
    let side = half * 2.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side:.0} {side:.0}\" font-family=\"sans-serif\" font-size=\"12\" text-anchor=\"middle\">\n"
    );
    for (i, j) in links(plan) {
        let ((x1, y1), (x2, y2)) = (places[i], places[j]);
        let _ = writeln!(
            out,
            "<line x1=\"{x1:.0}\" y1=\"{y1:.0}\" x2=\"{x2:.0}\" y2=\"{y2:.0}\" stroke=\"#888\"/>"
        );
    }
    for (member, (x, y)) in members.iter().zip(&places) {
        let lines = label(member);
        let height = 12.0 + 15.0 * lines.len() as f64;
        let width = if member.is_forwarder() { 2 } else { 1 };
        let _ = writeln!(
            out,
            "<rect x=\"{:.0}\" y=\"{:.0}\" width=\"120\" height=\"{height:.0}\" rx=\"6\" fill=\"#fff\" stroke=\"#333\" stroke-width=\"{width}\"/>",
            x - 60.0,
            y - height / 2.0
        );
        for (k, line) in lines.iter().enumerate() {
            let baseline = y - height / 2.0 + 18.0 + 15.0 * k as f64;
            let _ = writeln!(out, "<text x=\"{x:.0}\" y=\"{baseline:.0}\">{line}</text>");
        }
    }
    out.push_str("</svg>\n");
    out
}
