'use strict';

// Driver of the compatibility suite for the official Node SDK: obeys the runner's JSON commands on standard input and
// reports replies and events on standard output. What the operations mean stands in tests/compat/README.md.

const fs = require('fs');
const readline = require('readline');
const { NacosConfigClient, NacosNamingClient } = require('nacos');

const { host, port, namespace, username, password } = JSON.parse(process.argv[2]);
const address = `${host}:${port}`;
const credentials = { username, password };

function send(message) {
  const line = Buffer.from(JSON.stringify(message) + '\n');
  let written = 0;
  while (written < line.length) {
    try {
      written += fs.writeSync(1, line, written);
    } catch (err) {
      if (err.code !== 'EAGAIN') throw err;
    }
  }
}

function note(...words) {
  console.error(...words);
}

// The SDK logs whole service lists on every poll: warnings are enough.
const logger = { info() {}, debug() {}, warn: note, error: note };
const naming = new NacosNamingClient({ logger, serverList: address, namespace: namespace || 'public', ...credentials });
const config = new NacosConfigClient({ serverAddr: address, namespace, requestTimeout: 6000, ...credentials });
for (const client of [ naming, config ]) client.on('error', err => note(err));
naming._hostReactor.on('error', err => note(err)); // errors of polling are emitted there and would end the process
process.on('unhandledRejection', err => note('unhandled', err));

const subscriptions = new Map();
const listeners = new Map();

function outgoing(i) {
  return {
    ip: i.ip, port: i.port, weight: i.weight, healthy: true, enabled: i.enabled,
    ephemeral: i.ephemeral, clusterName: i.cluster, metadata: i.metadata,
  };
}

function incoming(i) {
  return {
    ip: i.ip, port: i.port, weight: i.weight, healthy: i.healthy, enabled: i.enabled,
    ephemeral: i.ephemeral, cluster: i.clusterName, metadata: i.metadata,
  };
}

const ops = {
  register: c => naming.registerInstance(c.service, outgoing(c.instance), c.group),
  deregister: c => naming.deregisterInstance(c.service, outgoing(c.instance), c.group),
  async list(c) {
    return (await naming.getAllInstances(c.service, c.group, c.clusters.join(','), false)).map(incoming);
  },
  async select_healthy(c) {
    return (await naming.selectInstances(c.service, c.group, c.clusters.join(','), true, false)).map(incoming);
  },
  // Part of the SDK's proxy only; there is no public call.
  async services(c) {
    const { count, data } = await naming._serverProxy.getServiceList(c.page, c.size, c.group);
    return { count, names: data };
  },
  subscribe(c) {
    const listener = hosts => send({ event: 'hosts', tag: c.tag, hosts: hosts.map(incoming) });
    subscriptions.set(c.tag, listener);
    naming.subscribe({ serviceName: c.service, groupName: c.group, clusters: c.clusters.join(',') }, listener);
  },
  unsubscribe(c) {
    naming.unSubscribe({ serviceName: c.service, groupName: c.group, clusters: c.clusters.join(',') }, subscriptions.get(c.tag));
    subscriptions.delete(c.tag);
  },
  publish: c => config.publishSingle(c.dataId, c.group, c.content, { type: c.type }),
  get: c => config.getConfig(c.dataId, c.group),
  remove: c => config.remove(c.dataId, c.group),
  listen(c) {
    const listener = content => send({ event: 'config', tag: c.tag, content });
    listeners.set(c.tag, listener);
    config.subscribe({ dataId: c.dataId, group: c.group }, listener);
  },
  unlisten(c) {
    config.unSubscribe({ dataId: c.dataId, group: c.group }, listeners.get(c.tag));
    listeners.delete(c.tag);
  },
  status: () => naming.getServerStatus(),
  async shutdown() {
    await naming.close();
    config.close();
  },
};

async function obey(command) {
  const reply = { id: command.id, ok: true };
  try {
    const value = await ops[command.op](command);
    reply.value = value === undefined ? null : value;
  } catch (err) {
    note(err);
    reply.ok = false;
    reply.error = String(err && err.message || err);
  }
  send(reply);
  if (command.op === 'shutdown') process.exit(0);
}

async function main() {
  await naming.ready();
  await config.ready();
  send({ event: 'hello', ops: Object.keys(ops) });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', line => obey(JSON.parse(line)));
  lines.on('close', () => process.exit(0));
}

main();
