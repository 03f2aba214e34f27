// SPDX-License-Identifier: Apache-2.0
//
// Asks the server what `clustix nodes`, `ps`, `status` and `set ls` say with --json, and shows it. Percentages
// and rates are of the time between two answers. All text is set as text, never as HTML.
"use strict";

const REFRESH_MS = 2000;
const ROWS_MAX = 500;
const byId = (id) => document.getElementById(id);

const state = {
  sort: "cpu", descending: true,
  processes: [], seen: new Map(), processesAt: 0,  // seen: gpid and start time to CPU time
  nodesBefore: new Map(),
  peersBefore: new Map(), peersAt: 0,
};

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; unit++) count /= 1024;
  return `${count < 10 && unit ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

function duration(ms) {
  const s = Math.floor(ms / 1000);
  const pad = (n) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${pad(s % 60)}`
                  : `${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}`;
}

async function ask(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

// --- nodes

function busyAndTotal(cpu) {
  const total = Object.values(cpu).reduce((a, b) => a + b, 0);
  return { busy: total - cpu.idle - cpu.iowait, total };
}

function bar(kind, share) {
  const outer = element("div", `bar ${kind}`);
  const inner = element("div");
  inner.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  outer.append(inner);
  return outer;
}

function nodeCard(node) {
  const here = node.state === "self" || node.state === "up";
  const card = element("article", here ? "node" : "node gone");
  const title = element("h3", "", `${node.node} ${node.name}`);
  title.append(element("span", "state", node.stale && node.known
    ? `${node.state}, ${Math.round(node.age_ms / 1000)} s old` : node.state));
  card.append(title);
  if (!node.known) {
    card.append(element("p", "dim", "never heard"));
    return card;
  }
  if (node.cpu_seconds) {
    const now = busyAndTotal(node.cpu_seconds);
    const before = state.nodesBefore.get(node.node) ?? { busy: 0, total: 0 };
    const spent = now.total - before.total;
    const share = spent > 0 ? (now.busy - before.busy) / spent : before.share ?? 0;
    state.nodesBefore.set(node.node, { ...now, share });
    card.append(element("div", "", `CPU ${Math.round(share * 100)} % of ${node.cpus}`), bar("cpu", share));
  }
  if (node.memory_total_bytes !== null && node.memory_available_bytes !== null) {
    const used = node.memory_total_bytes - node.memory_available_bytes;
    card.append(element("div", "", `Memory ${bytes(used)} of ${bytes(node.memory_total_bytes)}`),
                bar("memory", used / node.memory_total_bytes));
  }
  const load = node.load_1min === null ? "-" : node.load_1min.toFixed(2);
  card.append(element("div", "dim", `${node.processes} processes, load ${load}, ${node.address}`));
  return card;
}

function showNodes(nodes) {
  byId("nodes").replaceChildren(...nodes.map(nodeCard));
  const select = byId("node");
  if (select.options.length !== nodes.length + 1) {
    const chosen = select.value;
    select.replaceChildren(new Option("all", ""), ...nodes.map((n) => new Option(n.name, n.node)));
    select.value = chosen;
  }
  const here = nodes.filter((n) => n.state === "self" || n.state === "up").length;
  const processes = nodes.reduce((sum, n) => sum + (n.processes ?? 0), 0);
  byId("summary").textContent = `${here} of ${nodes.length} nodes up, ${processes} processes`;
  byId("summary").className = here === nodes.length ? "" : "failed";
}

// --- messaging

function showStatus(status) {
  byId("cluster").textContent = `Clustix: ${status.cluster.name}`;
  document.title = `${status.cluster.name}: Clustix`;
  const now = performance.now();
  const seconds = (now - state.peersAt) / 1000;
  const rows = status.peers.map((peer) => {
    const before = state.peersBefore.get(peer.node);
    const rate = (key) => before ? Math.max(0, (peer[key] - before[key]) / seconds).toFixed(1) : "-";
    state.peersBefore.set(peer.node, peer);
    const row = element("tr");
    row.append(element("td", "", `${peer.node} ${peer.name}`),
               element("td", peer.state === "up" ? "" : "failed", peer.state));
    for (const figure of [rate("messages_sent"), rate("messages_received"), peer.queued_messages, peer.resent,
                          peer.duplicates, peer.connects, peer.outcomes_unknown]) {
      row.append(element("td", "number", figure));
    }
    return row;
  });
  state.peersAt = now;
  byId("peers").tBodies[0].replaceChildren(...rows);
}

// --- sets

function showSets(sets) {
  sets.sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
  const rows = sets.slice(0, ROWS_MAX).map((set) => {
    const row = element("tr");
    row.append(element("td", "", set.name), element("td", "", set.policy), element("td", "", set.mode),
               element("td", "number", set.objects), element("td", "number", set.homed),
               element("td", "number", bytes(set.bytes)), element("td", "number", set.clients));
    return row;
  });
  byId("sets").tBodies[0].replaceChildren(...rows);
  byId("sets").hidden = sets.length === 0;
  byId("sets-shown").textContent = sets.length === 0 ? "none"
    : rows.length < sets.length ? `the largest ${rows.length} of ${sets.length}` : "";
}

// A daemon may be without object sets, and still have all the rest.
async function refreshSets() {
  try {
    showSets(await ask("/api/sets"));
  } catch (error) {
    byId("sets").hidden = true;
    byId("sets-shown").textContent = error.message;
  }
}

// --- processes

function takeProcesses(processes) {
  const now = performance.now();
  const spent = now - state.processesAt;
  const seen = new Map();
  for (const process of processes) {
    const key = `${process.gpid} ${process.start_time}`;
    const before = state.seen.get(key);
    // Of its whole life, until there are two readings.
    process.cpu = before === undefined ? process.cpu_percent
                                       : Math.max(0, (process.cpu_time_ms - before) / spent * 100);
    seen.set(key, process.cpu_time_ms);
  }
  state.seen = seen;
  state.processesAt = now;
  state.processes = processes;
}

function matches(process, words) {
  const text = `${process.gpid} ${process.pid} ${process.node_name} ${process.user} ${process.cmd}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function showProcesses() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const node = byId("node").value;
  const direction = state.descending ? -1 : 1;
  const found = state.processes.filter((p) => (!node || p.node === Number(node)) && matches(p, words));
  found.sort((a, b) => {
    const [x, y] = [a[state.sort], b[state.sort]];
    return x < y ? -direction : x > y ? direction : a.gpid - b.gpid;
  });
  const rows = found.slice(0, ROWS_MAX).map((process) => {
    const row = element("tr", process.stale ? "stale" : "");
    row.append(element("td", "number", process.gpid), element("td", "", process.node_name),
               element("td", "", process.user), element("td", "", process.state),
               element("td", "number", process.cpu.toFixed(1)), element("td", "number", bytes(process.rss_bytes)),
               element("td", "number", duration(process.cpu_time_ms)), element("td", "command", process.cmd));
    return row;
  });
  byId("processes").tBodies[0].replaceChildren(...rows);
  byId("shown").textContent = rows.length < found.length ? `the first ${rows.length} of ${found.length}`
                                                          : `${found.length} shown`;
  for (const button of document.querySelectorAll("#processes th button")) {
    if (button.dataset.key === state.sort) {
      button.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    } else {
      button.removeAttribute("aria-sort");
    }
  }
}

// --- the loop

async function refresh() {
  try {
    const [nodes, status, processes] =
      await Promise.all([ask("/api/nodes"), ask("/api/status"), ask("/api/processes"), refreshSets()]);
    showNodes(nodes);
    showStatus(status);
    takeProcesses(processes);
    showProcesses();
  } catch (error) {
    byId("summary").textContent = `no answer: ${error.message}`;
    byId("summary").className = "failed";
  }
  setTimeout(refresh, document.hidden ? 5 * REFRESH_MS : REFRESH_MS);
}

for (const button of document.querySelectorAll("#processes th button")) {
  button.addEventListener("click", () => {
    const key = button.dataset.key;
    state.descending = state.sort === key ? !state.descending : key === "cpu" || key.endsWith("bytes") || key.endsWith("ms");
    state.sort = key;
    showProcesses();
  });
}
byId("filter").addEventListener("input", showProcesses);
byId("node").addEventListener("change", showProcesses);
refresh();
